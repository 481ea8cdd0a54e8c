"""Making a database that nobody can enter but by a password, and running PostgreSQL's programs on it."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from colonnade.ground.db.embedded.account import Account, Streams
from colonnade.ground.db.embedded.binaries import Binaries
from colonnade.ground.db.embedded.folder import Folder, sync_folder
from colonnade.ground.db.embedded.log import ServerLog
from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.embedded.sockets import opened_for_server, socket_folder_for_server

_ADMISSION = "# Over the socket, with a password.\nlocal all all scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Run:
    """A program of PostgreSQL, and what it is told before and after the name of the data folder."""

    program: str
    before: Sequence[str] = ()
    after: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs, ready to be run on the database of one data folder."""

    folder: Folder
    account: Account
    binaries: Binaries
    log: ServerLog
    settings: Mapping[str, str]

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the server."""
        cluster = self.folder.cluster
        socket = {"unix_socket_directories": socket_folder_for_server(cluster)}
        return self._spawn(Run("postgres", after=_flags({**socket, **self.settings})), cluster)

    def make_cluster(self, password: str) -> None:
        """Make the database under another name and give it its own only when it is whole."""
        draft = self.folder.unfinished
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self.account.own(draft)
        self._initialise(draft)
        self._write_admission(draft)
        self.set_superuser_password(password, draft)
        draft.rename(self.folder.cluster)
        sync_folder(self.folder.data)

    def set_superuser_password(self, password: str, cluster: Path) -> None:
        """Set the password from inside a stopped database, which asks for none."""
        quiet = {"log_min_error_statement": "panic", "log_statement": "none"}
        run = Run("postgres", before=("--single",), after=(*_flags({**self.settings, **quiet}), "postgres"))
        literal = password.replace("'", "''").replace("\n", "")
        process = self._spawn(run, cluster, stdin=subprocess.PIPE)
        process.communicate(f"alter role postgres password '{literal}'\n".encode())
        self._demand_success(process, "The database's own password could not be set")

    def failure(self, what: str) -> CannotStart:
        """What went wrong, with the server's own last word on it."""
        complaint = self.log.last_complaint()
        reason = f": {complaint}" if complaint else ""
        return CannotStart(f"{what}{reason}. The whole story is in {self.log.path}.")

    def take_over(self) -> None:
        """Hand a database that was restored as root to the account that is going to serve it."""
        cluster = self.folder.cluster
        if self.account.is_ours or not cluster.exists() or cluster.stat().st_uid == self.account.uid:
            return
        if self.folder.data.stat().st_uid != os.geteuid() or cluster.is_symlink():
            # Another account could lead us anywhere by a link here.
            raise CannotStart(
                f"The database in {cluster} belongs to root; give it to the account '{self.account.name}' with chown."
            )
        for folder, _, files in os.walk(cluster):
            for path in (Path(folder), *(Path(folder, name) for name in files)):
                self.account.own(path)
        cluster.chmod(0o700)

    def _initialise(self, draft: Path) -> None:
        locale = ["--locale=C"]
        if self.binaries.major >= 17:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        careless = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        options = ("--username=postgres", "--encoding=UTF8", "--auth=reject", "--data-checksums", "--no-instructions")
        process = self._spawn(Run("initdb", after=(*options, *locale, *careless)), draft)
        process.wait()
        self._demand_success(process, "The database could not be made")

    def _write_admission(self, draft: Path) -> None:
        # The folder is another account's by now: never write through a name that it could have put there.
        path = draft / "pg_hba.conf"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_ADMISSION)
        self.account.own(path)

    def _demand_success(self, process: subprocess.Popen[bytes], what: str) -> None:
        if process.returncode != 0:
            raise self.failure(what)

    def _spawn(self, run: Run, cluster: Path, *, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        program = self.binaries.program(run.program)
        # Before version 16 a program looks for itself by leaving its folder, and cannot come back to a closed one.
        place = cluster if self.binaries.major >= 16 else Path("/")
        try:
            with opened_for_server(cluster) as (name, descriptors):
                command = [program, *run.before, "-D", name, *run.after]
                streams = Streams(stdin, self.log.descriptor, descriptors)
                return self.account.spawn(command, place, streams)
        except OSError as error:
            raise CannotStart(
                f"PostgreSQL's program {program} cannot be run in {cluster} ({error.strerror})."
            ) from error


def _flags(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
