"""What a durable function holds in its hands: journaled steps, waits and sleeps."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar, cast

from colonnade.ground.db.database import Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.lease import Lease, steadily
from colonnade.runs.engine.model import (
    JSON,
    Arrived,
    Cancelled,
    Deadline,
    Expired,
    GiveUp,
    HandedBack,
    LeaseLost,
    Parked,
    RunId,
    Suspended,
    TaskId,
)
from colonnade.runs.engine.texts import dumps, loads

DurableFunction: TypeAlias = "Callable[[Context, dict[str, Any]], Awaitable[Mapping[str, Any]]]"
"""What it does outside of steps is done again whenever its run is resumed."""

_T = TypeVar("_T")
_J = TypeVar("_J", bound=JSON)


class Context:
    """One run of a durable function. Code outside of its steps is done again whenever the run is resumed."""

    def __init__(self, pool: Pool, lease: Lease, stopping: Callable[[], bool]) -> None:
        claim = lease.claim
        self.task_id: TaskId = claim.task_id
        self.run_id: RunId = claim.run_id
        self.attempt: int = claim.attempt
        self.headers: Mapping[str, str] = claim.headers
        self._pool = pool
        self._lease = lease
        self._stopping = stopping
        self._journal = claim.journal
        self._used: set[str] = set()
        self._parked = False
        self._open_steps = 0
        self._no_open_step = asyncio.Event()
        self._no_open_step.set()

    @property
    def stopping(self) -> bool:
        """Whether this worker is shutting down; the run goes on elsewhere after the step that is running now."""
        return self._stopping()

    def check(self) -> None:
        """For long steps: raise `Cancelled` or `LeaseLost` when the run has to stop here."""
        self._lease.check()

    def key(self, name: str) -> str:
        """The key under which an outside service sees this step's effect: the same however often it is done."""
        return f"{self.task_id}:{name}"

    async def step(self, name: str, fn: Callable[[], Awaitable[_J]]) -> _J:
        """Do it once in the life of the task and keep what it returned; later runs are given the kept value.

        Between the end of `fn` and the journal's commit a kill makes it happen again: effects carry `key(name)`.
        """
        if not name or name.startswith("$"):
            raise ValueError(f"{name!r} is no name for a step")
        self._use(name)
        if name in self._journal:
            return cast("_J", self._recall(name))
        await self._ready()
        self._open()
        try:
            text = _kept_text(name, await fn())
            self._lease.check()
            await self._write_whole(
                lambda connection: gateway.save_checkpoint(connection, self._lease.claim, name, text)
            )
        finally:
            self._close()
        self._journal[name] = loads(text)
        return cast("_J", self._recall(name))

    # The deadline is an instant that the database keeps, not a number of seconds for this process to count.
    async def wait_for(self, event: str, *, timeout: Deadline = None) -> Any | Expired:  # noqa: ASYNC109
        """The payload of an event, past or to come. Waiting holds no slot; after the deadline it is `Expired`.

        Event names are ids that are never used twice. The same wait in a later run is answered from the journal.
        """
        if timeout is not None and timeout.tzinfo is None:
            raise ValueError("a deadline needs a time zone")
        if gateway.event_entry(event) in self._journal:
            return self._recall(gateway.event_entry(event))
        if gateway.expired_entry(event) in self._journal:
            return Expired(event)

        async def ask(connection: Connection) -> Arrived | Expired | Parked:
            return await gateway.await_event(connection, self._lease.claim, event, timeout)

        answer = await self._park(ask)
        if isinstance(answer, Expired):
            self._journal[gateway.expired_entry(event)] = True
            return answer
        assert isinstance(answer, Arrived), "a parked run does not go on"
        self._journal[gateway.event_entry(event)] = answer.payload
        return answer.payload

    async def sleep(self, name: str, seconds: float) -> None:
        """Rest without holding a slot; the instant of waking is fixed when it is reached for the first time."""
        entry = f"$sleep:{name}"
        self._use(entry)
        now, kept = datetime.now(UTC), self._journal.get(entry)
        wake_at = now + timedelta(seconds=seconds) if kept is None else datetime.fromisoformat(kept)
        if kept is None or now < wake_at:
            await self._park(lambda connection: self._lie_down(connection, entry, wake_at))

    async def settled(self) -> None:
        """Return when no step is open any more: before that the run is neither ended nor given away."""
        await self._no_open_step.wait()

    @property
    def has_open_steps(self) -> bool:
        """Whether a step is running now, though the function itself may have ended."""
        return self._open_steps > 0

    def _use(self, name: str) -> None:
        if name in self._used:
            raise ValueError(f"{name!r} occurs twice in one run; number it in loops")
        self._used.add(name)

    def _recall(self, name: str) -> Any:
        # A fresh copy: what a function does to its value must not change what it is given the next time.
        return copy.deepcopy(self._journal[name])

    async def _ready(self) -> None:
        """Before anything new begins: neither lost nor cancelled, and no worker that wants to stop."""
        self._lease.check()
        if self._parked:
            raise Suspended
        if self._stopping() and not self.has_open_steps:
            raise HandedBack
        if not self._lease.is_sure:
            await self._write(self._lease.extend)
            self._lease.check()

    def _open(self) -> None:
        self._open_steps += 1
        self._no_open_step.clear()

    def _close(self) -> None:
        self._open_steps -= 1
        if self._open_steps == 0:
            self._no_open_step.set()

    async def _park(self, operation: Callable[[Connection], Awaitable[_T]]) -> _T:
        if self.has_open_steps:
            raise RuntimeError("a run cannot wait or sleep while one of its steps is open")
        await self._ready()
        self._lease.ending = True
        try:
            answer = await self._write(operation)
        except BaseException:
            self._lease.ending = False
            raise
        if isinstance(answer, Parked):
            self._parked = True
            raise Suspended
        self._lease.ending = False
        return answer

    async def _lie_down(self, connection: Connection, entry: str, wake_at: datetime) -> Parked | None:
        claim = self._lease.claim
        async with connection.transaction():
            if entry not in self._journal:
                await gateway.save_checkpoint(connection, claim, entry, dumps(wake_at.isoformat()))
            return Parked() if await gateway.sleep_until(connection, claim, wake_at) else None

    async def _write_whole(self, operation: Callable[[Connection], Awaitable[None]]) -> None:
        """Write even when the function is interrupted meanwhile: what was done is not to be done again."""
        writing = asyncio.create_task(self._write(operation))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.gather(writing, return_exceptions=True)
            raise

    async def _write(self, operation: Callable[[Connection], Awaitable[_T]]) -> _T:
        try:
            return await steadily(self._pool, operation)
        except (LeaseLost, Cancelled) as refusal:
            self._lease.judge(type(refusal))
            raise


def _kept_text(name: str, value: object) -> str:
    try:
        return dumps(value)
    except (TypeError, ValueError) as error:
        # Another try would do the step's effect again and end here again.
        raise GiveUp(f"The step {name!r} returned what cannot be kept as JSON.") from error
