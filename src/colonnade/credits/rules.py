"""What decides over credits: every level, every cap and every pool are compared by one function. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from colonnade.credits.books import Account
from colonnade.credits.counting import AGENCY, Count, borrow_subject
from colonnade.credits.cycles import CycleRule
from colonnade.credits.lots import Draw, Pool
from colonnade.credits.model import AGENCY_POOL_ID, Cycle, Hold, Source, pool_id
from colonnade.ground.core.amounts import ZERO, MilliCredits

Level = Literal["agency", "workspace", "key"]
Work = Literal["charge", "hold"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Credits that somebody wants for a workspace; `parts` splits them by feature where that is not one alone."""

    workspace_id: str
    feature: str
    amount: MilliCredits
    key_id: str | None = None
    kind: Work = "charge"
    parts: Mapping[str, MilliCredits] | None = None

    @property
    def by_feature(self) -> Mapping[str, MilliCredits]:
        """How much of it is wanted for which feature."""
        return {self.feature: self.amount} if self.parts is None else self.parts

    def needed(self, feature: str | None) -> MilliCredits:
        """What of it counts under a limit for the feature, or for all features."""
        if feature is None:
            return self.amount
        return self.by_feature.get(feature, ZERO)


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be taken in a cycle: by all, by a workspace or by a key, for one feature or for all."""

    id: str
    level: Level
    workspace_id: str | None
    key_id: str | None
    feature: str | None
    credits: MilliCredits

    @property
    def subject(self) -> str:
        """Under which name it is counted what the cap is compared with."""
        holder = {"agency": AGENCY, "workspace": self.workspace_id, "key": self.key_id}[self.level]
        return str(holder) if self.feature is None else f"{holder}#{self.feature}"


@dataclass(slots=True)
class Tally:
    """What a subject has taken in a cycle, used and held together, and what of it is used."""

    taken: MilliCredits = ZERO
    used: MilliCredits = ZERO


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that bounds what may be taken, and how it stands.

    Of a pool `available` is what it can pay for the workspace, what may be borrowed included; `most` is a cap's or a
    borrow limit's own number.
    """

    id: str
    kind: Literal["cap", "pool", "borrow"]
    source: Level
    workspace_id: str | None
    key_id: str | None
    feature: str | None
    most: MilliCredits | None
    taken: MilliCredits
    used: MilliCredits
    available: MilliCredits
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class WorkspaceTerms:
    """What a workspace's settings say about its credits."""

    source: Source
    borrow_limit: MilliCredits = ZERO
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that has not fired for its threshold in this cycle."""

    id: str
    workspace_id: str | None
    threshold_percent: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that has passed its threshold in a cycle: what was used, and what it is a share of."""

    alert: Alert
    cycle: date
    used: MilliCredits
    basis: MilliCredits


Known = Mapping[str, Any]
"""A movement that a caller's reference stands for already: the row of `credit_transfer`."""


@dataclass(slots=True)
class Standing:
    """How an agency's credits stand at one instant: all that a decision takes, and what has been decided since."""

    at: datetime
    cycle: Cycle
    zone: ZoneInfo
    rule: CycleRule
    pools: dict[str, Pool]
    tallies: dict[str, Tally]
    caps: Sequence[Cap]
    terms: Mapping[str, WorkspaceTerms]
    accounts: dict[str, Account] = field(default_factory=dict)
    expired: Mapping[str, Sequence[Draw]] = field(default_factory=dict)
    """What remained in lots whose time is over; the pools are without it."""
    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    held: dict[tuple[str, str], Hold] = field(default_factory=dict)
    """The same holds by source and reference."""
    draws: dict[str, Sequence[Draw]] = field(default_factory=dict)
    """What the holds that were asked for by their id drew on, in the order of drawing."""
    alerts: Sequence[Alert] = ()
    price_version: int = 0
    now: datetime | None = None
    """The transaction's own time, for records of it."""
    counts: dict[tuple[date, str], Count] = field(default_factory=dict)
    """What is to be added to the tallies, by cycle and subject."""
    bounds: dict[tuple[Any, ...], Sequence[Cap]] = field(default_factory=dict)
    tabs: dict[tuple[Any, ...], Sequence[tuple[Count, Tally]]] = field(default_factory=dict)
    """What was found already: the caps of a kind of wish in their order, and where its like is counted."""
    is_locked: bool = False
    """Whether nobody else decides meanwhile; what only looks may not write pools."""

    def keep(self, hold: Hold) -> None:
        """The hold as it stands now."""
        self.holds[hold.id] = self.held[hold.source, hold.reference] = hold

    def pool(self, name: str) -> Pool:
        """The pool with its lots; one that was never filled is empty."""
        return self.pools.setdefault(name, Pool(name))

    def tally(self, subject: str) -> Tally:
        """What the subject has taken in the current cycle."""
        return self.tallies.setdefault(subject, Tally())

    def day(self, at: datetime) -> date:
        """The day of the agency's calendar."""
        return at.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Allowed:
    """Yes: which lots pay, how much of it is borrowed from the agency's pool, and the rule in words."""

    pool_id: str
    draws: Sequence[Draw]
    borrowed: MilliCredits
    rule: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """No: the tightest limit, what it asks and leaves, and all that stop the wish, the tightest first."""

    required: MilliCredits
    limit: Limit
    limits: Sequence[Limit]

    @property
    def available(self) -> MilliCredits:
        """What the tightest limit leaves."""
        return self.limit.available


def limits(
    standing: Standing, workspace_id: str, features: Iterable[str] = (), key_id: str | None = None
) -> list[Limit]:
    """All that bounds the workspace, for these features and this key, in the order of precedence.

    Key, workspace, agency, each first for the feature and then for all; then the pool that pays, and the borrow limit.
    """
    return [
        *(_of_cap(standing, cap) for cap in _caps(standing, workspace_id, features, key_id)),
        funds(standing, workspace_id),
        *_lending(standing, workspace_id),
    ]


def _caps(standing: Standing, workspace_id: str, features: Iterable[str], key_id: str | None) -> Sequence[Cap]:
    """The caps among them, in the order of precedence."""
    named = tuple(features)
    like = (workspace_id, key_id, named)
    found = standing.bounds.get(like)
    if found is None:
        caps = [cap for cap in standing.caps if _applies(cap, workspace_id, set(named), key_id)]
        found = standing.bounds[like] = sorted(caps, key=_precedence)
    return found


_LEVELS: Final = {"key": 0, "workspace": 1, "agency": 2}


def _precedence(cap: Cap) -> tuple[int, bool, str]:
    return _LEVELS[cap.level], cap.feature is None, cap.feature or ""


def _applies(cap: Cap, workspace_id: str, features: set[str], key_id: str | None) -> bool:
    if cap.feature is not None and cap.feature not in features:
        return False
    if cap.level == "key":
        return key_id is not None and cap.key_id == key_id
    return cap.level == "agency" or cap.workspace_id == workspace_id


def _room(standing: Standing, cap: Cap) -> MilliCredits:
    """What the cap leaves."""
    return MilliCredits(max(cap.credits - standing.tally(cap.subject).taken, 0))


def _of_cap(standing: Standing, cap: Cap) -> Limit:
    tally = standing.tally(cap.subject)
    return Limit(
        id=cap.id,
        kind="cap",
        source=cap.level,
        workspace_id=cap.workspace_id,
        key_id=cap.key_id,
        feature=cap.feature,
        most=cap.credits,
        taken=tally.taken,
        used=tally.used,
        available=_room(standing, cap),
        ends_at=standing.cycle.ends_at,
    )


def funds(standing: Standing, workspace_id: str) -> Limit:
    """The pool that pays for the workspace, with what it may borrow."""
    own = pool_id(standing.terms[workspace_id].source, workspace_id)
    if own == AGENCY_POOL_ID:
        return pool_limit(standing, own, None)
    return pool_limit(standing, own, workspace_id, lent=_borrowable(standing, workspace_id))


def _payable(standing: Standing, workspace_id: str) -> int:
    """What that pool can pay, with what is lent to it."""
    own = standing.pool(pool_id(standing.terms[workspace_id].source, workspace_id)).available(standing.at)
    return own + _borrowable(standing, workspace_id)


def pool_limit(standing: Standing, name: str, workspace_id: str | None, *, lent: MilliCredits = ZERO) -> Limit:
    """What is in a pool, as a limit; and what is lent to it besides."""
    tally = standing.tally(name)
    return Limit(
        id=name,
        kind="pool",
        source="agency" if workspace_id is None else "workspace",
        workspace_id=workspace_id,
        key_id=None,
        feature=None,
        most=None,
        taken=tally.taken,
        used=tally.used,
        available=MilliCredits(standing.pool(name).available(standing.at) + lent),
        ends_at=standing.cycle.ends_at,
    )


def _lending(standing: Standing, workspace_id: str) -> Iterator[Limit]:
    """The borrow limit, where the workspace has one that counts."""
    terms = standing.terms[workspace_id]
    if terms.source is Source.AGENCY or not terms.borrow_limit:
        return
    borrowed = standing.tally(borrow_subject(workspace_id))
    yield Limit(
        id=borrow_subject(workspace_id),
        kind="borrow",
        source="workspace",
        workspace_id=workspace_id,
        key_id=None,
        feature=None,
        most=terms.borrow_limit,
        taken=borrowed.taken,
        used=borrowed.used,
        available=_borrowable(standing, workspace_id),
        ends_at=standing.cycle.ends_at,
    )


def _borrowable(standing: Standing, workspace_id: str) -> MilliCredits:
    """What the workspace may still take of the agency's pool once its own is empty."""
    terms = standing.terms[workspace_id]
    if terms.source is Source.AGENCY or not terms.borrow_limit:
        return ZERO
    left = terms.borrow_limit - standing.tally(borrow_subject(workspace_id)).taken
    return MilliCredits(max(min(left, standing.pool(AGENCY_POOL_ID).available(standing.at)), 0))


def left(standing: Standing, workspace_id: str) -> MilliCredits:
    """What the workspace may still use in this cycle, whatever for and by whom: the least of its pool and its caps."""
    return min(one.available for one in limits(standing, workspace_id) if one.kind != "borrow")


def decide(standing: Standing, wish: Wish) -> Allowed | Stopped:
    """Whether the wish is granted as things stand, and out of what; changes nothing."""
    features = (wish.feature,) if wish.parts is None else wish.parts
    caps = _caps(standing, wish.workspace_id, features, wish.key_id)
    is_within = all(wish.needed(cap.feature) <= _room(standing, cap) for cap in caps)
    if is_within and wish.amount <= _payable(standing, wish.workspace_id):
        return _funded(standing, wish, caps)
    all_of_them = limits(standing, wish.workspace_id, features, wish.key_id)
    stopping = [one for one in all_of_them if one.kind != "borrow" and wish.needed(one.feature) > one.available]
    stopping.sort(key=lambda one: one.available)  # of equal ones the first in the order of precedence stays first
    tightest = stopping[0]
    return Stopped(wish.needed(tightest.feature), tightest, stopping)


def _funded(standing: Standing, wish: Wish, caps: Sequence[Cap]) -> Allowed:
    name = pool_id(standing.terms[wish.workspace_id].source, wish.workspace_id)
    own = standing.pool(name)
    borrowed = MilliCredits(max(wish.amount - own.available(standing.at), 0))
    draws = own.plan(MilliCredits(wish.amount - borrowed), standing.at)
    if borrowed:
        draws += standing.pool(AGENCY_POOL_ID).plan(borrowed, standing.at)
    within = f" within {min(caps, key=lambda cap: _room(standing, cap)).id}" if caps else ""
    return Allowed(name, draws, borrowed, f"{name}{' + pool' if borrowed else ''}{within}")
