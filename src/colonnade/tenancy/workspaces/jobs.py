"""The purge: what other floors keep of a workspace goes first, then its rows batch by batch, at last its own row.

Every part can be done again, so a kill in between costs nothing: the next round goes on where this one ended.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.db.database import UNREACHABLE, Database
from colonnade.tenancy import audit
from colonnade.tenancy.workspaces import store

_log = structlog.get_logger("colonnade.purge")

DUE: Final = "select agency_id, workspace_id from purges_due($1)"
AT_ONCE: Final = 2_000
"""Rows of one batch: what a kill can undo, and for how long others wait at most."""

_PURGES: Final = 20
_SCOPES: Final = frozenset(
    {"workspaces:purge", "runs:read", "runs:cancel", "credits:transfer", "content:read", "audit:read"}
)

Step = Callable[[Database, Caller, str], Awaitable[bool]]
"""Lets go of what another floor keeps of the workspace; false while something is left, to be asked again later."""


async def purge_due(database: Database, steps: Sequence[Step], *, at_once: int = AT_ONCE) -> int:
    """Go on with every purge that was asked for; how many of them came to their end."""
    ended = 0
    for row in await database.lookup(DUE, _PURGES):
        try:
            ended += await _purge(database, Reach(row["agency_id"]), row["workspace_id"], steps, at_once)
        except UNREACHABLE:
            raise
        except Exception as error:
            _log.exception("purge.failed", workspace=row["workspace_id"], error=type(error).__name__)
    return ended


async def _purge(database: Database, reach: Reach, workspace_id: str, steps: Sequence[Step], at_once: int) -> bool:
    async with database.transaction(reach) as tx:
        by = await store.purging_by(tx, workspace_id)
    if by is None:
        return False
    caller = Caller(CallerKind(by["kind"]), reach, _SCOPES, by["id"], by["name"], by["requestId"])
    for step in steps:
        if not await step(database, caller, workspace_id):
            return False
    rows = await _erase_rows(database, reach, workspace_id, at_once)
    await _erase_payloads(database, caller, workspace_id)
    return await _bury(database, caller, workspace_id, rows)


async def _erase_rows(database: Database, reach: Reach, workspace_id: str, at_once: int) -> int:
    erased = 0
    while True:
        async with database.transaction(reach) as tx:
            gone = await store.purge_rows(tx, workspace_id, at_once)
        if not gone:
            return erased
        erased += gone


async def _erase_payloads(database: Database, caller: Caller, workspace_id: str) -> None:
    async with database.transaction(caller.reach) as tx:
        before = await tx.now()
    erased = audit.BATCH
    while erased == audit.BATCH:
        async with database.transaction(caller.reach) as tx:
            erased = await audit.erase_payloads(tx, caller, before=before, workspace_id=workspace_id)


async def _bury(database: Database, caller: Caller, workspace_id: str, rows: int) -> bool:
    async with database.transaction(caller.reach) as tx:
        # What was written since the last batch goes with the row itself.
        while await store.purge_rows(tx, workspace_id, AT_ONCE):
            continue
        if not await store.bury(tx, workspace_id):
            return False
        await audit.record(tx, caller, "workspaces.purged", workspace_id, workspace_id=workspace_id)
    _log.info("purge.ended", agency=caller.agency_id, workspace=workspace_id, rows=rows)
    return True
