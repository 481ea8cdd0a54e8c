"""Which workspace a request names: asked before anything else of it is read, and mostly known already."""

from typing import Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id
from colonnade.ground.db.database import Database
from colonnade.tenancy.workspaces import store

EXTERNAL: Final = "ext:"
_KEPT: Final = 20_000


class WorkspaceFinder:
    """Finds a workspace by its id or by `ext:` and the agency's own id for it.

    A workspace never leaves its agency, so ids that were seen once are not asked for again; an external id can move.
    """

    def __init__(self, database: Database, *, kept: int = _KEPT) -> None:
        self._database = database
        self._most = kept
        self._known: dict[tuple[str, str], None] = {}

    async def find(self, caller: Caller, named: str) -> str | None:
        """The id, if the workspace is there and within the caller's reach."""
        if named.startswith(EXTERNAL):
            return await self._external(caller, named.removeprefix(EXTERNAL))
        if not is_id("ws", named) or not caller.reach.includes(named):
            return None
        if (caller.agency_id, named) in self._known:
            return named
        async with self._database.transaction(caller.reach, read_only=True) as tx:
            found = await store.find(tx, named)
        if found is None:
            return None
        self._keep(caller.agency_id, named)
        return named

    async def _external(self, caller: Caller, external_id: str) -> str | None:
        if not external_id.isprintable():
            return None
        async with self._database.transaction(caller.reach, read_only=True) as tx:
            found = await store.find_by_external(tx, external_id)
        return None if found is None else found.id

    def _keep(self, agency_id: str, workspace_id: str) -> None:
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[agency_id, workspace_id] = None
