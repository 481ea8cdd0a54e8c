"""What runs behind credits by the clock. Any number of workers do it; what one has done the next finds done."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from colonnade.credits import due_store
from colonnade.credits.expiring import expire, follow_on
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import UNREACHABLE, Database, Tx
from colonnade.tenancy import audit

_log = structlog.get_logger("colonnade.credits")

AHEAD: Final = timedelta(minutes=1)
"""So long before a cycle ends the next one is made, by the settings of that moment."""

_AGENCIES: Final = 100


async def expire_due(database: Database) -> int:
    """End grants and holds whose time is over, agency by agency; how many that were."""
    due = await due_store.agencies_due(database, _AGENCIES)
    return sum([await _in_turn(database, agency_id, expire) for agency_id in due])


async def begin_cycles(database: Database) -> int:
    """Make the cycles that are about to begin, so that no charge has to; how many that were."""

    async def begin(tx: Tx, _caller: Caller) -> int:
        return int(await follow_on(tx, AHEAD))

    due = await due_store.cycles_due(database, AHEAD, _AGENCIES)
    return sum([await _in_turn(database, agency_id, begin) for agency_id in due])


async def _in_turn(database: Database, agency_id: str, duty: Callable[[Tx, Caller], Awaitable[int]]) -> int:
    """The duty in one agency; where it fails the others have theirs all the same."""
    caller = audit.house(agency_id)
    try:
        async with database.transaction(caller.reach) as tx:
            return await duty(tx, caller)
    except UNREACHABLE:
        raise
    except Exception:
        _log.exception("credits.clock_failed", agency=agency_id, duty=duty.__name__)
        return 0
