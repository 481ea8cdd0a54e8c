"""Telling what was used: sums for reports, and the usage block of workspaces."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from colonnade.credits import report_store, usage_store
from colonnade.credits.model import WorkspaceUsage, midnight
from colonnade.credits.rules import left
from colonnade.credits.standing import Wanted, open_standing
from colonnade.credits.terms import Terms, terms
from colonnade.credits.usage_model import Days, GroupBy, Instants, UsageQuery, UsageQuestion, UsageReport
from colonnade.ground.core.amounts import MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import BadField, NotFound
from colonnade.ground.db.database import Tx

MOST_ROWS: Final = 100_000
"""What one answer holds in JSON."""


async def ask_usage(tx: Tx, caller: Caller, query: UsageQuery) -> UsageQuestion:
    """The question with its ends settled, where the caller may ask it at all."""
    caller.require("usage:read")
    if len(set(query.group_by)) < len(query.group_by):
        raise BadField("?groupBy", "names something twice")
    in_force = await terms(tx, [] if query.workspace_id is None else [query.workspace_id])
    if query.workspace_id is not None and query.workspace_id not in in_force.sources:
        raise BadField("?workspaceId", "is not a workspace within this key's reach")
    span = _span(query, in_force, in_force.at)
    return UsageQuestion(span, query.group_by, query.workspace_id, query.feature, query.is_unfunded)


async def usage(tx: Tx, caller: Caller, query: UsageQuery, *, most: int = MOST_ROWS) -> UsageReport:
    """What was used in a span, summed as asked, up to this moment. More groups than fit are refused, never cut."""
    caller.require("usage:read")
    question = await ask_usage(tx, caller, query)
    rows = await report_store.sums(tx, question, most + 1)
    if len(rows) > most:
        raise BadField(
            "?groupBy",
            f"makes more than {most} rows; ask for a shorter span, fewer groups, or `format=csv` or `ndjson`",
        )
    return UsageReport(question.group_by, rows)


def _span(query: UsageQuery, in_force: Terms, at: datetime) -> Days | Instants:
    """Days where whole ones are asked for: their sums are kept. Hours and unfunded work are told by events alone."""
    cycle = in_force.cycle(at)
    since = _instant(query.since, in_force) or cycle.starts_at
    until = _instant(query.until, in_force) or cycle.ends_at
    if until <= since:
        raise BadField("?to", "must lie after `from`")
    days = in_force.day(since), in_force.day(until)
    is_whole_days = (since, until) == tuple(midnight(day, in_force.zone) for day in days)
    if is_whole_days and GroupBy.HOUR not in query.group_by and not query.is_unfunded:
        return Days(*days)
    return Instants(since, until, in_force.zone.key)


def _instant(moment: date | None, in_force: Terms) -> datetime | None:
    if moment is None or isinstance(moment, datetime):
        return moment
    return midnight(moment, in_force.zone)


async def usage_of_workspace(tx: Tx, caller: Caller, workspace_id: str) -> WorkspaceUsage:
    """What the workspace has used in this cycle, and what is left to it: the least that its caps and its pool leave."""
    caller.require("usage:read")
    blocks = await usage_blocks(tx, [workspace_id])
    if workspace_id not in blocks:
        raise NotFound("workspace")
    return blocks[workspace_id]


async def usage_blocks(tx: Tx, workspace_ids: Sequence[str]) -> Mapping[str, WorkspaceUsage]:
    """The same for a whole page of workspaces in two queries; those out of reach are left out. Asks for no scope."""
    async with tx.widened() as whole:
        standing = await open_standing(whole, Wanted(workspaces=workspace_ids), locking=False)
        names = [name for name in workspace_ids if name in standing.terms and tx.reach.includes(name)]
        days = standing.cycle.starts_on, standing.day(standing.cycle.ends_at)
        used = await usage_store.by_feature(whole, names, days)
    ends_at = standing.cycle.ends_at
    return {
        name: WorkspaceUsage(MilliCredits(sum(used[name].values())), left(standing, name), ends_at, used[name])
        for name in names
    }


async def usage_block(tx: Tx, workspace_ids: Sequence[str]) -> dict[str, Any]:
    """Include `usage`: the same in the names of the wire."""
    return {
        name: {
            "creditsUsedThisCycle": to_number(found.used),
            "creditsRemaining": to_number(found.remaining),
            "cycleEndsAt": format_instant(found.cycle_ends_at),
            "byFeature": {feature: to_number(used) for feature, used in sorted(found.by_feature.items())},
        }
        for name, found in (await usage_blocks(tx, workspace_ids)).items()
    }
