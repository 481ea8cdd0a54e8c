"""Two servers on one database, each a process of its own with an address of its own."""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.journeys.installation import READY_SECONDS, Installation, installation

AHEAD: Final = Path(__file__).with_name("ahead.py")
ELSEWHERE: Final = "127.0.0.2"
"""Another source address on loopback: calls of the `elsewhere` clients come from here."""


@dataclass(slots=True)
class Servers:
    """The first server, the other one, and a master key."""

    first: httpx2.AsyncClient
    other: httpx2.AsyncClient
    elsewhere: httpx2.AsyncClient
    """The other server again, called from another address."""
    agency_id: str
    master: dict[str, str]
    counted: int = field(default=0)

    async def a_key(self, **body: Any) -> tuple[str, dict[str, str]]:
        """A fresh key made at the first server: its id, and its headers."""
        wanted = {"name": "of a journey", "preset": "master", "rateLimit": None, **body}
        made = (await self.first.post("/v1/api-keys", json=wanted, headers=self.master)).json()
        return made["id"], {"x-auth": made["key"]}

    async def seconds_until(self, condition: Callable[[], Awaitable[bool]], *, most: float = 1.0) -> float:
        """How long it took until the condition held; the promise is that it holds within a second."""
        began = time.monotonic()
        while not await condition():
            assert time.monotonic() - began < most, "it was not seen in time"
        return time.monotonic() - began


async def _serve(made: Installation, *launcher: str) -> tuple[asyncio.subprocess.Process, str]:
    """Another server on the installation's database."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    listener.set_inheritable(True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *launcher,
        "--fd",
        str(listener.fileno()),
        env=made.environment,
        pass_fds=[listener.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    return process, url


def _client(url: str, source: str | None = None) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
    transport = httpx2.AsyncHTTPTransport(limits=limits, local_address=source)
    return httpx2.AsyncClient(transport=transport, base_url=url, timeout=60)


async def _is_ready(url: str) -> None:
    async with asyncio.timeout(READY_SECONDS), _client(url) as client:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if (await client.get("/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def two_servers(data: Path, *, ahead_seconds: float = 0) -> AsyncIterator[Servers]:
    """Two servers with an agency; the clock of the other one may be wrong."""
    async with installation(data) as made:
        await made.up("--no-demo")
        launcher = (str(AHEAD), str(ahead_seconds)) if ahead_seconds else ("-m", "colonnade.serving")
        process, url = await _serve(made, *launcher)
        try:
            await _is_ready(url)
            _, out, _ = await made.command("agency", "create", "--name", "N", "--owner-email", "o@n.example", "--json")
            told = json.loads(out)
            async with _client(made.url) as first, _client(url) as other, _client(url, ELSEWHERE) as elsewhere:
                master = {"x-auth": told["apiKey"]}
                made_key = await first.post(
                    "/v1/api-keys", json={"name": "m", "preset": "master", "rateLimit": None}, headers=master
                )
                master = {"x-auth": made_key.json()["key"]}
                yield Servers(first, other, elsewhere, told["agencyId"], master)
        finally:
            process.terminate()
            await process.wait()
