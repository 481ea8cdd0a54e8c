"""Sums of usage in every way of grouping: from the roll-up for whole days, from the events themselves for all else."""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from colonnade.credits.usage_model import Days, GroupBy, UsageQuestion
from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Record, Tx

BATCH: Final = 500
"""How many groups of a long answer are held at once."""

ORDER: Final = tuple(GroupBy[name] for name in ("MONTH", "DAY", "HOUR", "WORKSPACE", "FEATURE", "KEY", "MODEL"))
"""Rows come in the order of the roll-up's index, whatever a question names first, so that nothing has to be sorted."""

# No key and no model are '' in the roll-up, and here too: a group is a plain column or cheap to make of one.
_DAILY: Final[Mapping[GroupBy, str]] = {
    GroupBy.MONTH: "date_trunc('month', day::timestamp)::date",
    GroupBy.DAY: "day",
    GroupBy.WORKSPACE: "workspace_id",
    GroupBy.FEATURE: "feature",
    GroupBy.KEY: "key_id",
    GroupBy.MODEL: "model",
}
_EVENTS: Final[Mapping[GroupBy, str]] = {
    GroupBy.MONTH: "date_trunc('month', at at time zone $4)::date",
    GroupBy.DAY: "(at at time zone $4)::date",
    GroupBy.HOUR: "date_trunc('hour', at at time zone 'UTC')",
    GroupBy.WORKSPACE: "workspace_id",
    GroupBy.FEATURE: "feature",
    GroupBy.KEY: "coalesce(key_id, '')",
    GroupBy.MODEL: "coalesce(model, '')",
}

_FROM_DAILY: Final = """
select {groups} bigint_sum(credits) as credits, bigint_sum(events) as events
from usage_daily where agency_id = $1 and day >= $2 and day < $3 {within} {order}
"""
_FROM_EVENTS: Final = """
select {groups} bigint_sum(credits) as credits, count(*) as events
from usage_event where agency_id = $1 and at >= $2 and at < $3 and $4::text is not null {within} {order}
"""
# What nothing could pay for is told by what it would have cost.
_FROM_UNFUNDED: Final = """
select {groups} bigint_sum(coalesce(would_cost, 0)) as credits, count(*) as events
from usage_event
where agency_id = $1 and at >= $2 and at < $3 and $4::text is not null and not is_funded {within} {order}
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A text made of the constants above, and what stands for its numbers."""

    sql: str
    arguments: tuple[Any, ...]


def statement(reach: Reach, question: UsageQuestion) -> Statement:
    """What is asked of the database, within this reach."""
    span = question.span
    groups, text = (_DAILY, _FROM_DAILY) if isinstance(span, Days) else (_EVENTS, _FROM_EVENTS)
    text = _FROM_UNFUNDED if question.is_unfunded else text
    arguments: list[Any] = [reach.agency_id, *dataclasses.astuple(span)]
    within = []
    for condition, value in _narrowings(reach, question):
        arguments.append(value)
        within.append(f"and {condition.format(len(arguments))}")
    names = "".join(f"{groups[one]}, " for one in question.group_by)
    sql = text.format(groups=names, within=" ".join(within), order=_order(groups, question.group_by))
    return Statement(sql, tuple(arguments))


def _narrowings(reach: Reach, question: UsageQuestion) -> list[tuple[str, Any]]:
    """Only what narrows is said: a condition that lets everything through is asked of every row all the same."""
    wanted = [
        ("workspace_id = any (${}::text[])", None if reach.workspace_ids is None else list(reach.workspace_ids)),
        ("workspace_id = ${}", question.workspace_id),
        ("feature = ${}", question.feature),
    ]
    return [(condition, value) for condition, value in wanted if value is not None]


def _order(groups: Mapping[GroupBy, str], group_by: Sequence[GroupBy]) -> str:
    """A month beside its day needs no group of its own in the roll-up, where it would stand in the index's way."""
    is_told = {GroupBy.MONTH} if groups is _DAILY and GroupBy.DAY in group_by else set()
    columns = ", ".join(groups[one] for one in ORDER if one in group_by and one not in is_told)
    return f"group by {columns} order by {columns}" if columns else ""


async def sums(tx: Tx, question: UsageQuestion, most: int) -> list[Record]:
    """The groups' values in the order of the question, then credits and events; at most so many."""
    asked = statement(tx.reach, question)
    return await tx.fetch(f"{asked.sql} limit {most:d}", *asked.arguments)


def all_sums(tx: Tx, question: UsageQuestion) -> AsyncIterator[Sequence[Record]]:
    """The same without an end, some at a time, all of one instant."""
    asked = statement(tx.reach, question)
    return tx.batches(asked.sql, *asked.arguments, most=BATCH)
