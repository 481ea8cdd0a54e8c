"""How pools are read: what is available in them, what is held of them and what was used of them in a cycle."""

from datetime import date, datetime
from typing import Final

from colonnade.credits.model import PoolBalance
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Tx

# What a hold has borrowed is the agency's: it is used last and goes back first.
BALANCES: Final = """
with pool as (
    select id, workspace_id from credit_account
    where agency_id = $1 and kind = 'pool' and (workspace_id is null or version > 0)
      and ($4::text[] is null or workspace_id = any ($4))
), hold as (
    select pool_id, amount - captured as rest, least(amount - captured, borrowed) as lent from credit_hold
    where agency_id = $1 and state = 'open'
), work as (
    select pool_id, sum(held)::bigint as held
    from (select pool_id, rest - lent as held from hold union all select 'pool', lent from hold where lent > 0) as part
    group by pool_id
), lot as (
    select pool_id, sum(remaining)::bigint as available from credit_grant
    where agency_id = $1 and not is_spent and (expires_at is null or expires_at > $2)
    group by pool_id
)
select pool.workspace_id, coalesce(work.held, 0) as held, coalesce(tally.used, 0) as used,
       coalesce(lot.available, 0) as available, cap.credits as cap
from pool
left join work on work.pool_id = pool.id
left join lot on lot.pool_id = pool.id
left join credit_tally tally on tally.agency_id = $1 and tally.cycle = $3 and tally.subject = pool.id
left join credit_cap cap on cap.agency_id = $1 and cap.feature is null and cap.level <> 'key'
     and cap.workspace_id is not distinct from pool.workspace_id
order by pool.id
"""


async def balances(tx: Tx, at: datetime, cycle: date) -> list[PoolBalance]:
    """Every pool within reach: of the agency's own the whole truth takes the whole agency in reach."""
    within = tx.reach.workspace_ids
    rows = await tx.fetch(BALANCES, tx.agency_id, at, cycle, None if within is None else list(within))
    return [
        PoolBalance(
            workspace_id=row["workspace_id"],
            held=MilliCredits(row["held"]),
            used=MilliCredits(row["used"]),
            available=MilliCredits(row["available"]),
            cap=None if row["cap"] is None else MilliCredits(row["cap"]),
        )
        for row in rows
    ]
