"""Cycles: the spans in which caps and usage count, by the rule and the zone that the agency's settings name. Pure.

A cycle that has begun is never changed: another rule or another zone counts from its end on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from colonnade.credits.model import Cycle, midnight

_EPOCH: Final = date(2000, 1, 1)
"""Where rolling cycles are counted from that name no day of their own."""

_SHORTEST: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CycleRule:
    """Months that begin on a day of theirs, or spans of so many days that are counted from a date."""

    kind: Literal["month", "rolling"] = "month"
    days: int = 30
    anchor_day: int = 1
    anchor: date = _EPOCH

    @classmethod
    def of(cls, setting: Mapping[str, Any] | None) -> "CycleRule":
        """The rule that `creditCycle` says; a rolling one whose anchor is a day of the month begins on one such day."""
        if setting is None:
            return cls()
        anchor = setting.get("anchor", 1)
        if setting["kind"] == "month":
            return cls(anchor_day=anchor)
        first = _EPOCH.replace(day=anchor) if isinstance(anchor, int) else date.fromisoformat(anchor)
        return cls("rolling", setting["days"], anchor=first)

    def to_json(self) -> dict[str, Any]:
        """How the rule of a cycle is kept beside it."""
        if self.kind == "month":
            return {"kind": "month", "anchor": self.anchor_day}
        return {"kind": "rolling", "days": self.days, "anchor": self.anchor.isoformat()}

    def first_day(self, day: date) -> date:
        """The first day of the cycle that the day lies in."""
        if self.kind == "rolling":
            return day - timedelta(days=(day - self.anchor).days % self.days)
        this = day.replace(day=self.anchor_day)
        return this if this <= day else (this.replace(day=1) - timedelta(days=1)).replace(day=self.anchor_day)

    def next_day(self, first: date) -> date:
        """The first day of the cycle after the one that begins on this day."""
        if self.kind == "rolling":
            return first + timedelta(days=self.days)
        return (first.replace(day=1) + timedelta(days=32)).replace(day=self.anchor_day)


def aligned(rule: CycleRule, zone: ZoneInfo, at: datetime) -> Cycle:
    """The cycle that the instant lies in, by the rule alone."""
    first = rule.first_day(at.astimezone(zone).date())
    return Cycle(first, midnight(first, zone), midnight(rule.next_day(first), zone))


def following(rule: CycleRule, zone: ZoneInfo, last: Cycle | None, at: datetime) -> Cycle:
    """The cycle that the instant lies in, given the last one that has been; it begins no earlier than that ended.

    Where the rule or the zone has changed, the first one reaches from the old one's end to where the new rule begins
    its next: never for less than a day.
    """
    found = aligned(rule, zone, at)
    if last is None:
        return found
    assert last.ends_at <= at, "a cycle that is running is not followed by another"
    starts_at = max(found.starts_at, last.ends_at)
    starts_on = max(starts_at.astimezone(zone).date(), last.starts_on + timedelta(days=1))  # the name of a cycle
    ends_at = found.ends_at
    if starts_at == found.starts_at:
        return Cycle(starts_on, starts_at, ends_at)
    if ends_at - starts_at < _SHORTEST:
        ends_at = aligned(rule, zone, found.ends_at).ends_at
    return Cycle(starts_on, starts_at, ends_at)
