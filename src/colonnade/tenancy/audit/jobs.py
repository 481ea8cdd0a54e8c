"""What runs behind the audit log: telling what happened to the reactions that a worker lists, sealing, verifying, and
letting go of what is past its time."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import UNREACHABLE, Database, Record, Tx
from colonnade.tenancy.audit.keeping import BATCH, cutoff, erase_payloads, house, note_verdict
from colonnade.tenancy.audit.model import Announcement
from colonnade.tenancy.audit.sealing import BATCH as SEAL_BATCH
from colonnade.tenancy.audit.sealing import seal
from colonnade.tenancy.audit.verifying import verify

_log = structlog.get_logger("colonnade.outbox")

CLAIM: Final = "select * from claim_outbox($1, $2, $3)"
DONE: Final = "delete from outbox where agency_id = $1 and id = $2"
DONE_ALL: Final = "delete from outbox where agency_id = $1 and id = any ($2)"

_BATCH: Final = 500
_LEASE_SECONDS: Final = 60


Reaction = Callable[[Tx, Announcement], Awaitable[None]]
"""Starts what follows from a fact, in a transaction of the fact's agency. It may be called again after a kill."""

Reactions = Mapping[str, Sequence[Reaction]]
"""The reactions by the name of the event."""


Heard = Callable[[Announcement], None]
"""Takes note of a fact, whether anything follows from it or not."""


def nobody_hears(_fact: Announcement) -> None:
    """Where nobody takes note."""


async def announce(database: Database, worker_id: str, reactions: Reactions, heard: Heard = nobody_hears) -> int:
    """Take a batch from the outbox and react to each; how many were taken. One that fails alone comes again later."""
    rows = await database.lookup(CLAIM, worker_id, _BATCH, _LEASE_SECONDS)
    for row in rows:
        heard(_announcement(row))
    silent: dict[str, list[str]] = {}
    for row in rows:
        if row["event"] in reactions:
            await _react(database, _announcement(row), reactions[row["event"]])
        else:
            silent.setdefault(row["agency_id"], []).append(row["id"])
    for agency_id, ids in sorted(silent.items()):
        async with database.transaction(Reach(agency_id)) as tx:
            await tx.execute(DONE_ALL, tx.agency_id, ids)
    return len(rows)


def _announcement(row: Record) -> Announcement:
    return Announcement(**{name: row[name] for name in Announcement.__slots__})


async def _react(database: Database, announcement: Announcement, reactions: Sequence[Reaction]) -> None:
    try:
        async with database.transaction(Reach(announcement.agency_id)) as tx:
            for reaction in reactions:
                await reaction(tx, announcement)
            await tx.execute(DONE, tx.agency_id, announcement.id)
    except Exception:
        _log.exception("outbox.reaction_failed", event_name=announcement.event, announcement=announcement.id)


TO_SEAL: Final = "select * from agencies_to_seal($1)"
TO_VERIFY: Final = "select * from agencies_to_verify($1, $2)"
TO_ERASE: Final = "select * from agencies_to_erase()"

_AGENCIES: Final = 100
_BATCHES: Final = 20
_LONGEST_PAUSE_SECONDS: Final = 300.0
VERIFY_EVERY: Final = timedelta(days=7)


class Sealer:
    """One for each worker; several take turns, agency by agency. One whose chain cannot be gone on with is tried again
    after ever longer pauses, and keeps no other waiting."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pauses: dict[str, tuple[float, float]] = {}
        """The agencies that failed: until when they are let alone, and for how long that is."""

    async def round(self) -> int:
        """Seal what waits, those first that wait longest; how many entries that were."""
        sealed = 0
        for row in await self._database.lookup(TO_SEAL, _AGENCIES + len(self._pauses)):
            agency_id = row["agency_id"]
            if self._pauses.get(agency_id, (0.0, 0.0))[0] <= time.monotonic():
                sealed += await self._try(agency_id)
        return sealed

    async def _try(self, agency_id: str) -> int:
        try:
            sealed = await _seal_one(self._database, Reach(agency_id))
        except UNREACHABLE:
            raise
        except Exception:
            pause = min(self._pauses.get(agency_id, (0.0, 0.5))[1] * 2, _LONGEST_PAUSE_SECONDS)
            self._pauses[agency_id] = (time.monotonic() + pause, pause)
            _log.exception("audit.sealing_failed", agency=agency_id, pause_seconds=pause)
            return 0
        self._pauses.pop(agency_id, None)
        return sealed


async def _seal_one(database: Database, reach: Reach) -> int:
    """Some batches of one agency, so that a long queue is not looked through for each of them."""
    sealed = 0
    for _ in range(_BATCHES):
        async with database.transaction(reach) as tx:
            made = await seal(tx)
        sealed += made
        if made < SEAL_BATCH:
            break
    return sealed


async def verify_due(database: Database, *, every: timedelta = VERIFY_EVERY, most: int = 20) -> int:
    """Verify the logs that nobody has looked at for so long, and remember what was found; how many that were."""
    rows = await database.lookup(TO_VERIFY, every, most)
    for row in rows:
        caller = house(row["agency_id"])
        async with database.transaction(caller.reach, read_only=True, snapshot=True) as tx:
            verdict = await verify(tx, caller)
        async with database.transaction(caller.reach) as tx:
            await note_verdict(tx, caller, verdict)
        if verdict.bad is not None:
            bad = verdict.bad
            _log.error("audit.seal_broken", agency=caller.agency_id, problem=bad.problem, position=bad.position)
    return len(rows)


async def erase_due(database: Database) -> int:
    """Take away the payloads that agencies no longer want to keep; of how many entries."""
    erased = 0
    for row in await database.lookup(TO_ERASE):
        caller = house(row["agency_id"])
        more = True
        while more:
            async with database.transaction(caller.reach) as tx:
                gone = await erase_payloads(tx, caller, before=cutoff(await tx.now(), row["days"]))
            erased += gone
            more = gone == BATCH
    return erased
