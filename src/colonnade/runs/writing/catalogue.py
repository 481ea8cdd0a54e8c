"""Which names mean which model: `provider:model`, the bare names of the two vendors, `local` and `scripted`.

Not here: whether a model is configured, and how it is asked.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from colonnade.runs.writing.model import WritingFailed

Provider = Literal["anthropic", "openai", "local", "scripted"]

ANTHROPIC_DEFAULT: Final = "claude-sonnet-4-6"
OPENAI_DEFAULT: Final = "gpt-5"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,119}")
_HOSTED: Final[dict[str, Provider]] = {"anthropic": "anthropic", "openai": "openai"}
_BARE: Final[dict[str, Provider]] = {"claude-": "anthropic", "gpt-": "openai", "chatgpt-": "openai"}
_WAYS_TO_NAME: Final = (
    "Name it as `anthropic:NAME`, `openai:NAME` (also for any OpenAI-compatible server), `local` or `scripted`."
)


@dataclass(frozen=True, slots=True)
class ModelName:
    """A provider and its own name for the model; `local` may stand without one."""

    provider: Provider
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A line of the manual: what to write in `defaultModel`, what it resolves to, what that is."""

    name: str
    resolves_to: str
    meaning: str


_LINES: Final = (
    KnownModel("claude-opus-4-8", "anthropic:claude-opus-4-8", "Anthropic, the larger model."),
    KnownModel(ANTHROPIC_DEFAULT, f"anthropic:{ANTHROPIC_DEFAULT}", "Anthropic; chosen when only its key is there."),
    KnownModel("claude-haiku-4-5", "anthropic:claude-haiku-4-5", "Anthropic, the quick model."),
    KnownModel(OPENAI_DEFAULT, f"openai:{OPENAI_DEFAULT}", "OpenAI; chosen when only its key is there."),
    KnownModel("claude-…", "anthropic:claude-…", "Any other model of Anthropic, by its own name."),
    KnownModel("gpt-…, chatgpt-…, o3", "openai:…", "Any other model of OpenAI, by its own name."),
    KnownModel(
        "anthropic:NAME", "anthropic:NAME", "NAME as Anthropic, or a server that speaks its protocol, calls it."
    ),
    KnownModel("openai:NAME", "openai:NAME", "NAME as OpenAI, or an OpenAI-compatible server, calls it."),
    KnownModel("local", "local:FILE", "The GGUF file of this installation, run inside the worker."),
    KnownModel("local:NAME", "local:NAME", "The same, refused unless NAME is that file's name without its ending."),
    KnownModel("scripted", "scripted", "No model: a text composed from the brand's facts, which says so itself."),
)


def known_models() -> tuple[KnownModel, ...]:
    """The lines of the catalogue for the manual, in the order in which people look for them."""
    return _LINES


def resolve(name: str) -> ModelName:
    """The model that a name means. A name that means none is refused with the ways to name one."""
    wanted = name.strip()
    if _NAME.fullmatch(wanted) is None:
        raise WritingFailed("model.not_configured", f"This is not the name of a model. {_WAYS_TO_NAME}")
    provider, separator, model = wanted.partition(":")
    if wanted == "scripted":
        return ModelName("scripted", "")
    if provider == "local":
        return ModelName("local", model)
    if model and provider in _HOSTED:
        return ModelName(_HOSTED[provider], model)
    bare = None if separator else _provider_of(wanted)
    if bare is None:
        raise WritingFailed("model.not_configured", f"No model is known as `{wanted}`. {_WAYS_TO_NAME}")
    return ModelName(bare, wanted)


def _provider_of(bare: str) -> Provider | None:
    if re.fullmatch(r"o[1-9][a-z0-9.-]*", bare):
        return "openai"
    return next((provider for start, provider in _BARE.items() if bare.startswith(start) and bare != start), None)
