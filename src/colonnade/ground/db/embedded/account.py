"""The account that the server runs as: PostgreSQL refuses root, so root steps down to an existing account.

No account is ever created.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from colonnade.ground.db.embedded.folder import Folder
from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.processes import die_with_parent

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Streams:
    """What a program reads from and writes to, and the further descriptors that it inherits."""

    stdin: int = subprocess.DEVNULL
    output: int = subprocess.DEVNULL
    inherited: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server's processes belong to."""

    uid: int
    gid: int
    name: str | None

    @property
    def is_ours(self) -> bool:
        """Whether no step down is needed."""
        return self.uid == os.geteuid()

    def spawn(self, command: Sequence[object], folder: Path, streams: Streams) -> subprocess.Popen[bytes]:
        """Run a program of PostgreSQL in this folder as this account, tied to the life of this thread.

        The folder is entered before the step down, so that a path which is closed to the account does not matter.
        """
        # A session of its own keeps the terminal's Ctrl-C from stopping the server before its clients are done.
        return subprocess.Popen(  # noqa: S603 - the program is one of PostgreSQL's that we found ourselves
            [str(part) for part in command],
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=streams.stdin,
            stdout=streams.output,
            stderr=streams.output,
            pass_fds=streams.inherited,
            start_new_session=True,
            umask=0o077,
            user=None if self.is_ours else self.uid,
            group=None if self.is_ours else self.gid,
            extra_groups=None if self.is_ours else [self.gid],
            preexec_fn=partial(die_with_parent, os.getpid(), by=signal.SIGINT),  # noqa: PLW1509 - two system calls
        )

    def own(self, path: Path) -> None:
        """Hand a file or folder to this account, without following a link."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose_account(folder: Folder, wanted: str | None) -> Account:
    """The account for the server of this folder: ourselves, or, when we are root, an existing one to step down to."""
    if os.geteuid() != 0:
        return _ourselves(folder)
    for account in _candidates(folder, wanted):
        if account.uid != 0:
            return account
    raise CannotStart(
        "PostgreSQL does not run as root and no other account was found;"
        " name one with COLONNADE_DATABASE_USER, or run Colonnade as an ordinary user."
    )


def _ourselves(folder: Folder) -> Account:
    uid = os.geteuid()
    named = _by_uid(uid)
    if folder.cluster.exists():
        owner = folder.cluster.stat().st_uid
        if owner != uid:
            raise CannotStart(
                f"The database in {folder.data} belongs to another account (uid {owner});"
                " run Colonnade as that account or as root."
            )
    elif named is None:
        raise CannotStart(
            f"This process runs as uid {uid}, which has no name, and PostgreSQL cannot make a database without one;"
            " add a line for it to /etc/passwd, or set COLONNADE_DATABASE_URL."
        )
    return named or Account(uid, os.getegid(), None)


def _candidates(folder: Folder, wanted: str | None) -> Iterator[Account]:
    if folder.cluster.exists():
        status = folder.cluster.stat()
        yield _by_uid(status.st_uid) or Account(status.st_uid, status.st_gid, None)
    if wanted is not None:
        yield _demanded(wanted)
    sudo = os.environ.get("SUDO_UID", "")
    uids = [int(sudo)] if sudo.isdecimal() else []
    for uid in [*uids, folder.data.stat().st_uid]:
        found = _by_uid(uid)
        if found is not None:
            yield found
    for name in ("postgres", "nobody"):
        found = _by_name(name)
        if found is not None:
            yield found


def _demanded(name: str) -> Account:
    account = _by_name(name)
    if account is None:
        raise CannotStart(
            f"COLONNADE_DATABASE_USER names the account '{name}', which does not exist; name one that does."
        )
    if account.uid == 0:
        raise CannotStart("COLONNADE_DATABASE_USER names root, and PostgreSQL does not run as root; name another.")
    return account


def _by_uid(uid: int) -> Account | None:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _by_name(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
