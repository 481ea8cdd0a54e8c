"""Choosing workspaces for verbs that work on many of them at once; ask for no scope, the verb does."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces import store
from colonnade.tenancy.workspaces.model import Workspace

ALL_ACTIVE: Final = f"""
select {store.COLUMNS} from workspace
where {store.WITHIN} and archived_at is null and ($3::text is null or tags @> array[$3::text])
order by id limit $4
"""


async def all_active(tx: Tx, *, tag: str | None, most: int) -> list[Workspace]:
    """Every active workspace in reach, perhaps only those with the tag; no more than `most`."""
    return [store.workspace_of(row) for row in await tx.fetch(ALL_ACTIVE, *store.reach_of(tx), tag, most)]


async def known(tx: Tx, ids: Sequence[str]) -> list[Workspace]:
    """Those of the ids that are there and in reach, archived or not, in no particular order."""
    return await store.find_many(tx, ids)
