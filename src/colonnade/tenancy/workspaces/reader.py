"""The reader of single workspaces: whoever asks at the same moment is answered by one trip to the database.

Every answer is made of the row that was read just now. What is kept is the work alone: a row that says the same as
before is not taken apart again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.batches import SharedCall
from colonnade.ground.db.database import UNREACHABLE, Database, Record, scope_of, unavailable
from colonnade.ground.db.jsonb import decode
from colonnade.tenancy.workspaces import settings as rules
from colonnade.tenancy.workspaces.model import WORKSPACE, EffectiveSettings, Workspace
from colonnade.tenancy.workspaces.store import COLUMNS

READ: Final = "select * from read_workspaces($1, $2, $3)"

_NAMES: Final = ("scope", *COLUMNS.split(", "), "agency_settings", "last_active_at", "templates")
_AS_JSON: Final = frozenset({"metadata", "settings", "brand", "white_label", "agency_settings", "templates"})
_TAGS: Final = _NAMES.index("tags")
_LONG: Final = tuple(_NAMES.index(name) for name in sorted(_AS_JSON))
_FACTS: Final = ("tags", *_NAMES[1:_TAGS], *_NAMES[_TAGS + 1 :])
_KEPT: Final = 1024
_LARGE: Final = 8192
"""Characters of a row that is too large to be kept."""

_Ask = tuple[Reach, str]
_Facts = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """A workspace with what holds for it and when it was last active. Views of one content may be one object."""

    workspace: Workspace
    in_force: EffectiveSettings
    last_active_at: datetime | None
    templates: Sequence[Mapping[str, Any]]
    written: dict[tuple[str, ...], bytes] = field(default_factory=dict, compare=False)
    """How this very content was written for callers before, by the blocks that were wanted."""


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
        wanted = [(reach.agency_id, scope_of(reach), workspace_id) for reach, workspace_id in asks]
        columns = zip(*dict.fromkeys(wanted), strict=True)
        try:
            rows = await self._database.lookup(READ, *columns)
        except UNREACHABLE as error:
            raise unavailable() from error
        views = {(row["agency_id"], row["scope"], row["id"]): _view(row) for row in rows}
        return [views.get(one) for one in wanted]


def _view(row: Record) -> WorkspaceView:
    """The view of a row; the whole content is the key, so another content is never answered with."""
    facts = (tuple(row[_TAGS]), *row[1:_TAGS], *row[_TAGS + 1 :])
    size = sum([len(row[place]) for place in _LONG])
    return _view_of(facts) if size < _LARGE else _view_of.__wrapped__(facts)


@lru_cache(_KEPT)
def _view_of(facts: _Facts) -> WorkspaceView:
    values = {name: decode(value) if name in _AS_JSON else value for name, value in zip(_FACTS, facts, strict=True)}
    agency, last_active_at, templates = (
        values.pop(name) for name in ("agency_settings", "last_active_at", "templates")
    )
    workspace = Workspace(**values)
    return WorkspaceView(workspace, rules.effective(agency, workspace.settings), last_active_at, templates)
