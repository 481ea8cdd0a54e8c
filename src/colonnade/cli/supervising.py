"""`colonnade up`: one parent that owns the database, the socket and the processes, and takes all of them with it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from colonnade.cli.console import err

_LOOK_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 25.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_STEADY_SECONDS: Final = 30.0


@dataclass(slots=True)
class Child:
    """One process that is kept running: what it is called, and the module that it is."""

    name: str
    module: str
    words: list[str] = field(default_factory=list)
    listener: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = field(default=0.0)

    def begin(self, environment: dict[str, str]) -> None:
        """Start it. It is in a session of its own, so Ctrl-C reaches the parent alone, and dies with the parent."""
        self.process = subprocess.Popen(  # noqa: S603 (our own program and words)
            [sys.executable, "-m", self.module, *self.words, "--parent", str(os.getpid())],
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[self.listener.fileno()] if self.listener is not None else [],
            start_new_session=True,
        )
        self.begun = time.monotonic()

    def has_ended(self) -> bool:
        """Whether it ended and nobody has begun it again."""
        return self.process is not None and self.process.poll() is not None


class Supervisor:
    """Keeps the children running until it is told to stop; then they drain, and none is left."""

    def __init__(self, children: list[Child], environment: dict[str, str]) -> None:
        self._children = children
        self._environment = environment
        self.stopping = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)

    def begin(self) -> None:
        """Start all of them."""
        for child in self._children:
            child.begin(self._environment)

    def watch(self, database_lives: Callable[[], bool]) -> None:
        """Return when told to stop, or when the database has ended by itself."""
        while not self.stopping:
            time.sleep(_LOOK_SECONDS)
            if not database_lives():
                err.print("[bold red]✗[/] The database has ended by itself; its log tells why. Everything is stopped.")
                return
            for child in self._children:
                self._look_after(child)

    def wait_until_ready(self, host: str, port: int) -> bool:
        """Whether the whole answers; false when told to stop, or when a child cannot even begin."""
        while not self.stopping:
            if any(child.has_ended() for child in self._children):
                return False
            if _is_ready(host, port):
                return True
            time.sleep(_LOOK_SECONDS)
        return False

    def end(self) -> None:
        """Ask all children to finish, wait for them, and end those that do not."""
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _DRAIN_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if not child.has_ended():
            return
        assert child.process is not None
        if not child.due:
            child.pause = _FIRST_PAUSE if now - child.begun > _STEADY_SECONDS else min(child.pause * 2, _LONGEST_PAUSE)
            child.due = now + child.pause
            err.print(f"The {child.name} ended ({_how(child.process)}); it begins again in {child.pause:g} s.")
        elif now >= child.due:
            child.due = 0.0
            child.begin(self._environment)


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
