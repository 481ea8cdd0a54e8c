"""Taking what the rules have allowed: out of the lots, and into the tallies that later decisions look at. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from colonnade.credits.counting import Count, borrow_subject, holders
from colonnade.credits.model import AGENCY_POOL_ID
from colonnade.credits.rules import Allowed, Standing, Tally, Wish
from colonnade.ground.core.amounts import ZERO, MilliCredits


def take(standing: Standing, wish: Wish, allowed: Allowed) -> None:
    """Take what was allowed, so that the next decision sees it: out of the lots, and into the tallies."""
    for draw in allowed.draws:
        name = draw.pool_id or allowed.pool_id
        standing.pool(name).take(draw)
    if allowed.borrowed or wish.parts is not None:
        for count in taking(wish, allowed, standing.cycle.starts_on):
            add(standing, count)
        return
    used = wish.amount if wish.kind == "charge" else 0
    for count, tally in _tab(standing, wish, allowed):
        count.taken += wish.amount
        count.used += used
        tally.taken = MilliCredits(tally.taken + wish.amount)
        tally.used = MilliCredits(tally.used + used)


def _tab(standing: Standing, wish: Wish, allowed: Allowed) -> Sequence[tuple[Count, Tally]]:
    """Where all is counted that is wished for one feature, by the same, out of one pool; found once."""
    like = (wish.workspace_id, wish.key_id, wish.feature, allowed.pool_id)
    found = standing.tabs.get(like)
    if found is None:
        cycle = standing.cycle.starts_on
        nothing = replace(wish, amount=ZERO)
        counts = [_counted(standing, one) for one in taking(nothing, allowed, cycle)]
        found = standing.tabs[like] = [(one, standing.tally(one.subject)) for one in counts]
    return found


def taking(wish: Wish, allowed: Allowed, cycle: date) -> Iterator[Count]:
    """How the wish is counted: by whom, for what, and out of whose pool."""
    name, is_used = wish.workspace_id, wish.kind == "charge"
    for subject, of_workspace in holders(name, wish.key_id):
        yield _count(cycle, subject, of_workspace, wish.amount, is_used)
        for feature, part in wish.by_feature.items():
            yield _count(cycle, f"{subject}#{feature}", of_workspace, part, is_used)
    yield from _paying(cycle, name, allowed, wish.amount, is_used)


def _paying(cycle: date, name: str, allowed: Allowed, amount: int, is_used: bool) -> Iterator[Count]:
    of_workspace = None if allowed.pool_id == AGENCY_POOL_ID else name
    yield _count(cycle, allowed.pool_id, of_workspace, amount - allowed.borrowed, is_used)
    if allowed.borrowed:
        yield _count(cycle, AGENCY_POOL_ID, None, allowed.borrowed, is_used)
        yield _count(cycle, borrow_subject(name), name, allowed.borrowed, is_used)


def _count(cycle: date, subject: str, workspace_id: str | None, amount: int, is_used: bool) -> Count:
    return Count(cycle, subject, workspace_id, amount, amount if is_used else 0)


def _counted(standing: Standing, like: Count) -> Count:
    """What is to be added to that tally so far."""
    sums = standing.counts.get((like.cycle, like.subject))
    if sums is None:
        sums = Count(like.cycle, like.subject, like.workspace_id, 0, 0)
        standing.counts[like.cycle, like.subject] = sums
    return sums


def add(standing: Standing, count: Count) -> None:
    """Count it, for the decisions to come and to be written."""
    sums = _counted(standing, count)
    sums.taken += count.taken
    sums.used += count.used
    if count.cycle == standing.cycle.starts_on:
        tally = standing.tally(count.subject)
        tally.taken = MilliCredits(tally.taken + count.taken)
        tally.used = MilliCredits(tally.used + count.used)
