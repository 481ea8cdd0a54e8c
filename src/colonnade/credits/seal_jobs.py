"""What runs behind the ledger: sealing what was entered, and making the statements of months that are over."""

import time
from typing import Final

import structlog

from colonnade.credits import closing
from colonnade.credits.offline import Wrong
from colonnade.credits.sealing import seal
from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.db.database import Database
from colonnade.tenancy import audit

_log = structlog.get_logger("colonnade.ledger")

TO_SEAL: Final = "select * from ledgers_to_seal($1)"
DUE: Final = "select * from statements_due($1)"

_AGENCIES: Final = 100
_BATCHES: Final = 20
_BROKEN_PAUSE_SECONDS: Final = 300.0


class LedgerSealer:
    """One for each worker; several take turns, agency by agency. An account of which an entry is missing is told, let
    alone for a while and looked at again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._broken: dict[tuple[str, str], float] = {}
        """Agency and account, and until when it is let alone."""

    async def round(self) -> int:
        """Seal what waits, those first that wait longest; how many entries that were."""
        now = time.monotonic()
        self._broken = {where: until for where, until in self._broken.items() if until > now}
        rows = await self._database.lookup(TO_SEAL, _AGENCIES + len(self._broken))
        return sum([await self._seal(row["agency_id"]) for row in rows])

    async def _seal(self, agency_id: str) -> int:
        entries = 0
        for _ in range(_BATCHES):
            leaving_out = [account for agency, account in self._broken if agency == agency_id]
            async with self._database.transaction(Reach(agency_id)) as tx:
                sealed = await seal(tx, leaving_out=leaving_out)
            entries += sealed.entries
            for account in sealed.broken:
                self._broken[agency_id, account] = time.monotonic() + _BROKEN_PAUSE_SECONDS
                _log.error("ledger.entry_missing", agency=agency_id, account=account)
            if not sealed.has_more:
                break
        return entries


async def make_statements(database: Database) -> int:
    """Make the statements of months that are over, agency by agency; how many that were."""
    made = 0
    for row in await database.lookup(DUE, _AGENCIES):
        house = audit.house(row["agency_id"])
        while True:
            async with database.transaction(house.reach) as tx:
                month = await closing.due_month(tx)
            if month is None:
                break
            found = await _close(database, house, month)
            if found is None:
                break
            made += found
    return made


async def _close(database: Database, house: Caller, month: closing.Month) -> int | None:
    """Close one month, each workspace in a transaction of its own; none when it has to stay open for now."""
    async with database.transaction(house.reach) as tx:
        spans = await closing.open_spans(tx, month)
    if spans is None:
        return None
    made, broken = 0, False
    for span in spans:
        try:
            async with database.transaction(house.reach) as tx:
                made += await closing.state(tx, house, month, span) is not None
        except Wrong as wrong:
            broken = True
            _log.exception("ledger.seal_broken", agency=house.agency_id, workspace=span.workspace_id)
            async with database.transaction(house.reach) as tx:
                await closing.note_broken(tx, house, month, span, wrong)
    if broken:
        return None
    async with database.transaction(house.reach) as tx:
        await closing.close(tx, month)
    return made
