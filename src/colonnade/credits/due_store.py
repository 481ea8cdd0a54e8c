"""How is found what ends by the clock: over all agencies by their ids alone, and then inside of each."""

from datetime import timedelta
from typing import Final

from colonnade.ground.db.database import Database, Tx

DUE: Final = "select * from credits_due($1)"
CYCLES: Final = "select * from cycles_due($1, $2)"


async def agencies_due(database: Database, most: int) -> list[str]:
    """Agencies in which the time of a grant or of a caller's hold is over, those first that wait longest."""
    return [row["agency_id"] for row in await database.lookup(DUE, most)]


async def cycles_due(database: Database, ahead: timedelta, most: int) -> list[str]:
    """Agencies whose last cycle ends so soon."""
    return [row["agency_id"] for row in await database.lookup(CYCLES, ahead, most)]


GRANTS: Final = """
select distinct workspace_id from credit_grant where agency_id = $1 and not is_spent and expires_at <= now()
order by workspace_id nulls first limit $2
"""
HOLDS: Final = """
select id from credit_hold where agency_id = $1 and state = 'open' and run_id is null and expires_at <= now()
order by expires_at, id limit $2
"""


async def pools_due(tx: Tx, most: int) -> list[str | None]:
    """Whose pools have grants whose time is over; none is the agency's own."""
    return [row["workspace_id"] for row in await tx.fetch(GRANTS, tx.agency_id, most)]


async def holds_due(tx: Tx, most: int) -> list[str]:
    """Holds of callers whose time is over, the oldest first."""
    return [row["id"] for row in await tx.fetch(HOLDS, tx.agency_id, most)]
