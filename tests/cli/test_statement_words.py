"""`colonnade statement verify`: a file and nothing else; what it finds is told to people, programs and as exit code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from colonnade.settings import Settings, pepper_of
from tests.credits.stated import a_statement
from tests.ops.commands import run

MADE = a_statement()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    changed = MADE.as_json().replace('"charged": 1.001', '"charged": 0.001', 1)
    left_out = replace(MADE, lines=[*MADE.lines[:1], *MADE.lines[2:]]).as_csv()
    texts = {"good.json": MADE.as_json(), "good.csv": MADE.as_csv(), "changed.json": changed, "short.csv": left_out}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert changed != MADE.as_json()
    return {name: tmp_path / name for name in texts}


@pytest.mark.parametrize("name", ["good.json", "good.csv"])
def test_a_good_statement_is_told_with_its_sums_and_the_end_of_its_chain(files: dict[str, Path], name: str) -> None:
    told = run(files[name].parent, "statement", "verify", files[name])
    as_json = run(files[name].parent, "statement", "verify", files[name], "--json")

    assert (told.returncode, as_json.returncode) == (0, 0)
    assert "4 lines, 1.001 credits charged, 0.2 refunded" in told.stdout
    assert MADE.head.head_hash is not None
    assert MADE.head.head_hash.hex() in told.stdout
    answer = json.loads(as_json.stdout)
    assert (answer["ok"], answer["month"], answer["charged"], answer["bad"]) == (True, "2026-01", 1.001, None)


def test_what_is_wrong_is_named_and_the_exit_code_says_so(files: dict[str, Path]) -> None:
    folder = files["changed.json"].parent

    total = run(folder, "statement", "verify", files["changed.json"])
    entry = run(folder, "statement", "verify", files["short.csv"], "--json")

    assert (total.returncode, entry.returncode) == (1, 1)
    assert "`charged`: wrong_total" in total.stdout
    bad = json.loads(entry.stdout)["bad"]
    assert (bad["problem"], bad["where"]) == ("missing", "entry 4")


SECRET, ANOTHER = "the-secret-of-an-installation", "a-secret-that-came-after-it"


def test_signatures_take_the_secret_and_one_that_is_gone_is_told_as_another_key(tmp_path: Path) -> None:
    pepper = pepper_of(Settings(data_dir=tmp_path, secret_key=SecretStr(SECRET * 2)))
    file = tmp_path / "statement.json"
    file.write_text(a_statement(pepper=pepper).as_json(), encoding="utf-8")
    words = ("statement", "verify", file, "--signatures")

    without = run(tmp_path / "empty", *words)
    right = run(tmp_path, *words, COLONNADE_SECRET_KEY=SECRET * 2)
    rotated = run(tmp_path, *words, COLONNADE_SECRET_KEY=ANOTHER * 2, COLONNADE_SECRET_KEYS_OLD=SECRET * 2)
    lost = run(tmp_path, *words, COLONNADE_SECRET_KEY=ANOTHER * 2)

    assert [one.returncode for one in (without, right, rotated, lost)] == [1, 0, 0, 1]
    assert "There is no secret" in without.stderr
    assert "the statement's head: other_key" in lost.stdout


def test_a_file_that_is_none_is_told_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(bytes(range(256)))

    missing = run(tmp_path, "statement", "verify", tmp_path / "nowhere.json")
    nonsense = run(tmp_path, "statement", "verify", tmp_path / "bytes")
    folder = run(tmp_path, "statement", "verify", tmp_path)

    assert [one.returncode for one in (missing, nonsense, folder)] == [1, 1, 1]
    assert "unreadable" in nonsense.stdout
