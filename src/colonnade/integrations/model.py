"""The nouns of own provider keys: which providers, what is shown of a key, and how its text is checked. No I/O."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from colonnade.ground.core.envelope import MasterKeys, unseal
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import BadField, NotFound
from colonnade.ground.core.secrets import Secret

Level = Literal["workspace", "agency"]

PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "ahrefs": "Ahrefs",
    "dataforseo": "DataForSEO",
    "apollo": "Apollo",
    "instantly": "Instantly",
}
"""Every provider for which an own key may be stored, with its name."""

LEAST: Final = 8
MOST: Final = 4096
_HINTED_FROM: Final = 16
_TABLE: Final = "provider_key"


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """What may be shown of a stored key: never the key."""

    id: str
    workspace_id: str | None
    provider: str
    hint: str
    created_by: str
    created_at: datetime

    @property
    def level(self) -> Level:
        """Whether it is the agency's, for all of its workspaces, or one workspace's own."""
        return "agency" if self.workspace_id is None else "workspace"


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a key lies; all of it is bound to what is sealed there."""

    agency_id: str
    workspace_id: str | None
    provider: str
    id: str

    @property
    def context(self) -> tuple[str, ...]:
        """What the envelope authenticates."""
        return (_TABLE, self.agency_id, self.workspace_id or "", self.provider, self.id)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A stored key as it lies in its slot."""

    slot: Slot
    sealed: bytes


class OwnKeys(Mapping[str, str]):
    """The own keys that hold in a workspace, by provider; each is opened only when it is asked for, none is shown."""

    def __init__(self, masters: MasterKeys, sealed: Mapping[str, SealedKey]) -> None:
        self._masters = masters
        self._sealed = sealed

    def __getitem__(self, provider: str) -> str:
        kept = self._sealed[provider]
        return unseal(self._masters, kept.sealed, kept.slot.context)

    def __contains__(self, provider: object) -> bool:
        return provider in self._sealed

    def __iter__(self) -> Iterator[str]:
        return iter(self._sealed)

    def __len__(self) -> int:
        return len(self._sealed)

    def __repr__(self) -> str:
        return f"OwnKeys({', '.join(sorted(self._sealed))})"


def new_slot(agency_id: str, workspace_id: str | None, provider: str) -> Slot:
    """A place for a new key; another key for the same provider later gets another one."""
    return Slot(agency_id, workspace_id, provider, new_id("conn"))


def known_provider(name: str) -> str:
    """The provider, if it is on the list."""
    if name not in PROVIDERS:
        raise NotFound("provider")
    return name


def checked(secret: Secret) -> Secret:
    """The key without white space around it; refuses what can be no key, without repeating it."""
    text = secret.reveal().strip()
    if not LEAST <= len(text) <= MOST:
        raise BadField("/key", f"must have {LEAST} to {MOST} characters")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise BadField("/key", "must not contain control characters")
    return Secret(text)


def hint_of(secret: Secret) -> str:
    """The last four characters; nothing of a key that is too short to spare them."""
    return secret.hint if len(secret.reveal()) >= _HINTED_FROM else ""
