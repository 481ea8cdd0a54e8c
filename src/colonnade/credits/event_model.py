"""Usage of work done elsewhere, as others tell of it: one event, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from colonnade.credits.model import Quantity
from colonnade.ground.core.amounts import MilliCredits

MOST_EVENTS: Final = 1000
"""In one call."""

OLDEST_MONTHS: Final = 13
"""Events are taken that are so old, and ids of events are known for so long."""

AHEAD: Final = timedelta(minutes=5)
"""How far the clock of a sender may run ahead."""


@dataclass(slots=True)
class ToldEvent:
    """Work that was done elsewhere. Workspace, source and id together are its identity."""

    id: str
    source: str
    workspace_id: str
    feature: str
    credits: MilliCredits | None = None
    quantity: Quantity | None = None
    model: str | None = None
    time: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """By which a repeat is known."""
        return self.workspace_id, self.source, self.id

    @property
    def share(self) -> tuple[str, str]:
        """With which others it is charged."""
        return self.workspace_id, self.feature


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that is no event: the id that it has nevertheless, if it has one, and what is wrong with it."""

    id: str | None
    detail: str


class EventStatus(Enum):
    """What became of an event. Recorded and unfunded ones are both kept; only of those credits were taken."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    UNFUNDED = "unfunded"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What became of one event, and why where it is not simply recorded."""

    id: str | None
    status: EventStatus
    reason: str | None = None
    detail: str | None = None


def oldest_time(now: datetime) -> datetime:
    """Since when events are taken: thirteen months, and up to three days more, where a month is shorter."""
    year, month = divmod(now.year * 12 + now.month - 1 - OLDEST_MONTHS, 12)
    return now.replace(year=year, month=month + 1, day=min(now.day, 28))
