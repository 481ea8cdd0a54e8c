"""The nouns of reports: what may be asked about usage, and what a report holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from operator import itemgetter

from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Record


class GroupBy(Enum):
    """What usage may be summed by."""

    WORKSPACE = "workspace"
    FEATURE = "feature"
    KEY = "key"
    MODEL = "model"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which usage, from a day or instant on and up to before another, summed by what; by nothing is one line.

    Days are those of the agency's calendar; an end that is not given is that of the current cycle.
    """

    since: date | None = None
    until: date | None = None
    group_by: tuple[GroupBy, ...] = ()
    workspace_id: str | None = None
    feature: str | None = None
    is_unfunded: bool = False


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of the agency's calendar: the first of them, and the one before which they end."""

    first: date
    end: date


@dataclass(frozen=True, slots=True)
class Instants:
    """A span that may cut days, and the zone in which days and months are told."""

    since: datetime
    until: datetime
    zone: str


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """A query whose ends are settled, and which the asker may ask."""

    span: Days | Instants
    group_by: tuple[GroupBy, ...] = ()
    workspace_id: str | None = None
    feature: str | None = None
    is_unfunded: bool = False
    """Of work alone that nothing could pay for; credits are what it would have cost. Never of whole days."""


UsageRow = Record
"""A group's values in the order of the question, then its credits and its events.

A key or a model that there was none of is empty; days and months are dates, hours are times of UTC.
"""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The groups of a question."""

    group_by: tuple[GroupBy, ...]
    rows: Sequence[UsageRow]

    @property
    def credits(self) -> MilliCredits:
        """The sum of all."""
        return MilliCredits(sum(map(itemgetter(-2), self.rows)))

    @property
    def events(self) -> int:
        """How many events that were."""
        return sum(map(itemgetter(-1), self.rows))
