"""Keeping: what the house itself does with an agency's log in the course of time: verifies it, and lets payloads go."""

from datetime import datetime, timedelta
from typing import Final

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_request_id
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Tx
from colonnade.tenancy.audit import seal_store
from colonnade.tenancy.audit.seals import Verdict
from colonnade.tenancy.audit.service import record

BATCH: Final = 5000
"""How many entries lose their payload in one transaction."""


def house(agency_id: str) -> Caller:
    """The house itself, at work in one agency."""
    return Caller(
        CallerKind.OPERATOR, Reach(agency_id), AGENCY_SCOPES, "house", "Colonnade's own work", new_request_id()
    )


async def note_verdict(tx: Tx, caller: Caller, verdict: Verdict) -> None:
    """Remember how a verification ended; what is wrong becomes an event, so that somebody hears of it."""
    caller.require("audit:read")
    await seal_store.note_check(tx, await tx.now(), verdict.checked, verdict.bad)
    if verdict.bad is not None:
        bad = verdict.bad
        found = {"problem": bad.problem, "position": bad.position, "entryId": bad.entry_id}
        await record(tx, caller, "audit.seal_broken", caller.agency_id, after=found)


async def erase_payloads(
    tx: Tx, caller: Caller, *, before: datetime, workspace_id: str | None = None, most: int = BATCH
) -> int:
    """Take `before` and `after` away from at most so many older entries, or those of one workspace; how many it were.

    Their digests stay and so does the seal: `verify` calls them erased. Call again until it answers less than `most`.
    """
    caller.require("audit:read")
    erased = await seal_store.erase_payloads(tx, before, workspace_id, most)
    if erased:
        told = {"entries": erased, "before": format_instant(before)}
        await record(tx, caller, "audit.payloads_erased", caller.agency_id, workspace_id=workspace_id, after=told)
    return erased


def cutoff(now: datetime, days: int) -> datetime:
    """Older than this is past its time."""
    return now - timedelta(days=days)
