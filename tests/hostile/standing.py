"""A server as it is run, on loopback, and a client that says exactly the bytes it is told to."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from colonnade import processes, serving

HOST = "127.0.0.1"
_PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came over the line."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document that it must be."""
        assert self.headers["content-type"] == "application/problem+json", self
        told: dict[str, Any] = json.loads(self.body)
        assert told["status"] == self.status, self
        assert told["requestId"] == self.headers["x-request-id"], self
        assert told["type"] == f"/docs/errors/{told['reason']}", self
        return told

    @property
    def pointers(self) -> list[str]:
        """Where the bad fields are, sorted."""
        return sorted(field["pointer"] for field in self.problem["errors"])


@contextlib.contextmanager
def standing(app: ASGIApp) -> Iterator[int]:
    """Serve the application as the command line does, in a thread of its own; yields the port."""
    listener = processes.listen(HOST, 0)
    server = uvicorn.Server(serving.configured(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server of the tests")
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass(frozen=True, slots=True)
class Line:
    """A way to the server on which nothing is tidied up: what is written is what is sent."""

    port: int
    key: str

    def head(self, method: str, target: str, *headers: str, length: int | None = None) -> bytes:
        """The head of a request with the key; `Connection: close`, so that the end of the answer is the end."""
        lines = [f"{method} {target} HTTP/1.1", "Host: colonnade.example", f"X-Auth: {self.key}", "Connection: close"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")

    async def says(self, *parts: bytes) -> list[Answer]:
        """Send these bytes, part by part, and read answers until the server closes the line."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                with contextlib.suppress(ConnectionError):
                    for part in parts:
                        writer.write(part)
                        await writer.drain()
                        await asyncio.sleep(0.02)  # so that the parts arrive apart from each other
                return await _answers(reader)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def sends(self, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
        """One request with this body, and its answer."""
        length = len(body) if body else None
        (answer,) = await self.says(self.head(method, target, *headers, length=length) + body)
        return answer


async def _answers(reader: asyncio.StreamReader) -> list[Answer]:
    found: list[Answer] = []
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            found.append(await _answer(reader))
    return found


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = b"" if first.split()[1] == "204" else await reader.read()
    return Answer(int(first.split()[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
