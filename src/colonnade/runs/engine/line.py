"""The worker's own line to the database: it hears wakes as they happen and keeps the leases alive on a timer."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from colonnade.ground.db.database import UNREACHABLE, Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.execution import Execution
from colonnade.runs.engine.lease import PASSING, apply_verdicts

_log = structlog.get_logger(__name__)

_FIRST_REST: Final = 0.1
_LONGEST_REST: Final = 5.0


class Line:
    """Holds one connection of the pool for the worker's whole life, so that busy runs can never starve it."""

    def __init__(
        self,
        pool: Pool,
        lease_seconds: int,
        executions: Callable[[], Iterable[Execution]],
        heard: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._executions = executions
        self._heard = heard
        self._nudge = asyncio.Event()
        self._rest = _FIRST_REST

    async def run(self) -> None:
        """Listen and extend until cancelled; a lost connection is replaced."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._serve(connection)
            except PASSING as error:
                if self._pool.is_closing():
                    raise
                _log.warning("line_to_database_lost", error=type(error).__name__)
            await asyncio.sleep(self._rest)
            self._rest = min(self._rest * 2, _LONGEST_REST)

    async def _serve(self, connection: Connection) -> None:
        connection.add_termination_listener(self._ended)
        try:
            await connection.add_listener(gateway.CHANNEL, self._notified)
            # What was said while nobody listened is made up for by looking everywhere.
            self._heard("")
            await self._keep(connection)
        finally:
            await self._leave(connection)

    async def _keep(self, connection: Connection) -> None:
        while not connection.is_closed():
            self._nudge.clear()
            await self._extend_all(connection)
            self._rest = _FIRST_REST
            try:
                async with asyncio.timeout(self._lease_seconds / 3):
                    await self._nudge.wait()
            except TimeoutError:
                continue

    async def _leave(self, connection: Connection) -> None:
        connection.remove_termination_listener(self._ended)
        if connection.is_closed():
            return
        try:
            await connection.remove_listener(gateway.CHANNEL, self._notified)
        except UNREACHABLE:
            connection.terminate()

    def _ended(self, _connection: Any) -> None:
        self._nudge.set()

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        queue, _, task = str(payload).partition(":")
        if not task:
            self._heard(queue)
        elif any(str(execution.claim.task_id) == task for execution in self._executions()):
            self._nudge.set()

    async def _extend_all(self, connection: Connection) -> None:
        """One statement per queue; runs that turn out lost or cancelled are stopped where they stand."""
        by_queue: dict[str, list[Execution]] = defaultdict(list)
        for execution in self._executions():
            by_queue[execution.claim.queue].append(execution)
        for queue, executions in by_queue.items():
            asked_at = time.monotonic()
            verdicts = await gateway.extend(
                connection, queue, [execution.claim for execution in executions], self._lease_seconds
            )
            ended = apply_verdicts([execution.lease for execution in executions], verdicts, asked_at)
            for execution in executions:
                if execution.lease in ended:
                    execution.interrupt()
