"""Starting and stopping the server of a data folder, and coming back from whatever a kill left there."""

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from colonnade.ground.db.address import Address
from colonnade.ground.db.embedded import leftovers
from colonnade.ground.db.embedded.account import choose_account
from colonnade.ground.db.embedded.binaries import find_binaries, make_reachable
from colonnade.ground.db.embedded.folder import Folder, Turn, complete_passwords, open_folder, take_turn
from colonnade.ground.db.embedded.locating import locate
from colonnade.ground.db.embedded.log import ServerLog
from colonnade.ground.db.embedded.making import Programs
from colonnade.ground.db.embedded.refusals import CannotStart
from colonnade.ground.db.embedded.roles import prepare_when_answering

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(leftovers.PORT),
    "max_connections": "200",
    "shared_buffers": "128MB",
    "password_encryption": "scram-sha-256",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
}
_GENTLE, _FIRM = 60.0, 15.0
_LOG_CHECK = 30.0
_WORTH_A_WORD = 1.0


class Cluster:
    """A server that this process started and owns."""

    def __init__(self, programs: Programs, turn: Turn) -> None:
        self.data: Path = programs.folder.data
        self.binaries: Path = programs.binaries.folder
        self.address: Address = locate(self.data)
        self._programs = programs
        self._turn = turn
        self._process: subprocess.Popen[bytes] = programs.serve()
        self.pid: int = self._process.pid
        self._stopping = threading.RLock()
        self._stopped = threading.Event()
        threading.Thread(target=self._keep_log_small, name="database-log", daemon=True).start()

    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Shut the server down and let go of the data folder; what was committed is kept, and twice does no harm."""
        with self._stopping:
            if self._stopped.is_set():
                return
            self._end_process()
            leftovers.clear(self._programs.folder.cluster, _silent)
            self._stopped.set()
            self._programs.log.close()
            self._turn.give_back()

    def _end_process(self) -> None:
        for sent, patience in ((signal.SIGINT, _GENTLE), (signal.SIGQUIT, _FIRM)):
            if self._process.poll() is not None:
                return
            self._process.send_signal(sent)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        # Whatever still lives is ended as a leftover; here it is only asked for its exit, so that no zombie stays.
        leftovers.clear(self._programs.folder.cluster, _silent)
        self._process.wait()

    def _keep_log_small(self) -> None:
        while not self._stopped.wait(_LOG_CHECK):
            with self._stopping:
                if not self._stopped.is_set():
                    self._rotate_log()

    def _rotate_log(self) -> None:
        # A full disk must not end the thread that is going to make room.
        with contextlib.suppress(OSError):
            self._programs.log.rotate_when_large()


def start(
    data: Path,
    *,
    account: str | None = None,
    settings: Mapping[str, str] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Cluster:
    """Start the server of this data folder, making the database the first time, and return when it answers.

    It lives as long as this process: call it from the main thread, since the server ends with the thread that
    started it. Whatever an earlier, killed server left behind is recovered, however long that takes.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("The database server is started from the main thread, whose end would stop it.")
    folder = open_folder(data)
    turn = take_turn(folder)
    try:
        return _start_as_holder(folder, turn, account, {**_SETTINGS, **(settings or {})}, on_wait or _silent)
    except OSError as error:
        turn.give_back()
        raise CannotStart(f"The database in {folder.data} did not start: {error}.") from error
    except BaseException:
        turn.give_back()
        raise


def _start_as_holder(
    folder: Folder, turn: Turn, wanted: str | None, settings: Mapping[str, str], on_wait: Callable[[str], None]
) -> Cluster:
    leftovers.clear(folder.unfinished, on_wait)
    leftovers.clear(folder.cluster, on_wait)
    account = choose_account(folder, wanted)
    passwords, renewed = complete_passwords(folder)
    binaries = make_reachable(find_binaries(folder), account, folder)
    log = ServerLog(folder.log)
    try:
        programs = Programs(folder, account, binaries, log, settings)
        programs.take_over()
        if not folder.holds_cluster():
            programs.make_cluster(passwords["postgres"])
        elif "postgres" in renewed:
            programs.set_superuser_password(passwords["postgres"], folder.cluster)
        cluster = Cluster(programs, turn)
    except BaseException:
        log.close()
        raise
    try:
        _wait_until_prepared(cluster, programs, on_wait)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _wait_until_prepared(cluster: Cluster, programs: Programs, on_wait: Callable[[str], None]) -> None:
    begin, told = time.monotonic(), False
    while not prepare_when_answering(cluster.address):
        if not cluster.is_running():
            raise programs.failure("PostgreSQL did not start")
        if not told and time.monotonic() - begin > _WORTH_A_WORD:
            on_wait("The database is recovering after a sudden end; this may take a while.")
            told = True
        time.sleep(0.02)


def _silent(_: str) -> None:
    """Say nothing."""
