"""Following runs from an HTTP process: one connection listens for all who wait, and none of them holds a transaction.

Whoever waits looks again by themselves now and then, so that a lost connection costs time and nothing else.
"""

import asyncio
import contextlib
import json
import time
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_instant
from colonnade.ground.db.database import UNREACHABLE, Database
from colonnade.runs.invocations import service
from colonnade.runs.invocations.model import EVENT_CHANNEL, Event, Run

_log = structlog.get_logger("colonnade.runs")

_LOOK_SECONDS: Final = 2.0
_STILL_HERE_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 600.0
"""A stream ends after so long, and the client comes back with its key: a key that was revoked does not."""


class Watch:
    """Rings for the runs that somebody waits for; it listens only as long as anybody does."""

    def __init__(self, database: Database) -> None:
        self._database = weakref.proxy(database)
        self._bells: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def on(self, run_id: str) -> AsyncIterator[asyncio.Event]:
        """A bell that rings whenever the run has something new."""
        bell = asyncio.Event()
        self._bells[run_id].add(bell)
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), name="listen for events of runs")
        try:
            yield bell
        finally:
            self._forget(run_id, bell)

    def _forget(self, run_id: str, bell: asyncio.Event) -> None:
        self._bells[run_id].discard(bell)
        if not self._bells[run_id]:
            del self._bells[run_id]
        if not self._bells and self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except UNREACHABLE as error:
                _log.warning("runs.events_not_heard", error=type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _hear(self) -> None:
        connection = await self._database.connect()
        closed = asyncio.Event()
        connection.add_termination_listener(lambda _connection: closed.set())
        try:
            await connection.add_listener(EVENT_CHANNEL, self._heard)
            for run_id in list(self._bells):
                self._ring(run_id)
            await closed.wait()
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._ring(str(payload))

    def _ring(self, run_id: str) -> None:
        for bell in self._bells.get(run_id, ()):
            bell.set()


_watches: Final[weakref.WeakKeyDictionary[Database, Watch]] = weakref.WeakKeyDictionary()


def watch_of(database: Database) -> Watch:
    """The watch that all who wait through this door share."""
    return _watches.setdefault(database, Watch(database))


async def _rest(bell: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, min(seconds, _LOOK_SECONDS))):
            await bell.wait()


async def until_ended(database: Database, caller: Caller, run_id: str, seconds: float) -> Run:
    """The run once it has ended, or as it stands after so many seconds."""
    until = time.monotonic() + seconds
    async with watch_of(database).on(run_id) as bell:
        while True:
            bell.clear()
            async with database.transaction(caller.reach, read_only=True) as tx:
                run = await service.get(tx, caller, run_id)
            left = until - time.monotonic()
            if run.state.is_final or left <= 0:
                return run
            await _rest(bell, left)


async def stream(database: Database, caller: Caller, run_id: str, after: int) -> AsyncIterator[bytes]:
    """The run's events behind this one as server-sent events, until the last one; a comment now and then in between."""
    until = time.monotonic() + LONGEST_SECONDS
    quiet_since = time.monotonic()
    async with watch_of(database).on(run_id) as bell:
        while time.monotonic() < until:
            bell.clear()
            has_ended, events = await _look(database, caller, run_id, after)
            for event in events:
                after = event.number
                yield _frame(event)
            if has_ended and len(events) < service.EVENTS_MOST:
                return
            if events:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= _STILL_HERE_SECONDS:
                quiet_since = time.monotonic()
                yield b": still here\n\n"
            await _rest(bell, until - time.monotonic())


async def _look(database: Database, caller: Caller, run_id: str, after: int) -> tuple[bool, list[Event]]:
    # The run is read before its events: one that has ended has all of its events by then.
    async with database.transaction(caller.reach, read_only=True) as tx:
        run = await service.get(tx, caller, run_id)
        return run.state.is_final, await service.events_after(tx, caller, run_id, after)


def _frame(event: Event) -> bytes:
    data = {"number": event.number, "event": event.event, "at": format_instant(event.at), **event.data}
    return f"id: {event.number}\nevent: {event.event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
