"""Who tries: a credential as it is sent, and what the installation itself says it may do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import cycle
from typing import Any, Final


class State(Enum):
    """What has become of a credential."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"
    MISSING = "missing"


REFUSED_AS: Final = {
    State.REVOKED: frozenset({403}),
    State.EXPIRED: frozenset({403}),
    State.MISSING: frozenset({401, 429}),
}
"""How every call is answered that comes with a credential which is not good."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key, or some sessions of one member, under the name that reports use for it."""

    name: str
    kind: str
    """`agency`, `workspace`, `member` or `none`."""
    headers: Sequence[Mapping[str, str]]
    """What is sent; sessions have a low limit, so several of the same member take turns."""
    scopes: frozenset[str] = frozenset()
    workspace_id: str | None = None
    reaches_all: bool = True
    state: State = State.GOOD
    _turns: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", cycle(self.headers))

    @property
    def is_agency_wide(self) -> bool:
        """Whether it names the workspaces that it means itself."""
        return self.kind != "workspace"

    def next_headers(self) -> Mapping[str, str]:
        """The headers of the next call."""
        chosen: Mapping[str, str] = next(self._turns)
        return chosen


def told_by(name: str, headers: Sequence[Mapping[str, str]], told: Mapping[str, Any]) -> Credential:
    """The credential as `GET /v1/whoami` tells of it."""
    return Credential(
        name,
        told["kind"],
        headers,
        frozenset(told["scopes"]),
        told["workspaceId"],
        reaches_all=told["workspaces"] == "all",
    )


def nobody() -> Credential:
    """A call without any credential."""
    return Credential("no credential", "none", [{}], state=State.MISSING)


def ended(name: str, headers: Mapping[str, str], state: State) -> Credential:
    """A credential that was good once."""
    return Credential(name, "agency", [headers], state=state)
