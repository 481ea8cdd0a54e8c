"""How a run's calls to others went, noted for the health of its workspace's integrations."""

import contextlib
from collections.abc import AsyncIterator, Callable

from colonnade import integrations
from colonnade.brand.content import PublishingFailed
from colonnade.ground.db.database import UNREACHABLE, Database
from colonnade.integrations import CannotOpen
from colonnade.runs.invocations.model import Run
from colonnade.runs.writing import WritingFailed


@contextlib.asynccontextmanager
async def noted(
    database: Database, run: Run, integration: Callable[[], str | None], target: str | None = None
) -> AsyncIterator[None]:
    """Note how the block ends for this integration, asked for at its end; none: nothing of the workspace's was used."""

    async def note(reason: str | None) -> None:
        name = integration()
        if name is not None:
            # A note that is lost is made up for by the next call; it is no reason for the run to stumble.
            with contextlib.suppress(*UNREACHABLE):
                async with database.transaction(run.reach) as tx:
                    await integrations.note_use(tx, run.workspace_id, name, target=target, reason=reason)

    try:
        yield
    except (WritingFailed, PublishingFailed) as failure:
        await note(failure.reason)
        raise
    except CannotOpen:
        await note("provider_keys.unreadable")
        raise
    await note(None)
