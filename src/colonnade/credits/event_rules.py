"""Which told events are events, what they cost, and which of them something can pay for. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

from colonnade.credits.event_model import AHEAD, EventOutcome, EventStatus, Misfit, ToldEvent, oldest_time
from colonnade.credits.lots import Draw
from colonnade.credits.model import PriceList
from colonnade.credits.refusing import refusal
from colonnade.credits.rules import Allowed, Standing, Stopped, Wish, decide
from colonnade.credits.taking import take
from colonnade.ground.core.amounts import MOST, ZERO, MilliCredits
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import Refused

_DUPLICATE: Final = "An event with this workspace, source and id was told before."


@dataclass(slots=True)
class Line:
    """An event that fits, with what it costs, and why it is not paid for if it is not."""

    told: ToldEvent
    cost: MilliCredits
    unit_price: MilliCredits | None
    refused: Refused | None = None
    is_known: bool = False
    """Whether it was told before."""


@dataclass(slots=True)
class Share:
    """What the events of one workspace and feature are charged together: one transfer, with them as its lines."""

    workspace_id: str
    feature: str
    pool_id: str
    rule: str
    amount: MilliCredits = ZERO
    borrowed: MilliCredits = ZERO
    draws: list[Draw] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def add(self, lines: Iterable[Line], wish: Wish, allowed: Allowed) -> None:
        """These lines are paid for as well."""
        self.lines += lines
        self.amount = MilliCredits(self.amount + wish.amount)
        self.borrowed = MilliCredits(self.borrowed + allowed.borrowed)
        self._draw(allowed.draws)

    def _draw(self, draws: Iterable[Draw]) -> None:
        for draw in draws:
            if self.draws and self.draws[-1] == replace(draw, amount=self.draws[-1].amount):
                self.draws[-1] = replace(draw, amount=MilliCredits(self.draws[-1].amount + draw.amount))
            else:
                self.draws.append(draw)


class Judge:
    """Tells events from what is none, in the order of their coming, by what is known at one instant."""

    def __init__(self, workspaces: Collection[str], prices: PriceList, now: datetime) -> None:
        self._workspaces = workspaces
        self._prices = prices
        self._since, self._until = oldest_time(now), now + AHEAD
        self._seen: set[tuple[str, str, str]] = set()

    def of(self, told: ToldEvent | Misfit) -> Line | EventOutcome:
        """The event with its cost, or what is wrong with it."""
        if isinstance(told, Misfit):
            return invalid(told.id, told.detail)
        if told.workspace_id not in self._workspaces:
            return invalid(told.id, "/workspaceId names no workspace within this key's reach")
        if told.time is not None and not self._since <= told.time <= self._until:
            span = f"{format_instant(self._since)} to {format_instant(self._until)}"
            return invalid(told.id, f"/time must lie within {span}")
        if told.identity in self._seen:
            return duplicate(told.id)
        line = self._priced(told)
        if isinstance(line, Line):
            self._seen.add(told.identity)
        return line

    def _priced(self, told: ToldEvent) -> Line | EventOutcome:
        if told.credits is not None:
            return Line(told, told.credits, None)
        try:
            unit_price = self._prices.of(told.feature)
        except KeyError:
            return invalid(told.id, "/feature has no price: tell `credits`, or set a price for it")
        cost = self._prices.cost(told.feature, told.quantity or 0)
        if cost > MOST:
            return invalid(told.id, "/quantity costs more than a trillion credits")
        return Line(told, cost, unit_price)


def invalid(event_id: str | None, detail: str) -> EventOutcome:
    """The outcome of what is no event."""
    return EventOutcome(event_id, EventStatus.INVALID, "request.invalid", detail)


def duplicate(event_id: str) -> EventOutcome:
    """The outcome of an event that is known already: it counts once, whatever it tells now."""
    return EventOutcome(event_id, EventStatus.DUPLICATE, None, _DUPLICATE)


def outcome(line: Line | EventOutcome) -> EventOutcome:
    """The outcome of an event that is kept, or was before."""
    if isinstance(line, EventOutcome):
        return line
    if line.is_known:
        return duplicate(line.told.id)
    if line.refused is None:
        return EventOutcome(line.told.id, EventStatus.RECORDED)
    return EventOutcome(line.told.id, EventStatus.UNFUNDED, line.refused.reason, line.refused.sentence)


Shares = dict[tuple[str, str], Share]
"""By workspace and feature."""


def days(lines: Sequence[Line], standing: Standing, at: datetime) -> list[tuple[date, str, str, str, int, int]]:
    """What counts on which day of the agency's calendar: day, workspace, feature, model, credits and events."""
    sums: dict[tuple[date, str, str, str], tuple[int, int]] = {}
    now = standing.day(at)
    known: dict[datetime, date] = {}
    for line in lines:
        told = line.told
        day = now if told.time is None else known.get(told.time)
        if day is None:
            day = known[told.time or at] = standing.day(told.time or at)
        key = (day, told.workspace_id, told.feature, told.model or "")
        credits, events = sums.get(key, (0, 0))
        sums[key] = credits + (line.cost if line.refused is None else 0), events + 1
    return [(*key, *found) for key, found in sums.items()]


def set_archived_apart(standing: Standing, lines: Sequence[Line]) -> None:
    """Nothing is charged in an archived workspace; what was done there is told nevertheless."""
    archived = {name for name, terms in standing.terms.items() if terms.is_archived}
    for line in lines:
        if line.cost and line.told.workspace_id in archived:
            line.refused = Refused("workspace.archived", "The workspace is archived, so nothing is charged there.")


def pay_together(standing: Standing, lines: Sequence[Line], key_id: str | None) -> Shares | None:
    """Take what all of them cost; none when something is short, and then the standing is of no use any more."""
    shares: Shares = {}
    for (workspace_id, feature), some in _grouped(lines).items():
        wish = Wish(workspace_id, feature, MilliCredits(sum(line.cost for line in some)), key_id)
        allowed = decide(standing, wish)
        if isinstance(allowed, Stopped):
            return None
        _pay(standing, shares, wish, allowed, some)
    return shares


def pay_in_turn(standing: Standing, lines: Sequence[Line], key_id: str | None) -> Shares:
    """Take what they cost one after the other; those that nothing can pay for are left, each with the reason."""
    shares: Shares = {}
    for line in lines:
        if not line.cost or line.refused is not None:
            continue
        wish = Wish(line.told.workspace_id, line.told.feature, line.cost, key_id)
        allowed = decide(standing, wish)
        if isinstance(allowed, Stopped):
            line.refused = refusal(allowed)
        else:
            _pay(standing, shares, wish, allowed, [line])
    return shares


def _grouped(lines: Sequence[Line]) -> Mapping[tuple[str, str], list[Line]]:
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.cost and line.refused is None:
            groups.setdefault((line.told.workspace_id, line.told.feature), []).append(line)
    return groups


def _pay(standing: Standing, shares: Shares, wish: Wish, allowed: Allowed, lines: Sequence[Line]) -> None:
    take(standing, wish, allowed)
    key = (wish.workspace_id, wish.feature)
    if key not in shares:
        shares[key] = Share(*key, allowed.pool_id, allowed.rule)
    shares[key].add(lines, wish, allowed)
