"""The writers of one worker process: which of them writes, given what is wanted and what is configured.

Not here: how each of them asks its model.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Literal

import httpx2

from colonnade.ground.core.secrets import Secret
from colonnade.runs.writing.catalogue import ANTHROPIC_DEFAULT, OPENAI_DEFAULT, ModelName, resolve
from colonnade.runs.writing.local import LocalWriter
from colonnade.runs.writing.model import Endpoint, Writer, WritingFailed
from colonnade.runs.writing.scripted import ScriptedWriter

_WAY_TO_LOCAL: Final = (
    "Put a GGUF file on the worker's machine and its path into COLONNADE_LOCAL_MODEL_PATH (`make local-model` brings a "
    "small one)."
)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the installation has configured for writing. A workspace's or agency's own keys come before its keys, and
    go to the same base URLs: these say where a provider is, whoever's key it is."""

    default_model: str | None = None
    anthropic_key: Secret | None = None
    openai_key: Secret | None = None
    openai_base_url: str | None = None
    anthropic_base_url: str | None = None
    local_model_path: Path | None = None
    timeout_seconds: float = 180


class Writers:
    """Chooses the writer for a run. One for each worker process: it keeps the connections and the loaded model."""

    def __init__(self, options: ModelOptions, http: httpx2.AsyncBaseTransport | None = None) -> None:
        self._options = options
        self._http = http or httpx2.AsyncHTTPTransport(trust_env=False)
        self._scripted = ScriptedWriter()
        path = options.local_model_path
        self._local = LocalWriter(path, options.timeout_seconds) if path else None

    def choose(self, wanted: str | None, keys: Mapping[str, str]) -> Writer:
        """The writer for the model that a workspace wants; `keys` are its own or its agency's, by provider.

        What is wanted is taken or refused with the way to configure it, never replaced. When nothing is wanted, it is
        the installation's default model, else Anthropic, OpenAI or the local model, whichever is configured first, and
        the scripted writer only when none of them is.
        """
        named = (wanted or "").strip() or (self._options.default_model or "").strip()
        if named:
            return self._writer(resolve(named), keys)
        if self._key("anthropic", keys):
            return self._hosted("anthropic", ANTHROPIC_DEFAULT, keys)
        if self._key("openai", keys):
            return self._hosted("openai", OPENAI_DEFAULT, keys)
        return self._local or self._scripted

    @property
    def scripted(self) -> Writer:
        """The writer that asks nobody, for runs from which no call may go out."""
        return self._scripted

    async def prepare(self) -> None:
        """Loads what this installation is sure to need, before the worker claims its first run: the process stands
        still for as long as that takes, and must hold no lease by then. what else, the first article loads."""
        if self._local:
            await self._local.load()
        if self._options.anthropic_key or self._options.openai_key:
            _vendors()

    async def aclose(self) -> None:
        """Closes the connections and lets go of the local model, after the text that it is writing."""
        await self._http.aclose()
        if self._local:
            await self._local.aclose()

    def _writer(self, name: ModelName, keys: Mapping[str, str]) -> Writer:
        if name.provider == "scripted":
            return self._scripted
        if name.provider == "local":
            return self._local_named(name)
        return self._hosted(name.provider, name.model, keys)

    def _local_named(self, name: ModelName) -> Writer:
        if self._local is None:
            raise WritingFailed("model.not_configured", f"No local model is configured. {_WAY_TO_LOCAL}")
        if name.model and str(name) != self._local.name:
            raise WritingFailed(
                "model.not_configured", f"The local model here is `{self._local.name}`, not `{name}`. {_WAY_TO_LOCAL}"
            )
        return self._local

    def _hosted(self, provider: Literal["anthropic", "openai"], model: str, keys: Mapping[str, str]) -> Writer:
        key = self._key(provider, keys)
        options = self._options
        base_url = options.anthropic_base_url if provider == "anthropic" else options.openai_base_url
        if key is None and not base_url:
            raise WritingFailed(
                "model.not_configured",
                f"`{provider}:{model}` is wanted, but there is no key for {provider}. Store one with PUT "
                f"/v1/workspaces/{{id}}/provider-keys/{provider} or PUT /v1/agency/provider-keys/{provider}, or set "
                f"COLONNADE_{provider.upper()}_API_KEY for the installation; or choose another `defaultModel`.",
            )
        endpoint = Endpoint(provider, model, key, base_url, options.timeout_seconds)
        writer: Writer = _vendors().HostedWriter(endpoint, self._http)
        return writer

    def _key(self, provider: Literal["anthropic", "openai"], keys: Mapping[str, str]) -> Secret | None:
        own = keys.get(provider, "").strip()
        installed = self._options.anthropic_key if provider == "anthropic" else self._options.openai_key
        text = own or (installed.reveal().strip() if installed else "")
        # Whatever cannot stand in a header would be quoted by the library that trips over it.
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise WritingFailed(
                "model.refused_key", f"The stored key for {provider} is not one: it has odd characters."
            )
        return Secret(text) if text else None


def _vendors() -> ModuleType:
    """The one module that is imported when it is needed and not before: the vendors' libraries take more than half of
    a worker's start, and an installation without their keys never uses them (decision 0009)."""
    return importlib.import_module("colonnade.runs.writing.hosted")
