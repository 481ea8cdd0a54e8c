"""The reader of single workspaces: whoever asks at the same moment is answered by one trip to the database.

Nothing is kept between trips, so an answer is never older than the question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.batches import SharedCall
from colonnade.ground.db.database import UNREACHABLE, Database, Record, scope_of, unavailable
from colonnade.tenancy.workspaces import settings as rules
from colonnade.tenancy.workspaces.model import WORKSPACE, EffectiveSettings, Workspace
from colonnade.tenancy.workspaces.store import workspace_of

READ: Final = "select * from read_workspaces($1, $2, $3)"

_Ask = tuple[Reach, str]


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """A workspace with what holds for it and when it was last active."""

    workspace: Workspace
    in_force: EffectiveSettings
    last_active_at: datetime | None


class WorkspaceReader:
    """One for each process. Every caller's question is asked within that caller's own reach."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calls: SharedCall[_Ask, WorkspaceView | None] = SharedCall("workspace reads", self._read)

    async def read(self, caller: Caller, workspace_id: str) -> WorkspaceView:
        """The workspace with this id; one out of reach is not found."""
        caller.require("workspaces:read")
        view = await self._calls.ask((caller.reach, workspace_id))
        if view is None:
            raise NotFound(WORKSPACE)
        return view

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._calls.close()

    async def _read(self, asks: Sequence[_Ask]) -> list[WorkspaceView | None]:
        distinct = list(dict.fromkeys(asks))
        columns = (
            [reach.agency_id for reach, _ in distinct],
            [scope_of(reach) for reach, _ in distinct],
            [workspace_id for _, workspace_id in distinct],
        )
        try:
            rows = await self._database.lookup(READ, *columns)
        except UNREACHABLE as error:
            raise unavailable() from error
        views = {distinct[row["place"] - 1]: _view(row) for row in rows}
        return [views.get(ask) for ask in asks]


def _view(row: Record) -> WorkspaceView:
    workspace = workspace_of(row)
    return WorkspaceView(workspace, rules.effective(row["agency_settings"], workspace.settings), row["last_active_at"])
