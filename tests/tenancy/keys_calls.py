"""Verbs of the keys slice, each in a transaction of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys
from colonnade.tenancy.keys import Changes, Draft, Key, Minted
from tests.factories import Home


async def mint(database: Database, caller: Caller, draft: Draft, workspace_id: str | None = None) -> Minted:
    async with database.transaction(caller.reach) as tx:
        return await keys.mint(tx, caller, draft, workspace_id=workspace_id)


async def update(database: Database, caller: Caller, key: Key, **changes: Any) -> Key:
    async with database.transaction(caller.reach) as tx:
        return await keys.update(tx, caller, key.id, Changes(**changes), workspace_id=key.workspace_id)  # type: ignore[typeddict-item]


async def revoke(database: Database, caller: Caller, key: Key) -> Key:
    async with database.transaction(caller.reach) as tx:
        return await keys.revoke(tx, caller, key.id, workspace_id=key.workspace_id)


async def roll(database: Database, caller: Caller, key: Key, overlap_seconds: int = 0) -> Minted:
    async with database.transaction(caller.reach) as tx:
        return await keys.roll(tx, caller, key.id, workspace_id=key.workspace_id, overlap_seconds=overlap_seconds)


async def page(database: Database, caller: Caller, workspace_id: str | None = None) -> list[Key]:
    async with database.transaction(caller.reach, read_only=True) as tx:
        return (await keys.page(tx, caller, workspace_id=workspace_id))[0]


async def facts(database: Database, home: Home, key: Key) -> list[str]:
    async with database.transaction(home.reach) as tx:
        rows = await tx.fetch(
            "select event from audit_entry where agency_id = $1 and resource_id = $2 order by id", tx.agency_id, key.id
        )
    return [row["event"] for row in rows]


async def now(database: Database, home: Home) -> datetime:
    """The database's present instant."""
    async with database.transaction(home.reach) as tx:
        return await tx.now()


@contextmanager
def refused(reason: str) -> Iterator[dict[str, Any]]:
    told: dict[str, Any] = {}
    with pytest.raises(Refused) as refusal:
        yield told
    assert refusal.value.reason == reason
    told.update(refusal.value.details, pointers=[error.pointer for error in refusal.value.errors])
