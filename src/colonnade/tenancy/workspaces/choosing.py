"""Choosing workspaces for verbs that work on many of them at once, which ask for the scope; and telling of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces import store
from colonnade.tenancy.workspaces.model import Workspace


@dataclass(frozen=True, slots=True)
class Brief:
    """What a list of all workspaces tells of each: little, as there may be very many."""

    id: str
    name: str
    slug: str
    timezone: str
    created_at: datetime


ALL_ACTIVE: Final = f"""
select {store.COLUMNS} from workspace
where {store.WITHIN} and archived_at is null and ($3::text is null or tags @> array[$3::text])
order by id limit $4
"""


async def all_active(tx: Tx, *, tag: str | None, most: int) -> list[Workspace]:
    """Every active workspace in reach, perhaps only those with the tag; no more than `most`."""
    return [store.workspace_of(row) for row in await tx.fetch(ALL_ACTIVE, *store.reach_of(tx), tag, most)]


ROLL_CALL: Final = f"""
select id, name, slug, timezone, created_at from workspace where {store.WITHIN} and archived_at is null order by id
"""


async def roll_call(tx: Tx, caller: Caller) -> list[Brief]:
    """Every active workspace in reach, the oldest first, however many: one query, and little of each."""
    caller.require("workspaces:read")
    return [Brief(**dict(row)) for row in await tx.fetch(ROLL_CALL, *store.reach_of(tx))]


async def known(tx: Tx, ids: Sequence[str]) -> list[Workspace]:
    """Those of the ids that are there and in reach, archived or not, in no particular order."""
    return await store.find_many(tx, ids)
