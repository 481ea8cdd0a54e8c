"""What a killed server leaves behind: processes that still work in the folder of the database, and its lock files.

Only for the holder of the folder's lock: the lock files guard against two servers, and here they are taken away.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.embedded.sight import memory_is_in_use, processes_in, recorded_postmaster

PORT = 5432
_LOCK_FILES = ("postmaster.pid", f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock")
_GENTLE, _FIRM, _LAST = 30.0, 5.0, 10.0


def clear(cluster: Path, on_wait: Callable[[str], None]) -> None:
    """End what an earlier server left running in this folder, then take its lock files away.

    They stay, and this is refused, as long as any process may still work on the database.
    """
    if not cluster.is_dir():
        return
    if processes_in(cluster):
        on_wait("An earlier database server is still in this folder; waiting for it to end.")
        _end_all(cluster)
    if not _wait_until(lambda: not memory_is_in_use(cluster), _FIRM):
        raise CannotStart(
            f"An earlier database server still works in {cluster}, out of this process's sight;"
            " end it (or the container that it runs in) and start again."
        )
    for name in _LOCK_FILES:
        (cluster / name).unlink(missing_ok=True)


def _end_all(cluster: Path) -> None:
    # A whole server is asked to shut down; backends without a postmaster know only "quit".
    postmaster = recorded_postmaster(cluster)
    if postmaster in processes_in(cluster):
        _signal([postmaster], signal.SIGINT)
        if _wait_until(lambda: not processes_in(cluster), _GENTLE):
            return
    for sent, patience in ((signal.SIGQUIT, _FIRM), (signal.SIGKILL, _LAST)):
        _signal(processes_in(cluster), sent)
        if _wait_until(lambda: not processes_in(cluster), patience):
            return
    left = ", ".join(str(pid) for pid in processes_in(cluster))
    raise CannotStart(f"An earlier database server does not end (process {left}); end it and start again.")


def _signal(pids: list[int], sent: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sent)


def _wait_until(holds: Callable[[], bool], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
