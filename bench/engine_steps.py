"""Runs of three journaled steps: by the engine, and by hand as the same writes without an engine."""

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import asyncpg
import psutil

from bench.load import Tick
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import Claim, NewTask, Outcome
from colonnade.runs.engine.worker import Worker, WorkerOptions

QUEUE: Final = "bulk"
SLOTS: Final = 32
_CONNECTIONS: Final = 16

_BY_HAND: Final = """
drop table if exists bench_step;
drop table if exists bench_run;
create table bench_run (id text primary key, state text not null, result jsonb);
create table bench_step (run_id text references bench_run (id), name text, result jsonb, primary key (run_id, name));
grant select, insert, update on bench_run, bench_step to colonnade_worker;
"""
_END: Final = "update bench_run set state = 'done', result = $2 where id = $1"


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs in a second, round by round, by the engine and by hand."""

    engine: tuple[float, ...]
    by_hand: tuple[float, ...]
    cpu_ms: float
    """What a worker computed for each run."""

    @property
    def ratio(self) -> float:
        """The median round's."""
        return median(one / other for one, other in zip(self.engine, self.by_hand, strict=True))


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


async def measure(address: Address, rounds: int, runs: int, tick: Tick) -> Steps:
    """Both in turn, on the same server, with as many connections and as many runs at once."""
    owner = await asyncpg.connect(**address.arguments("colonnade_owner"))
    engine, by_hand, used = [], [], 0.0
    async with asyncpg.create_pool(
        **address.arguments("colonnade_worker"), min_size=_CONNECTIONS, max_size=_CONNECTIONS, reset=_no_reset
    ) as pool:
        for number in range(rounds):
            await owner.execute(_BY_HAND)
            by_hand.append(runs / await _writes(pool, runs))
            tick("by hand")
            before = _cpu_seconds()
            engine.append(runs / await _engine(pool, number, runs))
            used += _cpu_seconds() - before
            tick("engine")
    await owner.execute("drop table bench_step; drop table bench_run")
    await owner.close()
    return Steps(tuple(engine), tuple(by_hand), used * 1000 / (rounds * runs))


async def _engine(pool: Pool, number: int, runs: int) -> float:
    worker = Worker(
        pool,
        {"three_steps": _three_steps},
        WorkerOptions({QUEUE: SLOTS, "interactive": 4, "system": 2}),
        hooks=_Nothing(),
    )
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.5)
    begin = time.perf_counter()
    async with pool.acquire() as connection:
        tasks = [NewTask("three_steps", {"n": n}, f"bench-{number}-{n}") for n in range(runs)]
        await gateway.spawn_all(connection, QUEUE, tasks)
    while worker.counters.finished < runs:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - begin
    worker.stop()
    await running
    return seconds


async def _writes(pool: Pool, runs: int) -> float:
    """A row for each run, one for each step as it ends, and the run's end: each is committed before the next."""
    left = iter(range(runs))

    async def slot() -> None:
        for n in left:
            await pool.execute("insert into bench_run (id, state) values ($1, 'running')", str(n))
            for name in ("one", "two", "three"):
                await pool.execute("insert into bench_step (run_id, name, result) values ($1, $2, '1')", str(n), name)
            await pool.execute(_END, str(n), '{"sum": 3}')

    begin = time.perf_counter()
    await asyncio.gather(*(slot() for _ in range(SLOTS)))
    return time.perf_counter() - begin


def _cpu_seconds() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
