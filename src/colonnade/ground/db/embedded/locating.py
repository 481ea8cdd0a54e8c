"""How any process of this machine speaks to the server of a data folder, whoever started it."""

from pathlib import Path

from colonnade.ground.db.address import Address
from colonnade.ground.db.embedded.binaries import find_binaries
from colonnade.ground.db.embedded.folder import Folder, is_taken, read_passwords
from colonnade.ground.db.embedded.leftovers import PORT
from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.embedded.roles import DATABASE
from colonnade.ground.db.embedded.sockets import socket_folder_for_clients, socket_folder_for_tools


def locate(data: Path) -> Address:
    """The address of the database in this folder; it stays good as long as this process lives.

    The host names an open folder of this very process, so it is no use to another one: each locates for itself.
    """
    folder = Folder(data.absolute())
    passwords = read_passwords(folder)
    if not passwords or not folder.holds_cluster():
        raise CannotStart(f"There is no database in {folder.data} yet; start it with `colonnade up`.")
    return Address(socket_folder_for_clients(folder.cluster), PORT, DATABASE, passwords)


def is_locked(data: Path) -> bool:
    """Whether a live process runs the server of this folder."""
    return is_taken(Folder(data.absolute()))


def tool_environment(data: Path, *, role: str = "postgres") -> tuple[dict[str, str], Path]:
    """The environment and the working folder with which pg_dump, pg_restore and psql reach the running server.

    Both are needed, and files are to be named by absolute paths. A backup is made as `postgres`: no other role
    sees the rows of all agencies.
    """
    cluster = Folder(data.absolute()).cluster
    address = locate(data)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C",
        "PGHOST": socket_folder_for_tools(cluster),
        "PGPORT": str(address.port),
        "PGUSER": role,
        "PGPASSWORD": address.passwords[role],
        "PGDATABASE": address.database,
    }
    return environment, cluster


def tools(data: Path) -> Path:
    """The folder with pg_dump, pg_restore and psql that fit the database of this folder."""
    return find_binaries(Folder(data.absolute())).folder
