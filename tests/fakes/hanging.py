"""A way to the database that can fall silent without a word, as a network does that loses every packet.

async with hanging(address, folder) as (address, line):
    line.hang()
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from colonnade.ground.db.address import Address


@dataclass(slots=True)
class Line:
    """All connections that go this way."""

    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    def hang(self) -> None:
        """From now on nothing arrives, and nothing is closed."""
        self.flowing.clear()

    def flow(self) -> None:
        """What was held back arrives, and all that comes after it."""
        self.flowing.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bring over what comes until the end."""
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(65_536):
                    await self.flowing.wait()
                    writer.write(chunk)
                    await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def hanging(address: Address, folder: Path) -> AsyncIterator[tuple[Address, Line]]:
    """The same database by a way of one's own, and the line that it goes over."""
    line = Line()
    line.flow()
    tasks: set[asyncio.Task[None]] = set()
    name = f".s.PGSQL.{address.port}"

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line.connections += 1
        from_there, to_there = await asyncio.open_unix_connection(f"{address.host}/{name}")
        tasks.update(
            {
                asyncio.create_task(line.carry(reader, to_there)),
                asyncio.create_task(line.carry(from_there, writer)),
            }
        )

    server = await asyncio.start_unix_server(accept, folder / name)
    try:
        yield replace(address, host=str(folder)), line
    finally:
        server.close()
        line.flow()
        await asyncio.wait(tasks, timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
