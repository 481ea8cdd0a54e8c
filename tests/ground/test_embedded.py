"""The server of a data folder: started, found, spoken to and stopped."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest

from colonnade.ground.db import embedded
from colonnade.ground.db.embedded.log import LARGE
from tests.ground.embedded_helpers import AS_ROOT, QUICK, ask, finish, hold, standing_in, start, wait_for


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own that goes with it: a database is too large to be kept for a look."""
    yield tmp_path
    wait_for(lambda: not standing_in(tmp_path / "data" / "pg"))
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Cluster]:
    """A running server that tests only look at."""
    cluster = start(tmp_path_factory.mktemp("shared") / "data")
    yield cluster
    cluster.stop()
    shutil.rmtree(cluster.data)


def test_it_starts_below_a_closed_folder_on_a_path_that_no_socket_could_have(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data = closed / ("d" * 90) / ("e" * 90) / "data"
    cluster = start(data)
    try:
        assert len(str(data)) > 180
        assert cluster.is_running()
        assert ask(cluster.address, "select current_user") == "colonnade_owner"
    finally:
        cluster.stop()


def test_what_was_committed_is_there_after_a_restart_with_the_same_passwords(tmp_path: Path) -> None:
    cluster = start(tmp_path / "data")
    before = cluster.address.passwords
    ask(cluster.address, "create table kept as select 42 as answer")
    cluster.stop()
    cluster = start(tmp_path / "data")
    try:
        assert ask(cluster.address, "select answer from kept") == 42
        assert cluster.address.passwords == before
    finally:
        cluster.stop()


def test_a_second_start_on_a_folder_says_who_runs_there(tmp_path: Path) -> None:
    holder, _ = hold(tmp_path / "data")
    try:
        assert embedded.is_locked(tmp_path / "data")
        with pytest.raises(embedded.AlreadyRunning) as refusal:
            start(tmp_path / "data")
        assert f"already running in {tmp_path / 'data'} (process {holder.pid})" in str(refusal.value)
        assert "COLONNADE_DATA_DIR" in str(refusal.value)
    finally:
        finish(holder)


def test_stop_leaves_no_process_and_no_lock_and_can_be_repeated(tmp_path: Path) -> None:
    cluster = start(tmp_path / "data")
    assert standing_in(tmp_path / "data" / "pg")
    assert embedded.is_locked(tmp_path / "data")
    cluster.stop()
    cluster.stop()
    assert not cluster.is_running()
    assert standing_in(tmp_path / "data" / "pg") == []
    assert not embedded.is_locked(tmp_path / "data")


async def test_it_starts_where_an_event_loop_is_running(tmp_path: Path) -> None:
    cluster = start(tmp_path / "data")
    try:
        connection = await asyncpg.connect(**cluster.address.arguments("colonnade_app"))
        assert await connection.fetchval("select current_user") == "colonnade_app"
        await connection.close()
    finally:
        cluster.stop()


def test_it_starts_from_the_main_thread_alone(tmp_path: Path) -> None:
    seen: list[BaseException] = []

    def elsewhere() -> None:
        try:
            start(tmp_path / "data")
        except RuntimeError as error:
            seen.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(seen[0])


def test_another_process_finds_the_server_by_its_folder(cluster: embedded.Cluster) -> None:
    text = """
import asyncio, sys, asyncpg
from pathlib import Path
from colonnade.ground.db import embedded
async def main():
    connection = await asyncpg.connect(**embedded.locate(Path(sys.argv[1])).arguments("colonnade_worker"))
    print(await connection.fetchval("select current_user || ' in ' || current_database()"))
    await connection.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", text, str(cluster.data)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "colonnade_worker in colonnade"


def test_locating_twice_gives_the_same_host_and_a_folder_without_a_database_is_named(
    cluster: embedded.Cluster, tmp_path: Path
) -> None:
    assert embedded.locate(cluster.data) == embedded.locate(cluster.data) == cluster.address
    with pytest.raises(embedded.CannotStart, match=r"no database in .* yet"):
        embedded.locate(tmp_path)


def test_a_wrong_password_is_refused_whatever_the_role(cluster: embedded.Cluster) -> None:
    for role in embedded.ROLES:
        guessing = replace(cluster.address, passwords=dict.fromkeys(embedded.ROLES, "guess"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(guessing, "select 1", role=role)


def test_there_is_one_way_in_the_socket_with_a_scram_password(cluster: embedded.Cluster) -> None:
    rules = "select json_agg(json_build_array(type, database, user_name, auth_method)) from pg_hba_file_rules"
    found = json.loads(ask(cluster.address, rules, role="postgres"))
    assert found == [["local", ["all"], ["all"], "scram-sha-256"]]
    assert ask(cluster.address, "show listen_addresses") == ""
    weak = "select count(*) from pg_authid where rolcanlogin and rolpassword not like 'SCRAM-SHA-256$%'"
    assert ask(cluster.address, weak, role="postgres") == 0


def test_no_role_of_ours_is_above_the_policies_of_rows(cluster: embedded.Cluster) -> None:
    text = """select json_object_agg(rolname, json_build_array(
                  rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb) order by rolname)
              from pg_roles where rolname like 'colonnade%'"""
    assert json.loads(ask(cluster.address, text)) == {
        "colonnade_app": [True, False, False, False, False],
        "colonnade_lookup": [False, False, False, False, False],
        "colonnade_owner": [True, False, False, True, True],
        "colonnade_worker": [True, False, False, False, False],
    }


def test_the_owner_can_hand_a_function_to_the_lookup_role(cluster: embedded.Cluster) -> None:
    ask(cluster.address, "create schema doors")
    ask(cluster.address, "grant usage, create on schema doors to colonnade_lookup")
    ask(cluster.address, "create function doors.f() returns int language sql as 'select 1'")
    ask(cluster.address, "alter function doors.f() owner to colonnade_lookup")
    owner = "select proowner::regrole::text from pg_proc where proname = 'f' and pronamespace = 'doors'::regnamespace"
    assert ask(cluster.address, owner) == "colonnade_lookup"


def test_text_is_utf8_sorted_by_code_point_and_time_is_utc(cluster: embedded.Cluster) -> None:
    assert ask(cluster.address, "show server_encoding") == "UTF8"
    assert ask(cluster.address, "show timezone") == "UTC"
    assert ask(cluster.address, "select 'B' < 'a' and 'z' < 'ä'")
    assert ask(cluster.address, "select upper('ä')") == "Ä"


def test_the_files_that_matter_are_closed_to_others(cluster: embedded.Cluster) -> None:
    data = cluster.data
    for name in ("database.json", "lock", "log/postgresql.log"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600, name
    for name in (".", "pg", "log"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o700, name


def test_no_password_is_in_the_log_or_in_the_address_s_text(cluster: embedded.Cluster) -> None:
    log = (cluster.data / "log" / "postgresql.log").read_text("utf-8")
    assert "ready to accept connections" in log
    for password in cluster.address.passwords.values():
        assert password not in log
        assert password not in repr(cluster.address)
        assert all(password not in part for part in psutil.Process(cluster.pid).cmdline())


@pytest.mark.skipif(not AS_ROOT, reason="only root steps down")
def test_root_steps_down_for_good_and_takes_no_group_along(cluster: embedded.Cluster) -> None:
    process = psutil.Process(cluster.pid)
    assert 0 not in process.uids()
    assert 0 not in process.gids()
    groups = Path(f"/proc/{cluster.pid}/status").read_text("ascii").split("Groups:")[1].splitlines()[0].split()
    assert groups == [str(process.gids().real)]


@pytest.mark.skipif(not AS_ROOT, reason="only root steps down")
def test_root_can_name_the_account_and_is_told_when_it_does_not_exist(tmp_path: Path) -> None:
    cluster = start(tmp_path / "data", account="nobody")
    owner = psutil.Process(cluster.pid).username()
    cluster.stop()
    assert owner == "nobody"
    with pytest.raises(embedded.CannotStart, match="COLONNADE_DATABASE_USER names the account 'no-such'"):
        start(tmp_path / "other", account="no-such")
    with pytest.raises(embedded.CannotStart, match="does not run as root"):
        start(tmp_path / "other", account="root")


def test_pg_dump_and_pg_restore_reach_the_running_server(cluster: embedded.Cluster, tmp_path: Path) -> None:
    ask(cluster.address, "create table dumped as select 7 as n")
    environment, folder = embedded.tool_environment(cluster.data)
    file = tmp_path / "dump"
    for command in (
        ["pg_dump", "-Fc", "-f", file],
        ["psql", "-qc", "create database restored"],
        ["pg_restore", "--exit-on-error", "-d", "restored", file],
    ):
        program = cluster.binaries / str(command[0])
        subprocess.run([program, *command[1:]], env=environment, cwd=folder, check=True, capture_output=True)
    assert ask(cluster.address, "select n from dumped", database="restored") == 7
    assert embedded.tools(cluster.data).joinpath("pg_dump").exists()


def test_a_database_made_halfway_is_never_used(tmp_path: Path) -> None:
    half = tmp_path / "data" / "pg.tmp"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    cluster = start(tmp_path / "data")
    try:
        assert ask(cluster.address, "select 1") == 1
        assert not half.exists()
    finally:
        cluster.stop()


def test_lost_passwords_are_made_anew_and_wrong_ones_are_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    cluster = start(data)
    cluster.stop()
    (data / "database.json").unlink()
    cluster = start(data)
    try:
        for role in embedded.ROLES:
            assert ask(cluster.address, "select current_user", role=role) == role
    finally:
        cluster.stop()
    (data / "database.json").write_text(json.dumps({"passwords": dict.fromkeys(embedded.ROLES, "other")}))
    with pytest.raises(embedded.CannotStart, match=r"database\.json are not those of this database"):
        start(data)
    (data / "database.json").write_text("{")
    with pytest.raises(embedded.CannotStart, match="is damaged"):
        start(data)
    assert not embedded.is_locked(data)


def test_a_server_that_does_not_start_says_why_and_leaves_the_folder_free(tmp_path: Path) -> None:
    start(tmp_path / "data").stop()
    with pytest.raises(embedded.CannotStart, match=r"PostgreSQL did not start: .*max_connections.*postgresql\.log"):
        embedded.start(tmp_path / "data", settings={**QUICK, "max_connections": "plenty"})
    assert not embedded.is_locked(tmp_path / "data")
    assert standing_in(tmp_path / "data" / "pg") == []


def test_a_database_of_a_version_that_is_not_installed_is_refused_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "data" / "pg").mkdir(parents=True)
    (tmp_path / "data" / "pg" / "PG_VERSION").write_text("9\n")
    with pytest.raises(embedded.CannotStart, match="made by PostgreSQL 9, and that version is not installed"):
        start(tmp_path / "data")


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(embedded.CannotStart, match="cannot be made"):
        start(tmp_path / "file" / "data")


def test_a_log_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(embedded.CannotStart, match="not a link"):
        start(tmp_path / "data")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_large_log_is_put_aside_while_the_server_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "data" / "log" / "postgresql.log"
    old = "old line\n" * (LARGE // 9 + 1)
    log.parent.mkdir(parents=True)
    log.write_text(old)
    cluster = start(tmp_path / "data")
    try:
        assert log.with_name("postgresql.log.1").read_text("utf-8") == old
        with log.open("a") as file:
            file.write(old)
        cluster._programs.log.rotate_when_large()
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            ask(cluster.address, "select 1", database="nowhere")
        wait_for(lambda: "nowhere" in log.read_text("utf-8"))
        assert log.stat().st_size < LARGE
        assert log.with_name("postgresql.log.2").read_text("utf-8") == old
        assert stat.S_IMODE(log.with_name("postgresql.log.1").stat().st_mode) == 0o600
    finally:
        cluster.stop()


def test_a_database_that_was_put_in_the_place_of_another_is_found(tmp_path: Path) -> None:
    first = start(tmp_path / "data")
    ask(first.address, "create table only_in_the_first as select 1 as n")
    first.stop()
    (tmp_path / "data" / "pg").rename(tmp_path / "data" / "pg.before")
    second = start(tmp_path / "data")
    try:
        assert ask(second.address, "select to_regclass('only_in_the_first')::text") is None
        assert embedded.locate(tmp_path / "data") == second.address
    finally:
        second.stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root steps down")
def test_a_database_of_an_account_without_a_name_is_served_as_that_account(tmp_path: Path) -> None:
    start(tmp_path / "data").stop()
    give_away(tmp_path / "data" / "pg", 54321)
    cluster = start(tmp_path / "data")
    try:
        assert psutil.Process(cluster.pid).uids().real == 54321
    finally:
        cluster.stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root can restore as root")
def test_a_database_that_was_restored_as_root_is_handed_to_the_account(tmp_path: Path) -> None:
    data = tmp_path / "data"
    cluster = start(data)
    ask(cluster.address, "create table kept as select 1 as n")
    cluster.stop()
    give_away(data / "pg", 0)
    cluster = start(data)
    try:
        assert ask(cluster.address, "select n from kept") == 1
    finally:
        cluster.stop()


def give_away(cluster: Path, uid: int) -> None:
    """Make another account the owner of a database and all that is in it."""
    for path in (cluster, *cluster.rglob("*")):
        os.chown(path, uid, uid)
