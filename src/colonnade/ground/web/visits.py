"""One visit: what is known of a request from its first byte to its log line."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from starlette.types import Scope

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import Refused

_KEY: Final = "colonnade.visit"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose call it was, as the request log keeps it."""

    agency_id: str | None = None
    workspace_id: str | None = None
    key_id: str | None = None
    member_id: str | None = None

    @classmethod
    def of(cls, caller: Caller) -> "Whose":
        """The caller's."""
        is_member = caller.kind is CallerKind.MEMBER
        key_id, member_id = (None, caller.actor_id) if is_member else (caller.actor_id, None)
        return cls(caller.agency_id, caller.workspace_id, key_id, member_id)


_NOBODYS: Final = Whose()


@dataclass(slots=True)
class Visit:
    """A request under way. The layers write into it; the answer's headers and the log are made from it."""

    request_id: str
    address: str | None
    method: str
    path: str
    headers: Mapping[bytes, bytes]
    """What was sent, by name in lower case; headers that may stand often are there with their last value."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    """Who the door let in; an operation binds it to this request, and to the workspace."""
    credential: object = None
    """What the doorkeeper has read of the credential just now, for the slice that keeps its kind."""
    csrf_token: str | None = None
    """What a write with this session has to bring along."""
    unknown: Refused | None = None
    """Why nobody is known although something was shown: a session that is over."""
    turned_away: Whose | None = None
    """Whose credential was shown that is known and no longer good, or not from there."""
    answer_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    route: str | None = None
    status: int = 0
    code: str | None = None
    reason: str | None = None
    duration_ms: float = 0.0

    @property
    def mode(self) -> str:
        """`live`, unless a test key calls."""
        return "live" if self.caller is None else self.caller.mode

    def put_on(self, scope: Scope) -> None:
        """Let the layers below find it."""
        scope[_KEY] = self

    def log_entry(self) -> dict[str, Any]:
        """The row of the request log; never a body, a header or a query."""
        whose = Whose.of(self.caller) if self.caller is not None else self.turned_away or _NOBODYS
        return {
            "agency_id": whose.agency_id,
            "workspace_id": whose.workspace_id,
            "request_id": self.request_id,
            "at": self.at,
            "key_id": whose.key_id,
            "member_id": whose.member_id,
            "address": self.address,
            "method": self.method,
            "path": self.path.replace("\0", "?"),  # no column keeps a NUL
            "route": self.route,
            "status": self.status,
            "duration_ms": round(self.duration_ms, 3),
            "code": self.code,
            "reason": self.reason,
        }


def visit_of(scope: Scope) -> Visit:
    """The visit that the outermost layer put there."""
    visit: Visit = scope[_KEY]
    return visit
