"""Alerts on usage: which of them are reached as things stand, and against what usage is held. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from colonnade.credits.counting import AGENCY, borrow_subject
from colonnade.credits.model import AGENCY_POOL_ID, Source, pool_id
from colonnade.credits.rules import Alert, Firing, Standing
from colonnade.ground.core.amounts import ZERO, MilliCredits

CHANNELS: Final = ("mail", "webhook")

MOST_PERCENT: Final = 1000
MOST_OF_A_KIND: Final = 20
"""So many alerts may be about the agency, and as many about each workspace: every charge looks at them."""


@dataclass(frozen=True, slots=True)
class UsageAlert:
    """An alert as somebody set it; without a workspace it is about the agency."""

    id: str
    workspace_id: str | None
    threshold_percent: int
    channels: tuple[str, ...]
    is_active: bool
    fired_at: datetime | None
    """When it fired for this threshold in the running cycle."""
    created_at: datetime
    updated_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True)
class AlertNews:
    """What there is to tell of an alert that fired: the last time it did."""

    workspace_id: str | None
    channels: tuple[str, ...]
    threshold_percent: int
    used: MilliCredits
    basis: MilliCredits
    at: datetime
    cycle_ends_at: datetime

    @property
    def percent(self) -> int:
        """How much of it is used, in whole percents."""
        return self.threshold_percent if not self.basis else self.used * 100 // self.basis


def crossings(standing: Standing, elsewhere: MilliCredits = ZERO) -> list[Firing]:
    """The alerts that are reached as things stand, of those that have not fired in this cycle.

    `elsewhere` is what lies in pools that are not at hand: it belongs to what the agency may use.
    """
    found: list[Firing] = []
    for alert in standing.alerts:
        used = standing.tally(alert.workspace_id or AGENCY).used
        basis = _basis(standing, alert, elsewhere)
        if used > 0 and used * 100 >= alert.threshold_percent * basis:
            found.append(Firing(alert, standing.cycle.starts_on, used, MilliCredits(basis)))
    return found


def needs_the_rest(standing: Standing, firings: Sequence[Firing]) -> bool:
    """Whether one of them is about all of the agency's grants, so that pools that are not at hand count as well."""
    return _cap(standing, None) is None and any(one.alert.workspace_id is None for one in firings)


def _basis(standing: Standing, alert: Alert, elsewhere: int) -> int:
    """What the usage is a share of: the cap on all of it, else all that was there to be used in the cycle."""
    cap = _cap(standing, alert.workspace_id)
    if cap is not None:
        return cap
    if alert.workspace_id is not None:
        return _usable(standing, alert.workspace_id)
    return (
        standing.tally(AGENCY).taken + sum(pool.available(standing.at) for pool in standing.pools.values()) + elsewhere
    )


def _cap(standing: Standing, workspace_id: str | None) -> MilliCredits | None:
    """The cap on everything that the agency, or the workspace, does in a cycle."""
    level = "agency" if workspace_id is None else "workspace"
    caps = [cap for cap in standing.caps if (cap.level, cap.workspace_id, cap.feature) == (level, workspace_id, None)]
    return caps[0].credits if caps else None


def _usable(standing: Standing, workspace_id: str) -> int:
    """What was there for the workspace to use in this cycle: taken of its pool already, or still in it.

    Where its own pool may borrow, what it borrowed and what it still may belong to it.
    """
    terms = standing.terms[workspace_id]
    own = pool_id(terms.source, workspace_id)
    usable = standing.tally(own).taken + standing.pool(own).available(standing.at)
    if terms.source is Source.AGENCY or not terms.borrow_limit:
        return usable
    borrowed = standing.tally(borrow_subject(workspace_id)).taken
    there = standing.pool(AGENCY_POOL_ID).available(standing.at)
    return usable + borrowed + max(min(terms.borrow_limit - borrowed, there), 0)
