"""An exported log checked without the house: what was changed in the file is found, what a filter left out is told."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import Database
from colonnade.tenancy.audit import FileVerdict, Filters, check_lines
from colonnade.tenancy.audit.service import sealed_after
from colonnade.tenancy.audit.shapes import SealedShown
from tests.audit.sealed_homes import a_sealed_home, recorded
from tests.conftest import PEPPER
from tests.factories import Home

Line = dict[str, Any]


async def exported(database: Database, home: Home, **filters: Any) -> list[str]:
    """The lines of an export, the newest first."""
    async with database.transaction(home.reach) as tx:
        from_log = await sealed_after(tx, Filters(**filters), None, 1000)
    return [SealedShown.of_sealed(one).model_dump_json(by_alias=True) for one in from_log]


async def some_lines(database: Database, worker_database: Database) -> list[str]:
    home = await a_sealed_home(database, worker_database)
    return await exported(database, home)


async def test_an_export_is_followed_from_its_first_line_to_its_last_in_any_order(
    database: Database, worker_database: Database
) -> None:
    home = await a_sealed_home(database, worker_database, entries=20)
    await recorded(database, home, 2)
    lines = await exported(database, home)
    shuffled = random.Random(7).sample(lines, len(lines))

    for order in (lines, lines[::-1], shuffled):
        found = check_lines(order, PEPPER)
        assert found.bad is None
        assert found.first is not None
        assert found.last is not None
        assert (found.agency_id, found.lines, found.sealed) == (home.agency_id, len(lines), len(lines) - 2)
        assert (found.first.position, found.last.position, found.gaps) == (1, found.sealed, 0)


async def test_what_a_filter_left_out_is_told_as_gaps(database: Database, worker_database: Database) -> None:
    lines = await some_lines(database, worker_database)

    found = check_lines([*lines[:2], *lines[3:5], *lines[7:]])

    assert (found.ok, found.gaps) == (True, 2)


CHANGES: dict[str, Callable[[Line], Any]] = {
    "event": lambda line: line.update(event="keys.minted"),
    "resource": lambda line: line.update(resourceId="key_other"),
    "workspace": lambda line: line.update(workspaceId="ws_other"),
    "actor": lambda line: line["actor"].update(name="nobody"),
    "time": lambda line: line.update(at="2020-01-01T00:00:00.000Z"),
    "address": lambda line: line.update(address="203.0.113.9"),
    "payload": lambda line: line.update(after={"name": "other"}),
    "half of the payload": lambda line: line.update(before=None),
    "text": lambda line: line["seal"].update(text=line["seal"]["text"].replace("keys.updated", "keys.minted")),
    "digest": lambda line: line["seal"].update(mac="00" * 32),
    "hash": lambda line: line["seal"].update(hash="00" * 32),
    "previous hash": lambda line: line["seal"].update(previousHash="00" * 32),
    "position": lambda line: line["seal"].update(position=line["seal"]["position"] + 1),
    "no previous": lambda line: line["seal"].update(previousHash=None),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_line_is_found(change: str, database: Database, worker_database: Database) -> None:
    lines = await some_lines(database, worker_database)
    changed = json.loads(lines[3])
    CHANGES[change](changed)

    found = check_lines([*lines[:3], json.dumps(changed), *lines[4:]])

    assert found.bad is not None
    assert (found.bad.line, found.bad.problem, found.bad.entry_id) == (4, "tampered", changed["id"])


async def test_a_line_of_another_place_and_a_line_that_stands_twice_are_found(
    database: Database, worker_database: Database
) -> None:
    lines = await some_lines(database, worker_database)
    others = await some_lines(database, worker_database)

    twice = check_lines([*lines[:4], lines[3], *lines[4:]])
    first_twice = check_lines([lines[0], *lines])
    of_another = check_lines([*lines[:4], others[4], *lines[5:]])

    assert [found.bad and found.bad.problem for found in (twice, first_twice, of_another)] == [
        "misplaced",
        "misplaced",
        "unreadable",
    ]


async def test_a_chain_that_somebody_made_anew_is_found_with_the_secret_alone(
    database: Database, worker_database: Database
) -> None:
    lines = await some_lines(database, worker_database)
    other = Pepper({1: b"a key that somebody made up ....."}, 1)
    gone = Pepper({3: b"the new one, of thirty-two bytes"}, 3)

    verdicts = [check_lines(lines, pepper) for pepper in (None, PEPPER, other, gone)]

    assert [found.bad and found.bad.problem for found in verdicts] == [None, None, "tampered", "other_key"]


NONSENSE = [
    "nothing",
    "{}",
    "[]",
    "null",
    '{"seal": null}',
    '{"seal": {"text": "[]"}}',
    '{"seal": {"text": "{}", "position": "x"}}',
    "[" * 100_000,
    '{"seal": {"text": "' + "[" * 100_000 + '"}}',
    "\x00\xff",
]


@pytest.mark.parametrize("text", NONSENSE, ids=[str(number) for number in range(len(NONSENSE))])
def test_what_is_no_export_is_called_so(text: str) -> None:
    found = check_lines(["\n", text])

    assert found.bad is not None
    assert (found.bad.line, found.bad.problem) == (1, "unreadable")


def test_an_empty_file_holds_nothing_and_nothing_wrong() -> None:
    assert check_lines([]) == FileVerdict(None, 0, 0, 0, None, None, 0, None)


async def test_lines_that_are_almost_right_break_nothing(database: Database, worker_database: Database) -> None:
    lines = await some_lines(database, worker_database)
    rng = random.Random(11)
    for _ in range(300):
        line = json.loads(lines[4])
        target = rng.choice([line, line["seal"], line["actor"]])
        target[rng.choice(list(target))] = rng.choice([None, "", 7, -1, 1e300, [], {}, True, "\ud800", 10**40])

        found = check_lines([*lines[:4], json.dumps(line), *lines[5:]])

        assert found.bad is None or found.bad.line >= 5
