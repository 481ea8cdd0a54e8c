"""The request log: every call of an agency's keys and people, also those that were refused at the door."""

from dataclasses import dataclass
from datetime import datetime

CallPlace = tuple[datetime, int]
"""A place in the order of calls: an instant, and a number for those of one instant."""


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One call; never a body, a query or a header."""

    number: int
    at: datetime
    address: str | None
    key_id: str | None
    member_id: str | None
    workspace_id: str | None
    method: str
    route: str | None
    path: str
    status: int
    duration_ms: float
    request_id: str
    code: str | None
    reason: str | None

    @property
    def place(self) -> CallPlace:
        """Where a list goes on behind this call."""
        return self.at, self.number


@dataclass(frozen=True, slots=True)
class CallFilters:
    """Which calls a page shows; a field that is none does not restrict."""

    since: datetime | None = None
    until: datetime | None = None
    key_id: str | None = None
    member_id: str | None = None
    workspace_id: str | None = None
    network: str | None = None
    """Calls from within it; a single address is a network of one."""
    method: str | None = None
    route: str | None = None
    statuses: tuple[int, int] | None = None
    """From the first to before the second."""
    request_id: str | None = None
    reason: str | None = None

    @property
    def of_refused(self) -> bool:
        """Whether calls that were answered well cannot be among them."""
        return self.reason is not None or (self.statuses is not None and self.statuses[0] >= 400)
