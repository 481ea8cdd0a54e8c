"""How many runs of three journaled steps a worker carries out in a second.

`python bench/engine_steps.py [runs] [slots]` starts a PostgreSQL of its own, with fsync on, and stops it again.
"""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import Claim, NewTask, Outcome
from colonnade.runs.engine.schema import install
from colonnade.runs.engine.worker import Worker, WorkerOptions

QUEUE = "bulk"


class _Nothing:
    """Hooks of a house without rows."""

    async def ended(self, connection: Connection, claim: Claim, outcome: Outcome) -> None:
        """Adds nothing."""

    async def lost_lease(self, connection: Connection, claim: Claim, lost: int) -> None:
        """Adds nothing."""


async def _three_steps(ctx: Context, _params: dict[str, Any]) -> dict[str, Any]:
    async def instant() -> int:
        return 1

    return {"sum": sum([await ctx.step(name, instant) for name in ("one", "two", "three")])}


async def _no_reset(_connection: Connection) -> None:
    """As the house's own pools."""


async def _install(address: Address) -> None:
    owner = await asyncpg.connect(**address.arguments("colonnade_owner"))
    async with owner.transaction():
        await install(owner)
    await owner.close()


async def _spawn(pool: Pool, runs: int) -> float:
    begin = time.perf_counter()
    async with pool.acquire() as connection:
        await gateway.spawn_all(
            connection, QUEUE, [NewTask("three_steps", {"n": n}, f"bench-{n}") for n in range(runs)]
        )
    return time.perf_counter() - begin


async def _measure(address: Address, runs: int, slots: int) -> None:
    await _install(address)
    async with asyncpg.create_pool(
        **address.arguments("colonnade_worker"), min_size=16, max_size=16, reset=_no_reset
    ) as pool:
        options = WorkerOptions({QUEUE: slots, "interactive": 4, "system": 2})
        worker = Worker(pool, {"three_steps": _three_steps}, options, hooks=_Nothing())
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0.5)
        used = _cpu_seconds()
        await asyncio.sleep(5)
        print(f"idle: {(_cpu_seconds() - used) / 5:.1%} of a core in the worker")
        used, begin = _cpu_seconds(), time.perf_counter()
        print(f"{runs} tasks spawned in {await _spawn(pool, runs) * 1000:.0f} ms")
        while worker.counters.finished < runs:
            await asyncio.sleep(0.01)
        seconds = time.perf_counter() - begin
        print(
            f"{runs / seconds:.0f} runs/s, {(_cpu_seconds() - used) / runs * 1000:.2f} ms of the worker's CPU for each"
        )
        worker.stop()
        await running


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure once and print."""
    runs, slots = (int(word) for word in (*sys.argv[1:], *("1000", "32")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="colonnade-bench-") as folder:
        cluster = embedded.start(Path(folder))
        try:
            asyncio.run(_measure(cluster.address, runs, slots))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
