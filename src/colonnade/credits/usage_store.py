"""How usage is kept: events line by line, and their roll-up by day, written together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from colonnade.credits.model import GroupBy, Hold, Quantity, UsageQuery, UsageRow
from colonnade.credits.store import columns
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Record, Tx

ADD_EVENTS: Final = """
insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, model, run_id, hold_id, transfer_id, cycle,
                         credits, quantity)
select $1, $2, $3, e.id, e.feature, $4, e.model, $5, $6, e.transfer_id, $7, e.credits, e.quantity
from unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::numeric[])
     as e (id, feature, model, transfer_id, credits, quantity)
"""

# Rows in key order, so that two batches never wait for each other in a circle.
ADD_DAILY: Final = """
insert into usage_daily as d (agency_id, day, workspace_id, feature, key_id, model, credits, events)
select $1, $2, $3, e.feature, coalesce($4, ''), coalesce(e.model, ''), sum(e.credits), count(*)
from unnest($5::text[], $6::text[], $7::bigint[]) as e (feature, model, credits)
group by e.feature, coalesce(e.model, '')
order by e.feature, coalesce(e.model, '')
on conflict (agency_id, day, workspace_id, feature, key_id, model) do update
set credits = d.credits + excluded.credits, events = d.events + excluded.events
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of usage under its id, and the transfer that charged it, if it cost anything."""

    id: str
    feature: str
    model: str | None
    transfer_id: str | None
    credits: int
    quantity: Quantity


async def add(tx: Tx, hold: Hold, events: Sequence[Event], *, at: datetime, day: date) -> None:
    """Write what the work under the hold used: the events, and the day that they count in."""
    if not events:
        return
    rows = [(e.id, e.feature, e.model, e.transfer_id, e.credits, e.quantity) for e in events]
    work = (hold.workspace_id, at, hold.key_id, hold.run_id, hold.id, hold.cycle)
    await tx.execute(ADD_EVENTS, tx.agency_id, *work, *columns(rows))
    daily = [(e.feature, e.model, e.credits) for e in events]
    await tx.execute(ADD_DAILY, tx.agency_id, day, hold.workspace_id, hold.key_id, *columns(daily))


# Groups of the roll-up, by the agency's own days; and of the events, which alone know the hour.
_DAILY: Final[Mapping[GroupBy, str]] = {
    GroupBy.WORKSPACE: "workspace_id",
    GroupBy.FEATURE: "feature",
    GroupBy.KEY: "nullif(key_id, '')",
    GroupBy.MODEL: "nullif(model, '')",
    GroupBy.DAY: "to_char(day, 'YYYY-MM-DD')",
    GroupBy.MONTH: "to_char(day, 'YYYY-MM')",
}
_EVENTS: Final[Mapping[GroupBy, str]] = {
    GroupBy.WORKSPACE: "workspace_id",
    GroupBy.FEATURE: "feature",
    GroupBy.KEY: "key_id",
    GroupBy.MODEL: "model",
    GroupBy.HOUR: """to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24":00:00.000Z"')""",
    GroupBy.DAY: "to_char(at at time zone $7, 'YYYY-MM-DD')",
    GroupBy.MONTH: "to_char(at at time zone $7, 'YYYY-MM')",
}

_WITHIN: Final = """
where agency_id = $1 and ($2::text[] is null or workspace_id = any ($2))
  and ($3::text is null or workspace_id = $3) and ($4::text is null or feature = $4)
"""


def _sums(groups: Mapping[GroupBy, str], group_by: Sequence[GroupBy]) -> tuple[str, str]:
    """The group columns of a question, and its grouping; every text is one of the constants above."""
    names = [f"{groups[one]} as group_{number}" for number, one in enumerate(group_by)]
    numbers = ", ".join(str(number) for number in range(1, len(names) + 1))
    return "".join(f"{name}, " for name in names), f"group by {numbers} order by {numbers}" if names else ""


async def by_day(tx: Tx, query: UsageQuery, days: tuple[date, date], most: int) -> list[UsageRow]:
    """Sums from the roll-up, for days that are asked for whole: first day inclusive, last one exclusive."""
    groups, order = _sums(_DAILY, query.group_by)
    sql = f"""
    select {groups} coalesce(sum(credits), 0)::bigint as credits, coalesce(sum(events), 0)::bigint as events
    from usage_daily {_WITHIN} and day >= $5 and day < $6 {order} limit $7
    """
    rows = await tx.fetch(sql, tx.agency_id, _reach(tx), query.workspace_id, query.feature, *days, most)
    return [_row(row) for row in rows]


async def by_event(tx: Tx, query: UsageQuery, span: tuple[datetime, datetime], zone: str, most: int) -> list[UsageRow]:
    """Sums from the events themselves, for hours and for spans that cut a day."""
    groups, order = _sums(_EVENTS, query.group_by)
    sql = f"""
    select {groups} coalesce(sum(credits), 0)::bigint as credits, count(*) as events
    from usage_event {_WITHIN} and at >= $5 and at < $6 and $7::text is not null {order} limit $8
    """
    rows = await tx.fetch(sql, tx.agency_id, _reach(tx), query.workspace_id, query.feature, *span, zone, most)
    return [_row(row) for row in rows]


def _reach(tx: Tx) -> list[str] | None:
    within = tx.reach.workspace_ids
    return None if within is None else list(within)


def _row(row: Record) -> UsageRow:
    *group, credits, events = row.values()
    return UsageRow(tuple(group), MilliCredits(credits), events)


BLOCKS: Final = """
with used as (
    select workspace_id, feature, sum(credits)::bigint as credits from usage_daily
    where agency_id = $1 and workspace_id = any ($2::text[]) and day >= $4 and day < $5
    group by workspace_id, feature
), lot as (
    select pool_id, sum(remaining)::bigint as available from credit_grant
    where agency_id = $1 and pool_id = any ($3::text[]) and not is_spent and (expires_at is null or expires_at > $6)
    group by pool_id
)
select w.id, coalesce(lot.available, 0) as remaining,
       (select coalesce(jsonb_object_agg(used.feature, used.credits), '{}') from used
        where used.workspace_id = w.id) as used
from unnest($2::text[], $3::text[]) as w (id, pool_id) left join lot using (pool_id)
"""


async def blocks(
    tx: Tx, pools: Mapping[str, str], days: tuple[date, date], at: datetime
) -> dict[str, tuple[MilliCredits, dict[str, MilliCredits]]]:
    """For each workspace, given with its pool: what the pool has left, and what was used by feature. One query."""
    rows = await tx.fetch(BLOCKS, tx.agency_id, list(pools), list(pools.values()), *days, at)
    return {row["id"]: (MilliCredits(row["remaining"]), row["used"]) for row in rows}
