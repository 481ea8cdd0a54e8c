"""The processes that are measured, each on a socket of its own and, where there are several cores, on the first one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

import psutil
from starlette.types import ASGIApp

from bench.load import pin
from colonnade.processes import listen
from colonnade.serving import answer

_PATIENCE_SECONDS: Final = 60.0

SHIPPED: Final = ("colonnade.serving", "--fd")
BARE: Final = ("bench.bare",)
PLAIN: Final = ("bench.plain",)


@dataclass(frozen=True, slots=True)
class Served:
    """A process that answers on a port of this machine."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """The time that it has computed so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def serving(words: tuple[str, ...], environment: Mapping[str, str], core: int | None) -> Iterator[Served]:
    """A process that runs this module, told a listening socket's number as its last word; it ends with the block."""
    listener = listen("127.0.0.1", 0)
    process = subprocess.Popen(
        [sys.executable, "-m", *words, str(listener.fileno())],
        env={**os.environ, **environment},
        pass_fds=[listener.fileno()],
        preexec_fn=lambda: pin(core),  # noqa: PLW1509 (no threads of ours are running yet)
        stdin=subprocess.DEVNULL,
    )
    try:
        yield Served(int(listener.getsockname()[1]), psutil.Process(process.pid))
    finally:
        listener.close()
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def fetch(port: int, path: str, key: str) -> bytes:
    """The body of one answer; waits for a process that has only just begun."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _ask(port, path, key)
        except (OSError, HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ask(port: int, path: str, key: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {body[:300]!r}")
    return body


def serve_handed_on(application: ASGIApp) -> None:
    """Answer, as the shipped process does, on the socket that the process which started this one listens with."""
    listener = socket.socket(fileno=int(sys.argv[-1]))
    answer(application, listener)
