"""The locks: everything pinned by hash, nothing tied to an address, nothing in them that the house decided against."""

import re
from pathlib import Path

import pytest

LOCKS = sorted((Path(__file__).parents[2] / "locks").glob("*.txt"))
DECIDED_AGAINST = {"sqlalchemy", "psycopg", "psycopg2", "psycopg-binary", "psycopg2-binary", "alembic"}
"""A second way to the database."""


def pins(lock: Path) -> dict[str, str]:
    """Each package with its entry, continued lines joined."""
    text = re.sub(r"^\s*#.*\n?", "", lock.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return {line.partition("==")[0].partition("[")[0].strip(): line for line in text.splitlines() if line.strip()}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_is_exact_and_has_a_hash(lock: Path) -> None:
    entries = pins(lock)

    assert entries
    for name, entry in entries.items():
        assert re.match(r"[A-Za-z0-9._-]+(\[[^]]*\])?==\S+ ", entry), name
        assert "--hash=sha256:" in entry, name


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_names_an_address(lock: Path) -> None:
    text = lock.read_text("utf-8")

    assert "://" not in text
    assert not re.search(r"^--?(i|f|index-url|extra-index-url|find-links)\b", text, re.MULTILINE)


def test_what_runs_needs_none_of_what_was_decided_against() -> None:
    run = next(lock for lock in LOCKS if lock.name == "run.txt")

    assert set(pins(run)) & DECIDED_AGAINST == set()
