"""The worker: takes due runs as slots free up, carries them out, and leaves in good order when told to stop."""

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from colonnade.ground.db.database import Pool
from colonnade.ground.db.tasks import end_all
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import DurableFunction
from colonnade.runs.engine.execution import Counters, Execution, Surroundings
from colonnade.runs.engine.lease import PASSING, Lease
from colonnade.runs.engine.line import Line
from colonnade.runs.engine.model import Hooks
from colonnade.runs.engine.schema import check_version

_log = structlog.get_logger(__name__)
_chance: Final = random.SystemRandom()

_LONGEST_REST: Final = 5.0


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works: slots of each queue, the lease of a run, how often it looks by itself, how it leaves."""

    queues: Mapping[str, int]
    lease_seconds: int = 30
    poll_seconds: float = 1.0
    drain_seconds: float = 20.0
    max_lost_leases: int = 20


class _Desk:
    """One queue's part of the worker: its free slots and the bell that ends its idling."""

    def __init__(self, queue: str, slots: int) -> None:
        self.queue = queue
        self.free = slots
        self.bell = asyncio.Event()
        self.had_enough = True
        """Whether the last look found fewer runs than slots, so that a freed slot is no reason to look again."""


class Worker:
    """Runs durable functions until told to stop. Its pool needs one connection for it alone and some for the runs."""

    def __init__(
        self, pool: Pool, functions: Mapping[str, DurableFunction], options: WorkerOptions, *, hooks: Hooks
    ) -> None:
        self.counters = Counters()
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._pool = pool
        self._options = options
        self._stopping = asyncio.Event()
        self._around = Surroundings(pool, functions, hooks, self.counters, self._stopping, options.max_lost_leases)
        self._desks = {queue: _Desk(queue, slots) for queue, slots in options.queues.items()}
        self._executions: dict[Execution, asyncio.Task[None]] = {}
        self._line = Line(pool, options.lease_seconds, self._current, self._ring)

    @property
    def active(self) -> int:
        """How many runs are in this process now."""
        return len(self._executions)

    async def run(self) -> None:
        """Work until `stop`; the death of any part of it is raised and ends all of it."""
        async with self._pool.acquire() as connection:
            await check_version(connection)
        async with asyncio.TaskGroup() as group:
            line = group.create_task(self._line.run())
            feeders = [group.create_task(self._feed(desk, group)) for desk in self._desks.values()]
            await asyncio.wait(feeders)
            await self._drain()
            await end_all([line])

    def stop(self) -> None:
        """Take nothing more; runs are handed back at their next step, at the latest when the drain time is over."""
        self._stopping.set()
        self._ring("")

    def _current(self) -> list[Execution]:
        return list(self._executions)

    def _ring(self, queue: str) -> None:
        for desk in self._desks.values():
            if queue in ("", desk.queue):
                desk.bell.set()

    async def _feed(self, desk: _Desk, group: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            desk.bell.clear()
            free = desk.free
            leases = await self._look(desk, free) if free else []
            for lease in leases:
                self._start(lease, desk, group)
            desk.had_enough = len(leases) < free
            if desk.free == 0 or desk.had_enough:
                await self._idle(desk)

    async def _look(self, desk: _Desk, count: int) -> list[Lease]:
        """Claim; while the database is away, ask again after growing rests."""
        rest = 0.1
        while not self._stopping.is_set():
            try:
                return await self._claim(desk.queue, count)
            except PASSING as error:
                if self._pool.is_closing():
                    raise
                _log.warning("claim_failed", queue=desk.queue, error=type(error).__name__, rest_seconds=rest)
            await asyncio.sleep(rest)
            rest = min(rest * 2, _LONGEST_REST)
        return []

    async def _claim(self, queue: str, count: int) -> list[Lease]:
        seconds = self._options.lease_seconds
        async with self._pool.acquire() as connection:
            asked_at = time.monotonic()
            claims = await gateway.claim(connection, queue, self.worker_id, lease_seconds=seconds, count=count)
        return [Lease(claim, seconds, asked_at) for claim in claims]

    async def _idle(self, desk: _Desk) -> None:
        # Without the spread, workers that were started together would look together for ever.
        try:
            async with asyncio.timeout(self._options.poll_seconds * _chance.uniform(0.8, 1.2)):
                await desk.bell.wait()
        except TimeoutError:
            return

    def _start(self, lease: Lease, desk: _Desk, group: asyncio.TaskGroup) -> None:
        execution = Execution(lease, self._around)
        desk.free -= 1
        self.counters.claimed += 1
        self._executions[execution] = group.create_task(self._carry_out(execution, desk))

    async def _carry_out(self, execution: Execution, desk: _Desk) -> None:
        try:
            await execution.carry_out()
        finally:
            del self._executions[execution]
            desk.free += 1
            if not desk.had_enough:
                desk.bell.set()

    async def _drain(self) -> None:
        """Let steps end, then interrupt, then leave what does not listen: its lease runs out by itself."""
        patience = self._options.drain_seconds
        await self._settle(patience * 0.75)
        for execution in self._current():
            execution.give_back()
        await self._settle(patience * 0.25)
        for task in self._executions.values():
            task.cancel()

    async def _settle(self, seconds: float) -> None:
        if self._executions:
            await asyncio.wait(list(self._executions.values()), timeout=seconds)
