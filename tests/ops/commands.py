"""The command line as an operator has it: real processes, each with a data folder of the test's own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil
from typer.testing import CliRunner

from colonnade.cli import main

PATIENCE = 90
ROSTER = Path(__file__).parents[2] / "examples" / "roster.csv"

T = TypeVar("T")


def environment(data: Path, **more: str) -> dict[str, str]:
    """What a command sees: nothing of the settings that this test run may have been given itself."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COLONNADE_")}
    return {**plain, "COLONNADE_DATA_DIR": str(data), **more}


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run(data: Path, *words: object, **more: str) -> Ended:
    """Run a command to its end, within this process: the database that it needs must be running."""
    usual: dict[str, str | None] = dict.fromkeys(name for name in os.environ if name.startswith("COLONNADE_"))
    given = {**usual, "COLONNADE_DATA_DIR": str(data), **more}
    with ThreadPoolExecutor(max_workers=1) as thread:
        told = thread.submit(CliRunner().invoke, main, [str(word) for word in words], env=given).result()
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return Ended(told.exit_code, told.stdout, told.stderr)


def run_apart(data: Path, *words: object, **more: str) -> Ended:
    """Run a command to its end, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "colonnade", *map(str, words)],
        env=environment(data, **more),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def answer(data: Path, *words: object, **more: str) -> Any:
    """The JSON answer of a command that does what it is told."""
    done = run(data, *words, "--json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run this in a loop of its own, beside the one that the tests run in."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(work)).result()


@dataclass
class Up:
    """`colonnade up` in a process of its own; leaving the block ends it however the test left it."""

    data: Path
    words: tuple[str, ...] = ("--no-demo",)
    more: dict[str, str] = field(default_factory=dict)
    url: str = ""
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __enter__(self) -> "Up":
        self.said = tempfile.TemporaryFile("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "colonnade", "up", "--port", "0", *self.words],
            env=environment(self.data, **self.more),
            stdin=subprocess.DEVNULL, stdout=self.said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self.url:
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)
            self.url = next((line[6:].strip() for line in self.text().splitlines() if line.startswith("ready ")), "")
        return self

    def text(self) -> str:
        """All that it said so far."""
        return os.pread(self.said.fileno(), 1 << 20, 0).decode()

    def family(self) -> list[psutil.Process]:
        """Every process below it, however deep: servers, workers, PostgreSQL and its backends."""
        below: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return below

    def interrupt(self) -> int:
        """Ctrl-C, and its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.interrupt()
        self.said.close()


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of these end within the patience of the tests."""
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def get(url: str, key: str | None = None) -> tuple[int, str]:
    """Status and body of a plain GET."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
