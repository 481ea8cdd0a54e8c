"""A worker as a process of its own, for the tests that kill it."""

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from colonnade.ground.db import embedded
from colonnade.ground.db.database import Pool
from colonnade.runs.engine.context import Context, DurableFunction
from colonnade.runs.engine.worker import Worker, WorkerOptions
from tests.runs.engine_fixtures import QUEUE, Diary, write


def functions(pool: Pool) -> dict[str, DurableFunction]:
    """What the process can run."""

    async def stumbling(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Three steps; the second hangs for whoever does it first, until that process is killed."""

        async def effect(name: str) -> str:
            async with pool.acquire() as connection:
                await write(connection, ctx.task_id, name, ctx.key(name))
            if name == "second" and ctx.attempt == 1:
                await asyncio.sleep(3600)
            return name

        return {"names": [await ctx.step(name, partial(effect, name)) for name in ("first", "second", "third")]}

    async def deadly(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Kills whoever runs it."""
        sys.stdout.flush()
        signal.raise_signal(signal.SIGKILL)
        return {}

    return {"stumbling": stumbling, "deadly": deadly}


async def main(folder: str, database: str, lease_seconds: str) -> None:
    """Work until told to stop."""
    arguments = embedded.locate(Path(folder)).arguments("colonnade_worker", database=database)
    async with asyncpg.create_pool(**arguments, min_size=2, max_size=8) as pool:
        options = WorkerOptions({QUEUE: 4}, int(lease_seconds), 0.3, 4, max_lost_leases=2)
        worker = Worker(pool, functions(pool), options, hooks=Diary())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
