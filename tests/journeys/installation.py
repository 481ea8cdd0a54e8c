"""A real installation for a journey: the command `up` in a process of its own, spoken to by curl and by commands."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "colonnade")
READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Installation:
    """One data folder and whatever runs on it."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    url: str = ""
    printed: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COLONNADE_")}
        return {**kept, "COLONNADE_DATA_DIR": str(self.data), "COLONNADE_LOG_FORMAT": "json", **self.settings}

    async def up(self, *words: str) -> None:
        """Start it and wait for the line `ready URL`."""
        self.printed.clear()
        self.process = await asyncio.create_subprocess_exec(
            *COMMAND,
            "up",
            "--port",
            "0",
            *words,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self.process, ready))
        self.url = await asyncio.wait_for(ready, READY_SECONDS)

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Future[str]) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode().rstrip("\n")
            self.printed.append(line)
            if line.startswith("ready ") and not ready.done():
                ready.set_result(line.removeprefix("ready ").strip())
        if not ready.done():
            ready.set_exception(AssertionError("it ended before it was ready:\n" + "\n".join(self.printed)))

    async def kill(self) -> None:
        """Kill the parent with -9; database, server and worker must go with it."""
        assert self.process is not None
        self.process.kill()
        await self._ended()
        await self.wait_until_empty()

    async def stop(self) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        return await self._ended()

    async def _ended(self) -> int:
        assert self.process is not None
        code = await asyncio.wait_for(self.process.wait(), 90)
        if self._reading is not None:
            await self._reading
        return code

    async def wait_until_empty(self) -> None:
        """Until no process of this installation is left."""
        deadline = time.monotonic() + 60
        while left := self.processes():
            assert time.monotonic() < deadline, f"processes are left: {left}"
            await asyncio.sleep(0.05)

    def processes(self) -> list[str]:
        """The processes whose environment or working folder is this installation's."""
        mark = f"COLONNADE_DATA_DIR={self.data}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                ours = mark in (entry / "environ").read_bytes().split(b"\0")
                if ours or str((entry / "cwd").readlink()).startswith(str(self.data)):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
        return found

    async def command(self, *words: str) -> tuple[int, str, str]:
        """One command of the command line: exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *words,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def curl(self, key: str, *words: str) -> Answer:
        """What `curl` says, with this key if there is one; a word that begins with `/` is completed to a URL."""
        who = ("-H", f"Authorization: Bearer {key}") if key else ()
        full = [self.url + word if word.startswith("/") else word for word in words]
        process = await asyncio.create_subprocess_exec("curl", "-sS", "-i", *who, *full, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0, f"curl ended with {process.returncode}"
        head, _, body = out.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(first.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def installation(data: Path, **settings: str) -> AsyncIterator[Installation]:
    """An installation that is gone afterwards, whatever happened; a setting's name is given in lower case."""
    made = Installation(data, {f"COLONNADE_{name.upper()}": value for name, value in settings.items()})
    try:
        yield made
    finally:
        if made.process is not None and made.process.returncode is None:
            await made.stop()
        await made.wait_until_empty()
