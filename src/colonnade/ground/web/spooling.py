"""Answers of any length that are of one instant, in constant memory.

All of it is read in one transaction, as fast as the database gives it, into a file that has no name; the reader takes
it from there at their own pace, so that a slow one holds neither a connection nor a transaction.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import IO, Final

from starlette.responses import Response

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Tx
from colonnade.ground.web.calls import Call
from colonnade.ground.web.exports import Format, StreamedAnswer

Writing = Callable[[Tx], AsyncIterator[bytes]]
"""The parts of a file, as they are read."""

_PART: Final = 64 * 1024


class _Spool:
    """A file that one side lengthens while the other reads it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._length = 0
        self._grown = asyncio.Event()
        self._is_whole = False

    async def fill(self, database: Database, reach: Reach, writing: Writing) -> None:
        """Write all of it; the end is told also where it failed."""
        try:
            async with database.long_reads, database.transaction(reach, read_only=True) as tx:
                async for part in writing(tx):
                    await asyncio.to_thread(self._write, part)
                    self._length += len(part)
                    self._grown.set()
        finally:
            self._is_whole = True
            self._grown.set()

    def _write(self, part: bytes) -> None:
        self._file.write(part)
        self._file.flush()

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """What is there, as it comes, until the end."""
        sent = 0
        while sent < self._length or not self._is_whole:
            if sent == self._length:
                self._grown.clear()
                await self._grown.wait()
                continue
            part = await asyncio.to_thread(os.pread, self._file.fileno(), _PART, sent)
            sent += len(part)
            yield part


class SpooledAnswer(StreamedAnswer):
    """Sends what was read at once."""

    def __init__(self, database: Database, reach: Reach, file: tuple[str, Format], writing: Writing) -> None:
        super().__init__(*file)
        self._database = database
        self._reach = reach
        self._writing = writing

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The file as it is read; whatever stops the reading is raised after what was read before."""
        with tempfile.TemporaryFile() as file:
            spool = _Spool(file)
            async with self._read_into(spool), contextlib.aclosing(spool.parts()) as parts:
                async for part in parts:
                    yield part

    @contextlib.asynccontextmanager
    async def _read_into(self, spool: _Spool) -> AsyncIterator[None]:
        """While the block runs; what stopped the reading is raised at its end."""
        reading = asyncio.create_task(spool.fill(self._database, self._reach, self._writing), name="read for an answer")
        try:
            yield
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def spooled(call: Call, name: str, wanted: Format, writing: Writing) -> Response:
    """The answer that sends what this reads within the reach of who calls."""
    return SpooledAnswer(call.database, call.caller.reach, (name, wanted), writing)
