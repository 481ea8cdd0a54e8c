"""The data folder: where things lie in it, whose turn it is, and the passwords of the database roles.

Nothing here starts or stops a process.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from colonnade.ground.db.embedded.refusals import AlreadyRunning, CannotStart

ROLES = ("postgres", "colonnade_owner", "colonnade_app", "colonnade_worker")

_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Folder:
    """The places of a data folder."""

    data: Path

    @property
    def cluster(self) -> Path:
        """The database itself, owned by the account that the server runs as."""
        return self.data / "pg"

    @property
    def unfinished(self) -> Path:
        """A database in the making; it gets its name when it is whole."""
        return self.data / "pg.tmp"

    @property
    def lock(self) -> Path:
        """The file whose lock says who runs the server here."""
        return self.data / "lock"

    @property
    def secrets(self) -> Path:
        """The passwords of the roles."""
        return self.data / "database.json"

    @property
    def log(self) -> Path:
        """What the server writes about itself."""
        return self.data / "log" / "postgresql.log"

    def holds_cluster(self) -> bool:
        """Whether a finished database lies here."""
        return (self.cluster / "PG_VERSION").exists()


def open_folder(data: Path) -> Folder:
    """The data folder at this path, made with access for its owner alone when it is new."""
    folder = Folder(data.absolute())
    try:
        folder.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The data folder {folder.data} cannot be made ({error.strerror}); choose another with COLONNADE_DATA_DIR."
        ) from error
    return folder


class Turn:
    """The right to run the server of a data folder, held until given back or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def give_back(self) -> None:
        """Let the next process have the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def take_turn(folder: Folder) -> Turn:
    """Take the right to run the server here, or say who has it."""
    descriptor = _open_lock(folder, os.O_RDWR | os.O_CREAT)
    deadline = time.monotonic() + _PATIENCE
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            holder = os.pread(descriptor, 20, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise AlreadyRunning(
                f"Colonnade is already running in {folder.data}"
                + (f" (process {holder})" if holder else "")
                + "; stop it first, or choose another folder with COLONNADE_DATA_DIR."
            )
        time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return Turn(descriptor)


def is_taken(folder: Folder) -> bool:
    """Whether some live process, this one included, runs the server here."""
    if not folder.lock.exists():
        return False
    descriptor = _open_lock(folder, os.O_RDONLY)
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _open_lock(folder: Folder, flags: int) -> int:
    try:
        return os.open(folder.lock, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The data folder {folder.data} cannot be used by this account ({error.strerror});"
            " run Colonnade as its owner, or choose another folder with COLONNADE_DATA_DIR."
        ) from error


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CannotStart(
            f"The file system of the data folder cannot lock files ({error.strerror});"
            " choose a folder on a local disk with COLONNADE_DATA_DIR."
        ) from error
    return True


def read_passwords(folder: Folder) -> dict[str, str]:
    """The passwords that are kept in this folder; none when it is new."""
    try:
        text = folder.secrets.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CannotStart(f"{folder.secrets} cannot be read ({error.strerror}); run Colonnade as its owner.") from error
    try:
        kept = json.loads(text)["passwords"]
        return {str(role): str(password) for role, password in kept.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotStart(
            f"{folder.secrets} is damaged; move it away and start again, and new passwords are made."
        ) from None


def complete_passwords(folder: Folder) -> tuple[dict[str, str], frozenset[str]]:
    """One password for each role, those that were missing made now and named in the second value."""
    passwords = read_passwords(folder)
    missing = frozenset(ROLES) - passwords.keys()
    passwords |= {role: secrets.token_urlsafe(32) for role in sorted(missing)}
    if missing:
        _write_passwords(folder, passwords)
    folder.secrets.chmod(0o600)
    return passwords, missing


def _write_passwords(folder: Folder, passwords: Mapping[str, str]) -> None:
    draft = folder.secrets.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"passwords": dict(passwords)}, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder.secrets)
    sync_folder(folder.data)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
