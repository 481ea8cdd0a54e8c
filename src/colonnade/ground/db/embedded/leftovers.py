"""What a killed server leaves behind: processes that still work in the folder of the database, and its lock files.

Only for the holder of the folder's lock: the lock files guard against two servers, and here they are taken away.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from colonnade.ground.db.embedded.refusals import CannotStart

PORT = 5432
_PROGRAMS = frozenset({"postgres", "postmaster", "initdb"})
_LOCK_FILES = ("postmaster.pid", f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock")
_GENTLE, _FIRM, _LAST = 30.0, 5.0, 10.0


def processes_in(cluster: Path) -> list[int]:
    """The live processes of PostgreSQL that work in this folder; a shell that happens to stand there is not one."""
    try:
        wanted = cluster.stat()
    except FileNotFoundError:
        return []
    return [pid for pid in _all_processes() if _works_in(pid, wanted) and _program(pid) in _PROGRAMS]


def clear(cluster: Path, on_wait: Callable[[str], None]) -> None:
    """End what an earlier server left running in this folder, then take its lock files away."""
    if not cluster.is_dir() or not Path("/proc/self/cwd").exists():
        return
    if processes_in(cluster):
        on_wait("An earlier database server is still in this folder; waiting for it to end.")
        _end_all(cluster)
    for name in _LOCK_FILES:
        (cluster / name).unlink(missing_ok=True)


def _end_all(cluster: Path) -> None:
    # A whole server is asked to shut down; backends without a postmaster know only "quit".
    postmaster = _recorded_postmaster(cluster)
    if postmaster in processes_in(cluster):
        _signal([postmaster], signal.SIGINT)
        if _all_gone(cluster, _GENTLE):
            return
    for sent, patience in ((signal.SIGQUIT, _FIRM), (signal.SIGKILL, _LAST)):
        _signal(processes_in(cluster), sent)
        if _all_gone(cluster, patience):
            return
    left = ", ".join(str(pid) for pid in processes_in(cluster))
    raise CannotStart(f"An earlier database server does not end (process {left}); end it and start again.")


def _signal(pids: list[int], sent: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sent)


def _all_gone(cluster: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while processes_in(cluster):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _recorded_postmaster(cluster: Path) -> int:
    try:
        return int((cluster / "postmaster.pid").read_text("utf-8").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _all_processes() -> Iterator[int]:
    proc = Path("/proc")
    if not proc.is_dir():
        return
    for entry in os.listdir(proc):  # noqa: PTH208 - names only, a thousand times
        if entry.isdecimal():
            yield int(entry)


def _works_in(pid: int, folder: os.stat_result) -> bool:
    # A zombie has no working folder any more, and the processes of others show none.
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), folder)  # noqa: PTH116 - as above
    except OSError:
        return False


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""
