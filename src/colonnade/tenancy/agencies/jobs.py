"""What a test twin takes over from its live agency when that changes."""

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy.agencies import service, store


class TwinFollower:
    """The reaction to a changed agency: its test twin, where it has one, gets the same profile and settings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, tx: Tx, _announcement: object) -> None:
        """Bring the twin to what the agency is now; called again, it finds nothing to change."""
        # Held until the twin is written, so that of two changes the later one is also the last to arrive.
        live = await store.find_locked(tx)
        twin = None if live is None else await store.find_twin(self._database, live.id)
        if live is None or twin is None:
            return
        async with self._database.transaction(Reach(twin)) as theirs:
            await service.take_over(theirs, live)
