"""How any process of this machine speaks to the server of a data folder, whoever started it."""

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from colonnade.ground.db.address import Address
from colonnade.ground.db.embedded.binaries import find_binaries
from colonnade.ground.db.embedded.folder import Folder, is_taken, read_passwords
from colonnade.ground.db.embedded.leftovers import PORT
from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.embedded.roles import DATABASE


@dataclass(frozen=True, slots=True)
class _Handle:
    """An open way to a cluster folder, for as long as this process lives."""

    descriptor: int
    device: int
    inode: int


_handles: dict[Path, _Handle] = {}
_opening = threading.Lock()


def locate(data: Path) -> Address:
    """The address of the database in this folder; it stays good as long as this process lives.

    The host names an open file of this very process, so it is no use to another one: each locates for itself.
    """
    folder = Folder(data.absolute())
    passwords = read_passwords(folder)
    if not passwords or not folder.holds_cluster():
        raise CannotStart(f"There is no database in {folder.data} yet; start it with `colonnade up`.")
    return Address(socket_folder(folder), PORT, DATABASE, passwords)


def is_locked(data: Path) -> bool:
    """Whether a live process runs the server of this folder."""
    return is_taken(Folder(data.absolute()))


def tool_environment(data: Path, *, role: str = "colonnade_owner") -> tuple[dict[str, str], Path]:
    """The environment and the working folder with which pg_dump, pg_restore and psql reach the running server.

    Give them absolute paths for their files.
    """
    folder = Folder(data.absolute())
    address = locate(data)
    host = "/proc/self/cwd" if _has_proc() else address.host
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C",
        "PGHOST": host,
        "PGPORT": str(address.port),
        "PGUSER": role,
        "PGPASSWORD": address.passwords[role],
        "PGDATABASE": address.database,
    }, folder.cluster


def tools(data: Path) -> Path:
    """The folder with pg_dump, pg_restore and psql that fit the database of this folder."""
    return find_binaries(Folder(data.absolute())).folder


def socket_folder(folder: Folder) -> str:
    """A short name of the folder that the server's socket lies in: the cluster itself.

    A socket's path may have 107 bytes and every folder above it must be open, so the way goes over a descriptor.
    """
    status = folder.cluster.stat()
    with _opening:
        handle = _handles.get(folder.cluster)
        if handle is None or (handle.device, handle.inode) != (status.st_dev, status.st_ino):
            descriptor = os.open(folder.cluster, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            handle = _handles[folder.cluster] = _Handle(descriptor, status.st_dev, status.st_ino)
    return f"/proc/self/fd/{handle.descriptor}"


def _has_proc() -> bool:
    return sys.platform == "linux"
