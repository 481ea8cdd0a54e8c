"""How cycles are kept."""

from datetime import datetime
from typing import Any, Final

from colonnade.credits.model import Cycle
from colonnade.ground.db.database import Tx

LAST_CYCLE: Final = """
select starts_on, starts_at, ends_at from credit_cycle where agency_id = $1 and starts_at <= $2
order by starts_at desc limit 1
"""

ADD_CYCLE: Final = """
insert into credit_cycle (agency_id, starts_on, starts_at, ends_at, rule, zone) values ($1, $2, $3, $4, $5, $6)
"""


async def last_cycle(tx: Tx, at: datetime) -> Cycle | None:
    """The latest cycle that has begun by then."""
    row = await tx.fetchrow(LAST_CYCLE, tx.agency_id, at)
    return None if row is None else Cycle(row["starts_on"], row["starts_at"], row["ends_at"])


async def add_cycle(tx: Tx, cycle: Cycle, rule: dict[str, Any], zone: str) -> None:
    """Let the cycle begin; the agency's credits are locked."""
    await tx.execute(ADD_CYCLE, tx.agency_id, cycle.starts_on, cycle.starts_at, cycle.ends_at, rule, zone)
