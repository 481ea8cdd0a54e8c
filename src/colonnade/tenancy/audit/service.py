"""Recording what was done, and reading it back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.events import EVENTS
from colonnade.ground.core.ids import new_ids
from colonnade.ground.db.database import Tx
from colonnade.tenancy.audit import store
from colonnade.tenancy.audit.model import Entry, Fact, Filters, known_address, payload_digest, without_keys
from colonnade.tenancy.audit.seals import Sealed


async def record(
    tx: Tx,
    caller: Caller,
    event: str,
    resource_id: str,
    *,
    workspace_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down what this command did, and announce it: the audit entry and the outbox row commit with the command.

    `before` and `after` are JSON values in the names of the wire; API keys in them are blotted out.
    """
    await record_all(tx, [(caller, Fact(event, resource_id, workspace_id, before, after))])


async def record_all(tx: Tx, facts: Sequence[tuple[Caller, Fact]]) -> None:
    """The same for a transaction that holds many commands: one statement, one entry for each, in the given order."""
    if facts:
        at = await tx.now()
        names = new_ids("aud", len(facts))
        await store.add(tx, [_entry(tx, *one, at, name) for one, name in zip(facts, names, strict=True)])


async def page(
    tx: Tx, caller: Caller, filters: Filters, *, limit: int, after_id: str | None = None
) -> tuple[list[Entry], bool]:
    """Entries of the agency from the newest on, behind the given one, and whether there are more."""
    caller.require("audit:read")
    entries = await store.page(tx, filters, limit=limit + 1, after_id=after_id)
    return entries[:limit], len(entries) > limit


async def export(tx: Tx, caller: Caller, *, log: str, wanted: str, asked: Mapping[str, Any]) -> None:
    """Allow an export of one of the logs and record it: what leaves the house in one piece is told like a change."""
    caller.require("audit:read")
    after = {"log": log, "format": wanted, "filters": dict(asked)}
    await record(tx, caller, "audit.exported", caller.agency_id, after=after)


async def sealed_after(tx: Tx, filters: Filters, last: Sealed | None, most: int) -> list[Sealed]:
    """At most so many entries behind the given one, each with its link in the chain: what an export is made of."""
    return await store.page_sealed(tx, filters, limit=most, after_id=None if last is None else last.entry.id)


def _entry(tx: Tx, caller: Caller, fact: Fact, at: datetime, name: str) -> Entry:
    assert fact.event in EVENTS, f"{fact.event} is not on the list of events"
    before = None if fact.before is None else without_keys(fact.before)
    after = None if fact.after is None else without_keys(fact.after)
    return Entry(
        agency_id=tx.agency_id,
        id=name,
        at=at,
        actor_kind=caller.kind.value,
        actor_id=caller.actor_id,
        actor_name=caller.actor_name,
        event=fact.event,
        resource_id=fact.resource_id,
        workspace_id=fact.workspace_id or _only_workspace(tx),
        before=before,
        after=after,
        payload_digest=payload_digest(before, after),
        request_id=caller.request_id,
        address=known_address(caller.address),
    )


def _only_workspace(tx: Tx) -> str | None:
    """A transaction that sees one workspace alone cannot have done anything elsewhere."""
    within = tx.reach.workspace_ids
    return within[0] if within is not None and len(within) == 1 else None
