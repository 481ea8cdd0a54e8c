"""How usage is kept: events line by line, and their roll-up by day, written together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from colonnade.credits.model import Hold, Quantity
from colonnade.credits.store import columns
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Tx

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
