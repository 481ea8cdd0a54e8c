"""Shared calls: what many callers ask of the database at the same moment is asked once, for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from colonnade.ground.db.database import unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = structlog.get_logger("colonnade.batches")


class SharedCall(Generic[Item, Result]):
    """Callers wait together: while one call is under way the next ones gather, and go as one when it returns.

    There is no timer, so a caller alone pays one trip. Each caller learns its own result; a call that fails
    fails its own callers and no others. A full queue refuses at once instead of growing.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        most_at_once: int = 512,
        most_waiting: int = 10_000,
    ) -> None:
        self._name = name
        self._call = call
        self._most_at_once = most_at_once
        self._most_waiting = most_waiting
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """The result for this item, from a call shared with whoever else asks now."""
        if len(self._waiting) >= self._most_waiting:
            raise unavailable()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name=f"shared call {self._name}")
        return await future

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most_at_once], self._waiting[self._most_at_once :]
            await self._settle([pair for pair in batch if not pair[1].done()])

    async def _settle(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._call([item for item, _ in batch])
        except asyncio.CancelledError:
            self._fail(batch, unavailable())
            raise
        except Exception as error:
            _log.exception("batches.call_failed", name=self._name, callers=len(batch))
            self._fail(batch, error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    @staticmethod
    def _fail(batch: list[tuple[Item, asyncio.Future[Result]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)


class BatchWriter(Generic[Item]):
    """Writes that nobody waits for (a log line, a last-used time): gathered, and written a few times a second.

    What cannot be written is dropped and counted, never kept without bound.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        every_seconds: float = 0.25,
        most_waiting: int = 50_000,
    ) -> None:
        self._name = name
        self._write = write
        self._every = every_seconds
        self._most = most_waiting
        self._items: list[Item] = []
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def add(self, item: Item) -> None:
        """Take note of it; returns at once."""
        if len(self._items) >= self._most:
            self.dropped += 1
            return
        self._items.append(item)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._later(), name=f"batch writer {self._name}")

    async def flush(self) -> None:
        """Write what is there now."""
        items, self._items = self._items, []
        if not items:
            return
        try:
            await self._write(items)
        except Exception:
            self.dropped += len(items)
            _log.exception("batches.write_failed", name=self._name, items=len(items))

    async def close(self) -> None:
        """Write the rest and end."""
        if self._task is not None:
            self._task.cancel()
        await self.flush()

    async def _later(self) -> None:
        while self._items:
            await asyncio.sleep(self._every)
            await self.flush()
