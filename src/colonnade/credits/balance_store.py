"""How pools are read: what is available in them, what is held and what was used of them in a cycle."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from colonnade.credits.model import PoolBalance
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Tx

AVAILABLE: Final = """
select pool_id, sum(remaining)::bigint as available from credit_grant
where agency_id = $1 and pool_id = any ($2::text[]) and not is_spent and (expires_at is null or expires_at > $3)
group by pool_id
"""

BALANCES: Final = """
with pool as (
    select id, workspace_id from credit_account
    where agency_id = $1 and kind = 'pool' and ($4::text[] is null or workspace_id = any ($4))
), work as (
    select pool_id,
           sum(amount) filter (where state = 'open') as held,
           sum(captured) filter (where cycle = $3) as used
    from credit_hold where agency_id = $1 and (state = 'open' or cycle = $3)
    group by pool_id
), lot as (
    select pool_id, sum(remaining) as available from credit_grant
    where agency_id = $1 and not is_spent and (expires_at is null or expires_at > $2)
    group by pool_id
)
select pool.workspace_id, coalesce(held, 0)::bigint as held, coalesce(used, 0)::bigint as used,
       coalesce(available, 0)::bigint as available
from pool left join work on work.pool_id = pool.id left join lot on lot.pool_id = pool.id
order by pool.id
"""


async def available(tx: Tx, pool_names: Sequence[str], at: datetime) -> dict[str, MilliCredits]:
    """What may be spent now from each of the pools; one that was never granted anything has nothing."""
    rows = await tx.fetch(AVAILABLE, tx.agency_id, list(pool_names), at)
    known = {row["pool_id"]: row["available"] for row in rows}
    return {name: MilliCredits(known.get(name, 0)) for name in pool_names}


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
        )
        for row in rows
    ]
