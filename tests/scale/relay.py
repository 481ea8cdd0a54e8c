"""A line to PostgreSQL that listens along: what is said to the database is counted where it passes by."""

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from colonnade.ground.db.address import Address

BEHIND = re.compile(
    r"select (note_\w+|log_requests|touch_\w+)\b|with recursive typeinfo_tree|select\s.*'jit'",
    re.IGNORECASE | re.DOTALL,
)
"""What processes write in batches, for which no request waits, and what the driver asks of types that are new to it."""

SCAFFOLD = re.compile(r"(begin|commit|rollback|set local)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one request cost: how often it waited for the database, and the statements that did its work."""

    trips: int
    statements: int


@dataclass(slots=True)
class Heard:
    """Everything that was said since the last look, trip by trip."""

    trips: list[list[str]] = field(default_factory=list)

    def told(self) -> list[list[str]]:
        """The trips that somebody waited for; forgets them."""
        found, self.trips = self.trips, []
        return [trip for trip in found if not any(BEHIND.match(text.strip()) for text in trip)]

    def count(self) -> Counted:
        """The same in two numbers, where beginning, scope and end of a transaction are no work."""
        trips = self.told()
        texts = [one.strip() for trip in trips for text in trip for one in text.split(";")]
        return Counted(len(trips), sum(1 for text in texts if text and not SCAFFOLD.match(text)))


class _Line:
    """One connection as its client speaks: messages taken apart (PostgreSQL's protocol 3.0)."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._rest = b""
        self._has_begun = False
        self._prepared: dict[bytes, str] = {}
        self._bound = ""
        self._trip: list[str] = []
        self._listens = False

    def take(self, data: bytes) -> None:
        """Bytes on their way to the server."""
        self._rest += data
        while True:
            head = 1 if self._has_begun else 0
            if len(self._rest) < head + 4:
                return
            end = head + int.from_bytes(self._rest[head : head + 4], "big")
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            if self._has_begun:
                self._hear(message[:1], message[5:])
            self._has_begun = True

    def _hear(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._end_trip([body[:-1].decode()])
        elif kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._prepared[name] = text.decode()
        elif kind == b"B":
            self._bound = self._prepared[body.split(b"\0", 2)[1]]
        elif kind == b"E":
            self._trip.append(self._bound)
        elif kind == b"S":
            self._end_trip(self._trip)
            self._trip = []

    def _end_trip(self, texts: list[str]) -> None:
        """Preparing a statement executes nothing, and is done once; a line that listens serves no request."""
        self._listens = self._listens or any(text.lower().startswith("listen ") for text in texts)
        if texts and not self._listens:
            self._heard.trips.append(texts)


@contextlib.asynccontextmanager
async def relayed(address: Address) -> AsyncIterator[tuple[Address, Heard]]:
    """The same database at another address, and what is heard on the way there."""
    heard = Heard()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = f"{address.host}/.s.PGSQL.{address.port}"
        there, back = await asyncio.open_unix_connection(socket)
        line = _Line(heard)
        await asyncio.gather(_copy(reader, back, line), _copy(there, writer, None))

    folder = tempfile.mkdtemp(prefix="relay-")
    server = await asyncio.start_unix_server(follow, f"{folder}/.s.PGSQL.{address.port}")
    try:
        yield replace(address, host=folder), heard
    finally:
        server.close()
        shutil.rmtree(folder)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line | None) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            if line is not None:
                line.take(data)
            writer.write(data)
            await writer.drain()
    writer.close()
