"""Which processes of PostgreSQL work in a folder, as far as the kernel tells.

Only looking; what is done about them is decided elsewhere.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

HAS_PROC = Path("/proc/self/fd").is_dir()
"""Whether a process can be seen, and an open folder named, through /proc: on Linux."""

_PROGRAMS = frozenset({"postgres", "postmaster", "initdb"})
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4

T = TypeVar("T")


def processes_in(cluster: Path) -> list[int]:
    """The live processes of PostgreSQL that work in this folder; a shell that happens to stand there is not one."""
    try:
        wanted = cluster.stat()
    except FileNotFoundError:
        return []
    if not HAS_PROC:
        return [pid for pid in (recorded_postmaster(cluster),) if pid > 0 and _is_postgres(pid)]
    return _with_eyes_of(wanted, lambda: [pid for pid in _all_processes() if _works_in(pid, wanted)])


def recorded_postmaster(cluster: Path) -> int:
    """The process that the server's own lock file names; 0 when there is none. It may long be another's."""
    try:
        return int(_lock_file(cluster)[0])
    except (ValueError, IndexError):
        return 0


def memory_is_in_use(cluster: Path) -> bool:
    """Whether some process, visible or not, still holds the memory that the lock file names.

    Every process of a server holds it, so this also finds those that a restricted view of /proc hides.
    """
    try:
        key, segment = _lock_file(cluster)[6].split()
        table = Path("/proc/sysvipc/shm").read_text("utf-8").splitlines()
    except (OSError, ValueError, IndexError):
        return False
    rows = [line.split() for line in table[1:]]
    return any(row[:2] == [_signed(key), segment] and row[6] != "0" for row in rows)


def _signed(key: str) -> str:
    """The key as the kernel prints it: a signed number of 32 bits."""
    return str(ctypes.c_int32(int(key) & 0xFFFFFFFF).value)


def _lock_file(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _with_eyes_of(owner: os.stat_result, look: Callable[[], T]) -> T:
    """Look at /proc as the owner of the folder.

    Root in a container often may not look at the processes of other accounts, while each account may look at its own.
    """
    if os.geteuid() != 0 or owner.st_uid == 0:
        return look()
    libc = ctypes.CDLL(None)
    dumpable = libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)

    def disguised() -> T:
        libc.setfsgid(owner.st_gid)
        libc.setfsuid(owner.st_uid)
        return look()

    # The disguise belongs to one thread and ends with it; what it does to the process as a whole is undone.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-sight") as thread:
        seen = thread.submit(disguised).result()
    libc.prctl(_PR_SET_DUMPABLE, dumpable, 0, 0, 0)
    return seen


def _all_processes() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - names alone, of which there may be thousands
        if name.isdecimal():
            yield int(name)


def _works_in(pid: int, folder: os.stat_result) -> bool:
    # A zombie has no working folder any more.
    try:
        stands_here = os.path.samestat(os.stat(f"/proc/{pid}/cwd"), folder)  # noqa: PTH116 - as above
        return stands_here and Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip() in _PROGRAMS
    except OSError:
        return False


def _is_postgres(pid: int) -> bool:
    answer = subprocess.run(  # noqa: S603 - a number is all that varies
        ["/bin/ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    state, _, command = answer.strip().partition(" ")
    return not state.startswith("Z") and Path(command.strip()).name in _PROGRAMS
