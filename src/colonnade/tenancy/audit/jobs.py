"""Telling what happened: takes announcements from the outbox and starts the reactions that a worker lists."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Record, Tx

_log = structlog.get_logger("colonnade.outbox")

CLAIM: Final = "select * from claim_outbox($1, $2, $3)"
DONE: Final = "delete from outbox where agency_id = $1 and id = $2"
DONE_ALL: Final = "delete from outbox where agency_id = $1 and id = any ($2)"

_BATCH: Final = 500
_LEASE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Announcement:
    """A fact that was committed: ids alone; whoever reacts reads what is true by then."""

    agency_id: str
    id: str
    workspace_id: str | None
    event: str
    resource_id: str
    audit_id: str
    at: datetime


Reaction = Callable[[Tx, Announcement], Awaitable[None]]
"""Starts what follows from a fact, in a transaction of the fact's agency. It may be called again after a kill."""

Reactions = Mapping[str, Sequence[Reaction]]
"""The reactions by the name of the event."""


async def announce(database: Database, worker_id: str, reactions: Reactions) -> int:
    """Take a batch from the outbox and react to each; how many were taken. One that fails alone comes again later."""
    rows = await database.lookup(CLAIM, worker_id, _BATCH, _LEASE_SECONDS)
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
