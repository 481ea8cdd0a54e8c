"""What an operator does with agencies, keys, credits and rosters, each by a command of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from colonnade.ground.db import embedded
from tests.ops.commands import ROSTER, answer, apart, environment, run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose database runs, as it does beside `up`."""
    folder = tmp_path_factory.mktemp("installation")
    cluster = embedded.start(folder, settings={"fsync": "off"})
    yield folder
    cluster.stop()


@pytest.fixture(scope="module")
def agency_id(data: Path) -> str:
    """An agency with ten credits."""
    made = answer(
        data, "agency", "create", "--name", "North", "--owner-email", "owner@north.example", "--credits", "10"
    )
    assert made["apiKey"].startswith("col_agency_live_")
    assert set(made) == {"agencyId", "ownerId", "apiKey"}
    return str(made["agencyId"])


def test_a_second_migrate_finds_nothing_to_do(data: Path, agency_id: str) -> None:
    assert answer(data, "migrate") == {"applied": []}


def test_a_key_is_made_listed_rolled_and_revoked(data: Path, agency_id: str) -> None:
    made = answer(data, "key", "create", "--agency", agency_id, "--name", "Robot", "--preset", "read_only")
    assert made["key"].endswith(made["hint"])
    rolled = answer(data, "key", "roll", made["id"], "--agency", agency_id)
    assert rolled["id"] == made["id"]
    assert rolled["key"] != made["key"]
    assert answer(data, "key", "revoke", made["id"])["status"] == "revoked"
    listed = {one["id"]: one for one in answer(data, "key", "list")["keys"]}
    assert listed[made["id"]]["status"] == "revoked"
    assert not any("key" in one for one in listed.values())


def test_credits_are_granted_in_decimals(data: Path, agency_id: str) -> None:
    granted = answer(data, "credits", "grant", "--agency", agency_id, "--amount", "2.125", "--note", "A gift")
    assert granted["amount"] == 2.125


def test_an_agency_goes_to_a_member_and_to_nobody_else(data: Path, agency_id: str) -> None:
    kept = answer(data, "agency", "transfer", "--agency", agency_id, "--to", "Owner@North.example")
    assert kept["ownerId"].startswith("mem_")
    refused = run(data, "agency", "transfer", "--agency", agency_id, "--to", "stranger@north.example")
    assert refused.returncode == 1
    assert "--to" in refused.stderr


def test_a_mail_server_is_told_with_a_sender_and_doctor_tells_how_mail_goes(data: Path, agency_id: str) -> None:
    lone = run(data, "doctor", COLONNADE_SMTP_URL="smtp://user:hidden@mail.example:587")
    assert (lone.returncode, "hidden" in lone.stderr) == (2, False)
    assert "COLONNADE_MAIL_FROM" in lone.stderr
    told = {one["what"]: one["says"] for one in json.loads(run(data, "doctor", "--json").stdout)["findings"]}
    assert str(data / "mail") in told["mail"]


def test_wrong_words_end_with_two_and_refusals_with_one(data: Path, agency_id: str) -> None:
    assert run(data, "credits", "grant", "--amount", "0.0001").returncode == 2
    refused = run(data, "key", "create", "--preset", "nonsense")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "/preset" in refused.stderr
    unknown = run(data, "key", "list", "--agency", "agency_of_somebody_else")
    assert unknown.returncode == 1
    assert "colonnade agency list" in unknown.stderr


def test_bad_settings_are_named_one_sentence_each(tmp_path: Path) -> None:
    told = run(
        tmp_path, "doctor", COLONNADE_PORT="http", COLONNADE_OUTBOUND_ALLOW="home", COLONNADE_DATABASE_URL="mysql://x/y"
    )
    assert told.returncode == 2
    assert {line.split(":")[0].split()[-1] for line in told.stderr.splitlines()[:3]} == {
        "COLONNADE_PORT",
        "COLONNADE_OUTBOUND_ALLOW",
        "COLONNADE_DATABASE_URL",
    }


def test_a_roster_comes_in_and_its_bad_rows_are_named_by_line(data: Path, agency_id: str, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    bad = 'Nowhere,nowhere.example,shops,Mars/Olympus,tier:premium\n"Two\nLines",not a host,,,\nShort,short.example\n'
    roster.write_text(ROSTER.read_text("utf-8") + bad, "utf-8")
    lines = len(ROSTER.read_text("utf-8").splitlines())

    tried = run(data, "import", "workspaces", roster, "--dry-run")
    assert f"Would make {lines - 1} workspaces" in tried.stdout
    assert len(answer(data, "import", "workspaces", ROSTER, "--dry-run")["created"]) == lines - 1

    done = run(data, "import", "workspaces", roster)
    assert done.returncode == 3
    assert f"Made {lines - 1} workspaces and changed 0; 0 are as they were, 3 lines are bad." in done.stdout
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        f"Line {lines + 1}", f"Line {lines + 2}", f"Line {lines + 4}"
    ]  # fmt: skip

    again = answer(data, "import", "workspaces", ROSTER)
    assert (again["created"], again["changed"], again["refused"]) == ([], [], [])
    assert len(again["unchanged"]) == lines - 1


def test_a_row_without_a_domain_is_known_again_by_its_name(data: Path, agency_id: str, tmp_path: Path) -> None:
    roster = tmp_path / "names.csv"
    roster.write_text("\ufeffname,tags\nSolo,tier:standard; kind:shop\n", "utf-8")
    assert len(answer(data, "import", "workspaces", roster, "--agency", agency_id)["created"]) == 1
    assert len(answer(data, "import", "workspaces", roster)["unchanged"]) == 1


async def _brands(data: Path, agency_id: str) -> list[str]:
    """The external ids of all workspaces."""
    connection = await asyncpg.connect(**embedded.locate(data).arguments("colonnade_app"))
    async with connection.transaction():
        await connection.execute(f"set local app.agency_id = '{agency_id}'; set local app.workspace_ids = '*'")
        rows = await connection.fetch("select external_id from workspace where agency_id = $1", agency_id)
    await connection.close()
    return [row["external_id"] for row in rows]


def test_an_import_that_was_killed_is_given_again_and_nothing_is_there_twice(data: Path, tmp_path: Path) -> None:
    agency = answer(data, "agency", "create", "--name", "Killed", "--owner-email", "owner@killed.example")["agencyId"]
    roster = tmp_path / "many.csv"
    wanted = [f"b-{number}" for number in range(1_000)]
    roster.write_text("name,externalId\n" + "".join(f"Brand,{one}\n" for one in wanted), "utf-8")
    words = [sys.executable, "-m", "colonnade", "import", "workspaces", str(roster), "--agency", agency]
    with subprocess.Popen(words, env=environment(data), stdout=subprocess.DEVNULL) as importing:
        while not (kept := apart(_brands(data, agency))):
            assert importing.poll() is None
        importing.kill()
    assert len(kept) < len(wanted)

    again = answer(data, "import", "workspaces", roster, "--agency", agency)

    assert len(again["unchanged"]) >= len(kept)
    assert len(again["unchanged"]) + len(again["created"]) == len(wanted)
    assert sorted(apart(_brands(data, agency))) == sorted(wanted)


def test_a_table_with_columns_that_nobody_knows_is_refused_whole(data: Path, agency_id: str, tmp_path: Path) -> None:
    roster = tmp_path / "odd.csv"
    roster.write_text("name,colour\nSolo,red\n", "utf-8")
    refused = run(data, "import", "workspaces", roster)
    assert refused.returncode == 1
    assert "it has name, colour" in refused.stderr


def test_a_sound_installation_is_told_to_be_sound(data: Path, agency_id: str) -> None:
    (data / "secret.key").chmod(0o600)
    data.chmod(0o700)
    told = run(data, "doctor", "--json")
    states = {one["what"]: one["state"] for one in json.loads(told.stdout)["findings"]}
    # Nothing works beside this database, which is held as `up` would hold it.
    assert {what for what, state in states.items() if state == "bad"} <= {"workers"}
    assert states["row security"] == states["rights"] == states["migrations"] == "ok"


def test_doctor_names_what_is_wrong_and_ends_with_one(data: Path, agency_id: str, tmp_path: Path) -> None:
    (data / "secret.key").chmod(0o644)
    told = run(
        data, "doctor", COLONNADE_LOCAL_MODEL_PATH=str(tmp_path / "none.gguf"), COLONNADE_OPENAI_API_KEY="sk-hidden"
    )
    (data / "secret.key").chmod(0o600)
    assert told.returncode == 1
    assert "chmod 600" in told.stdout
    assert "none.gguf, which is not there" in told.stdout
    assert "sk-hidden" not in told.stdout + told.stderr


def test_doctor_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    told = run(tmp_path / "empty", "doctor")
    assert told.returncode == 1
    assert "colonnade up" in told.stdout
    assert not (tmp_path / "empty").exists()
