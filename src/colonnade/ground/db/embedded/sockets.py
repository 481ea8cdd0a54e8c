"""How the server and its clients name the folder of the database and of its socket, at whatever depth it lies.

A socket's path has room for about a hundred bytes, and each folder on the way must be open to who follows it.
Where there is /proc, both are cured by naming an open folder instead of its path.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.embedded.sight import HAS_PROC


@dataclass(frozen=True, slots=True)
class _Handle:
    """An open way to a cluster folder, for as long as this process lives."""

    descriptor: int
    device: int
    inode: int


_handles: dict[Path, _Handle] = {}
_opening = threading.Lock()


@contextmanager
def opened_for_server(cluster: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What a program that is started now may call the cluster folder, and the descriptors that it must inherit."""
    if not HAS_PROC:
        yield str(cluster), ()
        return
    descriptor = os.open(cluster, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def socket_folder_for_server(cluster: Path) -> str:
    """Where the server puts its socket: into the database's own folder, or a short one that is made for it."""
    if HAS_PROC:
        return "."
    short, owner = _short_folder(cluster), cluster.stat()
    if not short.exists():
        short.mkdir(mode=0o700)
        os.chown(short, owner.st_uid, owner.st_gid, follow_symlinks=False)
    _demand_private(short, owner.st_uid)
    return str(short)


def socket_folder_for_clients(cluster: Path) -> str:
    """Where this process finds the socket; good as long as this process lives, and for no other."""
    if HAS_PROC:
        return f"/proc/self/fd/{_descriptor(cluster)}"
    short = _short_folder(cluster)
    if short.exists():
        _demand_private(short, cluster.stat().st_uid)
    return str(short)


def socket_folder_for_tools(cluster: Path) -> str:
    """Where a program finds the socket that is run with the cluster folder as its working folder."""
    return "/proc/self/cwd" if HAS_PROC else str(_short_folder(cluster))


def _descriptor(cluster: Path) -> int:
    status = cluster.stat()
    with _opening:
        handle = _handles.get(cluster)
        if handle is None or (handle.device, handle.inode) != (status.st_dev, status.st_ino):
            descriptor = os.open(cluster, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            handle = _handles[cluster] = _Handle(descriptor, status.st_dev, status.st_ino)
    return handle.descriptor


def _short_folder(cluster: Path) -> Path:
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path("/tmp") / f"colonnade-{name}"  # noqa: S108 - its owner and modes are checked before each use


def _demand_private(folder: Path, owner: int) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise CannotStart(f"{folder} is needed for the database's socket and belongs to someone else; remove it.")
