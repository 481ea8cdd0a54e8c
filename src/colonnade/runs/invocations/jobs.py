"""What background processes do for runs: carry them out, and make their rounds over all that is due.

The rounds begin when somebody rings, and by themselves now and then, so that nothing depends on a ring being heard.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from colonnade.ground.db.database import UNREACHABLE, Database
from colonnade.ground.db.tasks import end_all
from colonnade.runs.invocations.admission import AT_ONCE, Limits, admit, cancel_requested, deliver, expire
from colonnade.runs.invocations.execution import RunExecution
from colonnade.runs.invocations.model import CHANNEL
from colonnade.runs.invocations.skill_run import Means

__all__ = ["Limits", "Means", "Rounds", "RunExecution"]

_log = structlog.get_logger("colonnade.runs")
_chance: Final = random.SystemRandom()

_LEAST_GAP: Final = 0.02
"""Rings within so many seconds lead to one round: a busy worker would do little else otherwise."""

_LONGEST_REST: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Duty:
    """A part of the round, and how it went."""

    name: str
    do: Callable[[], Awaitable[int]]


class Rounds:
    """Makes the rounds until its task is cancelled; a part that fails is logged and does not stop the others."""

    def __init__(self, database: Database, limits: Limits, *, poll_seconds: float = 1.0) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._bell = asyncio.Event()
        self._duties: Final = (
            _Duty("cancel", lambda: cancel_requested(database)),
            _Duty("expire", lambda: expire(database)),
            _Duty("deliver", lambda: deliver(database)),
            _Duty("admit", lambda: admit(database, limits)),
        )
        self._last_round: float | None = None

    def seconds_since(self) -> float | None:
        """How long ago the last round ended that did all of its parts; none when there was no such round yet."""
        return None if self._last_round is None else time.monotonic() - self._last_round

    async def run(self) -> None:
        """Listen for rings and make the rounds."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._walk())]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end_all(tasks)

    async def _walk(self) -> None:
        rest = self._poll_seconds
        while True:
            self._bell.clear()
            went_well = await self._round()
            rest = self._poll_seconds if went_well else min(rest * 2, _LONGEST_REST)
            await asyncio.sleep(_LEAST_GAP)
            await self._idle(rest, may_ring=went_well)

    async def _idle(self, seconds: float, *, may_ring: bool) -> None:
        # The spread keeps workers that were started together from looking together for ever.
        seconds *= _chance.uniform(0.8, 1.2)
        if not may_ring:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _round(self) -> bool:
        done = [await self._part(duty) for duty in self._duties]
        if all(done):
            self._last_round = time.monotonic()
        return all(done)

    async def _part(self, duty: _Duty) -> bool:
        try:
            while await duty.do() >= AT_ONCE:
                continue
        except UNREACHABLE as error:
            _log.warning("runs.round_without_database", duty=duty.name, error=type(error).__name__)
            return False
        except Exception as error:
            _log.exception("runs.round_failed", duty=duty.name, error=type(error).__name__)
            return False
        return True

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except UNREACHABLE as error:
                _log.warning("runs.listening_lost", error=type(error).__name__)
            await asyncio.sleep(self._poll_seconds)

    async def _hear(self) -> None:
        connection = await self._database.connect()
        closed = asyncio.Event()
        connection.add_termination_listener(lambda _connection: closed.set())
        try:
            await connection.add_listener(CHANNEL, self._ring)
            # What was said while nobody listened is made up for by a round.
            self._bell.set()
            await closed.wait()
        finally:
            connection.terminate()

    def _ring(self, *_heard: Any) -> None:
        self._bell.set()
