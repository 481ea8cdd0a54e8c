"""Usage by months: partitions are made ahead and dropped whole, and ids of events forgotten when they are old."""

from typing import Final

import asyncpg
import structlog

from colonnade.credits.event_model import OLDEST_MONTHS
from colonnade.ground.db.database import Database

_log = structlog.get_logger("colonnade.usage")

FEWEST_MONTHS: Final = OLDEST_MONTHS
"""Events may be told that are so old, so at least so many months are kept; and so long is an event's id known."""

_AHEAD: Final = 2
_LONGEST_SECONDS: Final = 3600.0
"""Where no worker ran for months, a whole month of events has to move into the place of its own."""

KEEP_MONTHS: Final = "select keep_usage_months($1, $2)"
FORGET_IDS: Final = "select forget_event_ids($1)"


async def keep_usage_months(database: Database, kept: int) -> int:
    """Make the next month of usage that is missing, or drop the oldest one beyond those that are kept.

    One change each time, so that whoever reports or reads usage waits for no more than that; none when nothing is due,
    or when somebody was using it for too long: then it is done in the next round.
    """
    try:
        async with database.pool.acquire() as connection:
            month = await connection.fetchval(KEEP_MONTHS, _AHEAD, kept, timeout=_LONGEST_SECONDS)
    except asyncpg.LockNotAvailableError:
        _log.info("usage.months_busy")
        return 0
    if month is None:
        return 0
    _log.info("usage.month_kept", month=month)
    return 1


async def forget_event_ids(database: Database, most: int) -> int:
    """Forget ids of events that were told more than thirteen months ago; how many, at most so many at once."""
    return int((await database.lookup(FORGET_IDS, most))[0][0])
