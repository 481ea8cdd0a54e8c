"""When a workspace was last active: noted at once, written in batches beside the workspace's own row."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.db.batches import BatchWriter
from colonnade.ground.db.database import Database

TOUCH: Final = "select touch_workspaces($1)"


class Activity:
    """Takes note of work in workspaces, by any number of agencies; the database's clock says when."""

    def __init__(self, database: Database, *, every_seconds: float = 1.0) -> None:
        self._database = database
        self._writer: BatchWriter[tuple[str, str]] = BatchWriter(
            "workspace activity", self._write, every_seconds=every_seconds
        )

    def touch(self, agency_id: str, workspace_id: str) -> None:
        """The workspace was active just now; returns at once, a workspace that is not there is passed over."""
        self._writer.add((agency_id, workspace_id))

    async def flush(self) -> None:
        """Write what was noted so far."""
        await self._writer.flush()

    async def close(self) -> None:
        """Write the rest and end."""
        await self._writer.close()

    async def _write(self, touched: Sequence[tuple[str, str]]) -> None:
        entries = [{"agency_id": agency, "workspace_id": workspace} for agency, workspace in sorted(set(touched))]
        await self._database.lookup(TOUCH, entries)
