"""llama.cpp inside this process, through the optional package xllamacpp: loads one GGUF file, says one thing at a time.

Everything here blocks; `local.py` calls it from a thread of its own and says what to ask.
"""

import importlib
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from colonnade.runs.writing.model import WritingFailed

_CONTEXT_TOKENS: Final = 4096
_THREADS_MAX: Final = 8
_GGUF: Final = b"GGUF"


@dataclass(frozen=True, slots=True)
class Said:
    """What the model said to one prompt, and the tokens of both."""

    text: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """When to stop: at a moment of the monotonic clock, or as soon as nobody waits for the text any more."""

    ends_at: float
    left: threading.Event

    def are_passed(self) -> bool:
        return self.left.is_set() or time.monotonic() > self.ends_at


class Llama:
    """A loaded model. It lets go of its memory with the object."""

    def __init__(self, path: Path) -> None:
        library = _library()
        _require_gguf(path)
        # The library brings a server that must listen somewhere: on a socket in a folder that is ours alone, with a
        # key that nobody else has, so neither the network nor another user of the machine can use the model.
        self._folder = tempfile.TemporaryDirectory(prefix="colonnade-model-")
        parameters = library.CommonParams()
        parameters.model.path = str(path)
        parameters.hostnames = [f"{self._folder.name}/model.sock"]
        parameters.api_keys = [secrets.token_urlsafe(24)]
        parameters.ui = parameters.endpoint_slots = False
        parameters.offline = True
        parameters.verbosity = -1
        parameters.n_ctx = _CONTEXT_TOKENS
        parameters.n_parallel = 1
        # Its threads wait for each other by spinning, so beside other work half of the cores are faster than all.
        parameters.cpuparams.n_threads = min(max(1, (os.cpu_count() or 2) // 2), _THREADS_MAX)
        try:
            self._server = library.Server(parameters)
        except RuntimeError:
            self._folder.cleanup()
            raise WritingFailed("model.not_configured", f"The local model {path.name} cannot be loaded.") from None

    def say(self, system: str, user: str, bounds: Bounds, **sampling: object) -> Said:
        """The model's answer to one prompt; WritingFailed when the bounds pass before its end."""
        pieces: list[str] = []
        used = {"prompt_tokens": 0, "completion_tokens": 0}

        def take(chunk: dict[str, Any]) -> bool:
            pieces.extend(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
            used.update(chunk.get("usage") or {})
            return bounds.are_passed()

        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        request = {"messages": messages, "stream": True, "stream_options": {"include_usage": True}, **sampling}
        self._run(request, take)
        if bounds.are_passed():
            raise WritingFailed("model.timeout", "The local model did not end its text in time.", is_temporary=True)
        return Said("".join(pieces), used["prompt_tokens"], used["completion_tokens"])

    def _run(self, request: dict[str, object], take: Callable[[dict[str, Any]], bool]) -> None:
        try:
            self._server.handle_chat_completions(request, take)
        except (RuntimeError, ValueError):
            raise WritingFailed("model.bad_answer", "The local model could not take the prompt.") from None

    def close(self) -> None:
        """Frees the model's memory and removes its socket."""
        del self._server
        self._folder.cleanup()


def _library() -> Any:
    # An optional extra with a large shared library: loaded by name, and only in a worker that runs a local model.
    try:
        return importlib.import_module("xllamacpp")
    except ImportError:
        sentence = "A local model is configured, but not its library: install `colonnade[local]`."
        raise WritingFailed("model.not_configured", sentence) from None


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            is_gguf = file.read(len(_GGUF)) == _GGUF
    except OSError:
        raise WritingFailed("model.not_configured", f"The local model's file {path.name} cannot be read.") from None
    if not is_gguf:
        raise WritingFailed("model.not_configured", f"The local model's file {path.name} is not a GGUF file.")
