"""A database with nothing but the engine in it, and workers in this process or in one of their own."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio

from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import DurableFunction
from colonnade.runs.engine.model import Claim, Failed, NewTask, Outcome, Retry, TaskId, TaskState
from colonnade.runs.engine.schema import install
from colonnade.runs.engine.worker import Worker, WorkerOptions

QUEUE = "interactive"
PATIENCE_SECONDS = 40.0
"""How long a test waits for what must come; a bound against hanging, not a claim about speed."""

SEEN = """
create table seen (id bigserial primary key, task text not null, what text not null, key text, pid integer);
grant select, insert, delete on seen to colonnade_worker;
grant usage on sequence seen_id_seq to colonnade_worker
"""


async def until(condition: Callable[[], Any], patience: float = PATIENCE_SECONDS) -> Any:
    """Wait until the condition, a function or a coroutine function, is true; its value."""
    async with asyncio.timeout(patience):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)


@dataclass
class Diary:
    """The house's side of the hooks: keeps what it was told, in the table `seen`, in the engine's transactions."""

    refuse: int = 0
    """How many of the next ends it refuses by raising."""
    told: list[Outcome] = field(default_factory=list)

    async def ended(self, connection: Connection, claim: Claim, outcome: Outcome) -> None:
        self.told.append(outcome)
        what = f"failed:{outcome.final}" if isinstance(outcome, Failed) else "completed"
        await write(connection, claim.task_id, what)
        if self.refuse > 0:
            self.refuse -= 1
            raise ValueError("the house does not agree")

    async def lost_lease(self, connection: Connection, claim: Claim, lost: int) -> None:
        await write(connection, claim.task_id, f"lost:{lost}")


async def write(connection: Connection, task_id: TaskId, what: str, key: str | None = None) -> None:
    """Note that something happened."""
    await connection.execute(
        "insert into seen (task, what, key, pid) values ($1, $2, $3, $4)", str(task_id), what, key, os.getpid()
    )


@dataclass
class Engine:
    """What a test asks of the engine."""

    pool: Pool
    address: Address
    folder: Path
    keys: int = 0

    async def spawn(self, name: str, params: Mapping[str, Any] | None = None, **options: Any) -> TaskId:
        self.keys += 1
        key = options.pop("key", f"key-{self.keys}")
        queue = options.pop("queue", QUEUE)
        task = NewTask(name, params or {}, key, retry=options.pop("retry", Retry(3, 0.05, 0.1)), **options)
        async with self.pool.acquire() as connection:
            return await gateway.spawn(connection, queue, task)

    async def emit(self, event: str, payload: Any) -> None:
        async with self.pool.acquire() as connection:
            await gateway.emit(connection, QUEUE, event, payload)

    async def cancel(self, task_id: TaskId) -> None:
        async with self.pool.acquire() as connection:
            await gateway.cancel(connection, QUEUE, task_id)

    async def state(self, task_id: TaskId) -> TaskState:
        async with self.pool.acquire() as connection:
            found = await gateway.find(connection, QUEUE, task_id)
        assert found is not None
        return found

    async def ended(self, task_id: TaskId) -> TaskState:
        """The state in which the task ends."""

        async def over() -> TaskState | None:
            state = await self.state(task_id)
            return state if state.state in {"completed", "failed", "cancelled"} else None

        found: TaskState = await until(over)
        return found

    async def in_state(self, task_id: TaskId, wanted: str) -> None:
        async def there() -> bool:
            return (await self.state(task_id)).state == wanted

        await until(there)

    async def seen(self, task_id: TaskId) -> list[str]:
        rows = await self.pool.fetch("select what from seen where task = $1 order by id", str(task_id))
        return [row["what"] for row in rows]

    async def seen_something(self, task_id: TaskId, what: str) -> None:
        async def there() -> bool:
            return what in await self.seen(task_id)

        await until(there)

    @contextlib.asynccontextmanager
    async def working(
        self, functions: Mapping[str, DurableFunction], *, hooks: Diary | None = None, **options: Any
    ) -> AsyncIterator[Worker]:
        """A worker in this process for as long as the block lasts."""
        pool = options.pop("pool", self.pool)
        queues = options.pop("queues", {QUEUE: options.pop("slots", 4)})
        chosen = WorkerOptions(**{"queues": queues, "poll_seconds": 0.3, "drain_seconds": 4, **options})
        worker = Worker(pool, functions, chosen, hooks=hooks or Diary())
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task

    @contextlib.asynccontextmanager
    async def worker_process(self, *, lease_seconds: int = 2) -> AsyncIterator[subprocess.Popen[bytes]]:
        """A worker in a process of its own, that runs what `engine_process` defines."""
        command = [sys.executable, "-m", "tests.runs.engine_process", str(self.folder), self.address.database]
        process = subprocess.Popen([*command, str(lease_seconds)])
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            await until(lambda: process.poll() is not None)


@pytest_asyncio.fixture(scope="session")
async def engine_address(server: Address, worker_id: str) -> AsyncIterator[Address]:
    """A database of this process that holds the engine and the table `seen`."""
    name = f"engine_test_{worker_id}_{secrets.token_hex(3)}"
    owner = await asyncpg.connect(**server.arguments("colonnade_owner"))
    await owner.execute(f"create database {name}")
    inside = await asyncpg.connect(**server.arguments("colonnade_owner", database=name))
    async with inside.transaction():
        await install(inside)
        await inside.execute(SEEN)
    await inside.close()
    yield Address(server.host, server.port, name, server.passwords)
    await owner.execute(f"drop database {name} with (force)")
    await owner.close()


async def _no_reset(_connection: Connection) -> None:
    """As the house's own pools: what a connection is left with is left with it."""


@pytest_asyncio.fixture(scope="session")
async def engine_pool(engine_address: Address) -> AsyncIterator[Pool]:
    arguments = engine_address.arguments("colonnade_worker")
    async with asyncpg.create_pool(**arguments, min_size=2, max_size=20, reset=_no_reset) as pool:
        yield pool


@pytest_asyncio.fixture
async def engine(engine_pool: Pool, engine_address: Address) -> AsyncIterator[Engine]:
    """The engine with nothing in it."""
    kept = Engine(engine_pool, engine_address, Path(os.environ["COLONNADE_TEST_FOLDER"]))
    yield kept
    for queue in ("interactive", "bulk", "system"):
        for kind in "trcew":
            await engine_pool.execute(f"delete from absurd.{kind}_{queue}")
    await engine_pool.execute("delete from seen")
