"""Hearing what other processes say: a connection that listens, is proven alive all the time, and is made again.

What is kept in mind because every change of it is announced may be believed only while the announcements arrive.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import structlog

from colonnade.ground.db.database import UNREACHABLE, Database, Record
from colonnade.ground.db.tasks import end_all

_log = structlog.get_logger("colonnade.listening")

PULSE: Final = "select 'listening'"
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """How often the connection is asked for a sign of life, and for how long it is believed after the last one."""

    every_seconds: float = 0.25
    believed_seconds: float = 0.75
    """Together with the moment that a check takes it stays under the second that is promised."""
    given_up_seconds: float = 5.0
    """A connection that says nothing for so long is left and made anew."""


class Listening:
    """One for each process and purpose. `hears_everything` is true while whatever was said has surely been heard.

    PostgreSQL delivers what was announced before a statement together with that statement's answer at the latest. So
    an answered pulse proves that nothing is missing which was committed before the pulse was sent; a connection that
    hangs without a word stops being believed when its last proof is too old.
    """

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Callable[[str], None]],
        *,
        on_loss: Callable[[], None],
        pulse: Pulse = Pulse(),
    ) -> None:
        self._database = database
        self._channels = channels
        self._on_loss = on_loss
        self._pulse = pulse
        self._proven: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_try = asyncio.Event()
        self._pause = _FIRST_PAUSE_SECONDS

    @property
    def hears_everything(self) -> bool:
        """Whether everything that was committed until a moment ago has arrived here."""
        return self._proven is not None and time.monotonic() - self._proven <= self._pulse.believed_seconds

    async def start(self) -> None:
        """Begin to listen; returns when that has worked or failed once, and goes on trying behind."""
        self._task = asyncio.create_task(self._keep_listening(), name=f"listening to {', '.join(self._channels)}")
        await self._first_try.wait()

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await end_all([self._task])
        self._lose()

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._listen()
            except (*UNREACHABLE, asyncpg.PostgresError) as error:
                _log.warning(
                    "listening.lost",
                    channels=list(self._channels),
                    error=type(error).__name__,
                    pause_seconds=self._pause,
                )
            self._lose()
            self._first_try.set()
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Hear of changes for as long as the connection lives; what was known before it began may be old."""
        connection = await self._database.connect(timeout_seconds=self._pulse.given_up_seconds)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: self._end(lost))
            async with asyncio.timeout(self._pulse.given_up_seconds):
                for channel in self._channels:
                    await connection.add_listener(channel, self._hear)
            self._lose()
            while not lost.is_set():
                await self._ask(connection)
                self._first_try.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), self._pulse.every_seconds)
        finally:
            await _hang_up(connection)

    async def _ask(self, connection: "asyncpg.Connection[Record]") -> None:
        sent = time.monotonic()
        await connection.fetchval(PULSE, timeout=self._pulse.given_up_seconds)
        self._proven, self._pause = sent, _FIRST_PAUSE_SECONDS

    def _hear(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._channels[channel](str(payload))

    def _end(self, lost: asyncio.Event) -> None:
        self._lose()
        lost.set()

    def _lose(self) -> None:
        self._proven = None
        self._on_loss()


async def _hang_up(connection: "asyncpg.Connection[Record]") -> None:
    """Say good-bye where somebody listens; a connection that hangs is dropped."""
    try:
        async with asyncio.timeout(1):
            await connection.close()
    except (*UNREACHABLE, asyncpg.PostgresError):
        connection.terminate()
