"""What the tests of the database launcher share: quick settings, other processes, and looking at what is alive."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address

QUICK = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}
AS_ROOT = os.geteuid() == 0

HOLD = f"""
import sys, time
from pathlib import Path
from colonnade.ground.db import embedded
cluster = embedded.start(Path(sys.argv[1]), settings={QUICK!r})
print(cluster.pid, flush=True)
time.sleep(600)
"""

TRY = f"""
import sys
from pathlib import Path
from colonnade.ground.db import embedded
try:
    cluster = embedded.start(Path(sys.argv[1]), settings={QUICK!r})
    print("started with", cluster.binaries, flush=True)
    cluster.stop()
except embedded.CannotStart as refusal:
    print("refused:", refusal)
"""


def start(data: Path, **more: Any) -> embedded.Cluster:
    """Start with settings that suit a short life."""
    return embedded.start(data, settings=QUICK, **more)


def ask(address: Address, sql: str, *, role: str = "colonnade_owner", database: str | None = None) -> Any:
    """One value from the server, asked for in a loop of its own."""

    async def asked() -> Any:
        connection = await asyncpg.connect(**address.arguments(role, database=database))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(asked())).result()


def hold(data: Path) -> tuple[subprocess.Popen[str], int]:
    """Another process that runs the server of this folder, and the server's process id."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(data)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, int(holder.stdout.readline())


def attempt(data: Path, *before: str, **more: Any) -> str:
    """What another process says about starting and stopping here."""
    done = subprocess.run(
        [*before, sys.executable, "-c", TRY, str(data)],
        capture_output=True, text=True, check=False, timeout=100, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def busy_query(data: Path) -> subprocess.Popen[bytes]:
    """A client whose statement keeps a backend busy long enough to outlive its postmaster."""
    environment, folder = embedded.tool_environment(data)
    sql = "select count(*) from generate_series(1, 4000000000)"
    return subprocess.Popen(
        [embedded.tools(data) / "psql", "-qAtc", sql], env=environment, cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def standing_in(folder: Path) -> list[int]:
    """Every live process whose working folder is this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def wait_for(holds: Callable[[], object]) -> None:
    """Wait until something is so, and give up only when it plainly never will be."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.05)


def finish(process: subprocess.Popen[Any]) -> None:
    """Be done with a process that this test started."""
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
