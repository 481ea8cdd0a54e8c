"""The till of a process: orders that come at the same moment are settled together, one transaction for many.

While one flush of an agency is under way the next orders gather; there is no timer, so an order alone waits for nobody.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import asyncpg
import structlog

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import UNREACHABLE, Database, Tx

_log = structlog.get_logger("colonnade.till")

_IN_EACH_OTHERS_WAY: Final = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
_MOST_REPEATS: Final = 3
_PAUSE_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.25


class Ordered(Protocol):
    """What the till must know of an order: whose it is, and by what its outcome can be asked for."""

    @property
    def agency_id(self) -> str:
        """The agency whose credits it moves."""
        ...

    @property
    def asked_by(self) -> str | None:
        """Where its outcome can be read; none where sending it again is the way."""
        ...


Order = TypeVar("Order", bound=Ordered)
Outcome = TypeVar("Outcome")

Settle = Callable[[Tx, Sequence[Order]], Awaitable[Sequence[Outcome | Exception]]]
"""Decides and writes the orders in one transaction of their agency, in the order of their coming: an outcome or an
exception for each. It may be called again with the same orders when it cannot be known whether it was committed."""


@dataclass(frozen=True, slots=True)
class TillOptions:
    """The bounds of a till."""

    most_at_once: int = 128
    most_waiting: int = 10_000
    """Of one agency."""
    most_in_process: int = 40_000
    deadline_seconds: float = 10.0
    flushes_at_once: int = 4


@dataclass(frozen=True, slots=True)
class TillState:
    """How a till stands, for readiness and metrics."""

    waiting: int
    oldest_seconds: float
    failing_seconds: float
    """Since when the database could not be asked; 0 while it can."""
    flushes: int
    orders: int


class _Waiter(Generic[Order, Outcome]):
    __slots__ = ("future", "order", "since")

    def __init__(self, order: Order, future: "asyncio.Future[Outcome]", since: float) -> None:
        self.order = order
        self.future = future
        self.since = since


class Till(Generic[Order, Outcome]):
    """One for each process. Any number of them work on the same agency, in whatever processes."""

    def __init__(self, database: Database, settle: Settle[Order, Outcome], options: TillOptions | None = None) -> None:
        self._database = database
        self._settle = settle
        self._options = options or TillOptions()
        self._lines: dict[str, deque[_Waiter[Order, Outcome]]] = {}
        self._drains: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(self._options.flushes_at_once)
        self._waiting: set[_Waiter[Order, Outcome]] = set()
        self._look: asyncio.TimerHandle | None = None
        self._failing_since: float | None = None
        self._closed = False
        self._flushes = self._orders = 0

    async def ask(self, order: Order) -> Outcome:
        """The outcome of the order once it is committed; refuses at once when too many wait.

        An order whose outcome is not known in time is refused as just that: it may have been carried out.
        """
        line = self._lines.get(order.agency_id, ())
        if self._closed or len(line) >= self._options.most_waiting or self._is_full():
            raise busy()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiter = _Waiter[Order, Outcome](order, future, time.monotonic())
        self._lines.setdefault(order.agency_id, deque()).append(waiter)
        self._waiting.add(waiter)
        self._look_later()
        if order.agency_id not in self._drains:
            self._drains[order.agency_id] = asyncio.create_task(self._drain(order.agency_id), name="till")
        try:
            return await future
        finally:
            self._waiting.discard(waiter)

    async def close(self) -> None:
        """Take no more, settle what waits, but no longer than orders may wait anyway."""
        self._closed = True
        if self._drains:
            drains = list(self._drains.values())
            _, late = await asyncio.wait(drains, timeout=self._options.deadline_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*drains, return_exceptions=True)
        if self._look is not None:
            self._look.cancel()

    def state(self) -> TillState:
        """How it stands now."""
        now = time.monotonic()
        oldest = min((one.since for one in self._waiting), default=now)
        failing = 0.0 if self._failing_since is None else now - self._failing_since
        return TillState(len(self._waiting), now - oldest, failing, self._flushes, self._orders)

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._options.most_in_process

    def _look_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        """One timer for all, so that an order in time costs none."""
        self._look = None
        begin = time.monotonic() - self._options.deadline_seconds
        for waiter in [one for one in self._waiting if one.since < begin and not one.future.done()]:
            waiter.future.set_exception(outcome_unknown(waiter.order.asked_by))
        if self._waiting:
            self._look_later()

    async def _drain(self, agency_id: str) -> None:
        line = self._lines[agency_id]
        try:
            while line:
                async with self._turn:
                    await self._flush(Reach(agency_id), self._next(line))
        except asyncio.CancelledError:
            self._fail(line, busy())
            raise
        finally:
            del self._drains[agency_id], self._lines[agency_id]

    def _next(self, line: deque[_Waiter[Order, Outcome]]) -> list[_Waiter[Order, Outcome]]:
        batch: list[_Waiter[Order, Outcome]] = []
        while line and len(batch) < self._options.most_at_once:
            waiter = line.popleft()
            if not waiter.future.done():  # given up, or too late, and not begun: it never happens
                batch.append(waiter)
        return batch

    async def _flush(self, reach: Reach, batch: list[_Waiter[Order, Outcome]]) -> None:
        try:
            await self._until_it_is_known(reach, batch)
        except asyncio.CancelledError:
            for waiter in batch:
                self._fail([waiter], outcome_unknown(waiter.order.asked_by))
            raise

    async def _until_it_is_known(self, reach: Reach, batch: list[_Waiter[Order, Outcome]]) -> None:
        """Again and again while anybody waits for it: references tell what of it was carried out already."""
        repeats = 0
        while any(not waiter.future.done() for waiter in batch):
            try:
                await self._once(reach, batch)
            except UNREACHABLE as error:
                self._failing_since = self._failing_since or time.monotonic()
                _log.warning("till.unreachable", orders=len(batch), error=type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            except _IN_EACH_OTHERS_WAY as error:
                repeats += 1
                _log.info("till.repeated", orders=len(batch), error=type(error).__name__)
                if repeats <= _MOST_REPEATS:
                    continue
                await self._apart(reach, batch, error)
            except Exception as error:
                await self._apart(reach, batch, error)
            return

    async def _once(self, reach: Reach, batch: Sequence[_Waiter[Order, Outcome]]) -> None:
        async with self._database.transaction(reach) as tx:
            outcomes = await self._settle(tx, [waiter.order for waiter in batch])
        self._failing_since = None
        self._flushes += 1
        self._orders += len(batch)
        for waiter, outcome in zip(batch, outcomes, strict=True):
            if waiter.future.done():
                continue
            if isinstance(outcome, Exception):
                waiter.future.set_exception(outcome)
            else:
                waiter.future.set_result(outcome)

    async def _apart(self, reach: Reach, batch: list[_Waiter[Order, Outcome]], error: Exception) -> None:
        """One order that cannot be settled fails alone; the others are settled one by one."""
        if len(batch) == 1:
            _log.error("till.failed", exc_info=error)
            self._fail(batch, error)
            return
        for waiter in batch:
            await self._until_it_is_known(reach, [waiter])

    @staticmethod
    def _fail(waiters: "Sequence[_Waiter[Order, Outcome]] | deque[_Waiter[Order, Outcome]]", error: Exception) -> None:
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error)


def busy() -> Refused:
    """The refusal of an order that was not taken: nothing of it happened."""
    return Refused(
        "credits.busy",
        "Too many charges wait already; this one was not taken and nothing of it was kept. Try again in a moment.",
        headers={"Retry-After": "1"},
    )


def outcome_unknown(asked_by: str | None) -> Refused:
    """The refusal of an order that may have been carried out: how to learn it."""
    way = "Send the same request again" if asked_by is None else f"Ask `GET {asked_by}`, or send the same request again"
    return Refused(
        "credits.outcome_unknown",
        f"The database did not answer in time, so it is not known whether this was carried out. {way}: it is never "
        "carried out twice.",
        headers={"Retry-After": "1"},
        details={} if asked_by is None else {"ask": asked_by},
    )
