"""A statement checked without the house: whatever was changed in the file is found, and it is told where."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.credits import StatementVerdict, check_statement
from colonnade.credits.statement_files import COLUMNS, RECORDS
from colonnade.ground.core.csv_text import csv_text
from colonnade.ground.core.secrets import Pepper
from tests.conftest import PEPPER
from tests.credits.stated import HOSTILE, a_statement, all_lines, blocks_of

File = dict[str, Any]

MADE = a_statement()
OTHERS = blocks_of(all_lines([1, 2, 3, 4, 5, 6, 7], "ws_another"), [1, 3, 3])


def checked(text: str, pepper: Pepper | None = None) -> StatementVerdict:
    return check_statement(io.StringIO(text, newline=""), pepper)


def table() -> list[list[str]]:
    return list(csv.reader(io.StringIO(MADE.as_csv(), newline="")))


@pytest.mark.parametrize("form", ["as_json", "as_csv"])
@pytest.mark.parametrize("pepper", [None, PEPPER], ids=["no secret", "the secret"])
def test_a_statement_is_right_in_either_form(form: str, pepper: Pepper | None) -> None:
    found = checked(getattr(MADE, form)(), pepper)

    assert found.bad is None
    assert (found.statement, found.lines, found.blocks, found.unfunded_left_out) == (MADE.head, 4, 2, 0)


@given(
    amounts=st.lists(st.integers(1, 10**9), min_size=1, max_size=30),
    refunds=st.sets(st.integers(1, 29)),
    data=st.data(),
)
def test_any_month_of_any_chain_is_right(amounts: list[int], refunds: set[int], data: st.DataObject) -> None:
    entries = [-1 if number in refunds and number < len(amounts) else amount for number, amount in enumerate(amounts)]
    ends = sorted({*data.draw(st.sets(st.integers(1, len(entries)))), len(entries)})
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    first = data.draw(st.integers(1, len(entries)))
    last = data.draw(st.integers(first, len(entries)))
    made = a_statement(entries, sizes, (first, last), data.draw(st.integers(0, 2)))

    assert checked(made.as_json(), PEPPER).bad is None
    assert checked(made.as_csv(), PEPPER).bad is None


def test_a_month_of_thousands_of_entries_is_right() -> None:
    made = a_statement([7] * 3500, [1000, 1000, 1000, 500], (900, 3400), 0)

    assert (checked(made.as_csv(), PEPPER).bad, checked(made.as_json(), PEPPER).lines) == (None, 2501)


def _swap(file: File, part: str, one: int, other: int) -> None:
    file[part][one], file[part][other] = file[part][other], file[part][one]


def _of_another(file: File) -> None:
    block = OTHERS[1]
    hashes = {"previousHash": block.previous_hash, "hash": block.hash, "signature": block.mac}
    file["blocks"][0].update({name: None if value is None else value.hex() for name, value in hashes.items()})


CHANGES: dict[str, tuple[Callable[[File], Any], str, str]] = {
    "an amount": (lambda file: file["lines"][1].update(amount=0.001), "tampered", "entry 4"),
    "a rule": (lambda file: file["lines"][0].update(rule="another pool"), "tampered", "entry 3"),
    "a digest": (lambda file: file["lines"][2].update(digest="00" * 32), "tampered", "entry 5"),
    "a deleted entry": (lambda file: file["lines"].pop(1), "missing", "entry 4"),
    "the last entry deleted": (lambda file: file["lines"].pop(), "missing", "entry 6"),
    "all entries deleted": (lambda file: file["lines"].clear(), "missing", "entry 3"),
    "entries swapped": (lambda file: _swap(file, "lines", 0, 1), "missing", "entry 3"),
    "an entry twice": (lambda file: file["lines"].insert(1, file["lines"][0]), "misplaced", "entry 3"),
    "blocks swapped": (lambda file: _swap(file, "blocks", 0, 1), "misplaced", "block of entries 5 to 7"),
    "a deleted block": (lambda file: file["blocks"].pop(0), "misplaced", "block of entries 5 to 7"),
    "the last block deleted": (lambda file: file["blocks"].pop(), "missing", "a block"),
    "a block of another workspace": (_of_another, "misplaced", "block of entries 2 to 4"),
    "a block's hash": (lambda file: file["blocks"][1].update(hash="00" * 32), "misplaced", "the end of the chain"),
    "what lies before": (
        lambda file: file["blocks"][0].update(before=["00" * 32]),
        "tampered",
        "block of entries 2 to 4",
    ),
    "nothing before": (lambda file: file["blocks"][0].update(before=None), "misplaced", "block of entries 2 to 4"),
    "the sum": (lambda file: file["statement"].update(charged=1), "wrong_total", "`charged`"),
    "what was refunded": (lambda file: file["statement"].update(refunded=0), "wrong_total", "`refunded`"),
    "the opening": (lambda file: file["statement"].update(opening=0), "wrong_total", "`opening`"),
    "the closing": (lambda file: file["statement"].update(closing=0), "wrong_total", "`closing`"),
    "the workspace": (lambda file: file["statement"].update(workspaceId="ws_another"), "tampered", "entry 3"),
    "the agency": (lambda file: file["statement"].update(agencyId="agency_another"), "tampered", "entry 3"),
    "the end": (lambda file: file["statement"].update(toVersion=5), "misplaced", "block of entries 5 to 7"),
    "the month's end": (
        lambda file: file["statement"].update(endsAt="2026-01-01T00:20:00.000000Z"),
        "misplaced",
        "entry 4",
    ),
    "an unfunded event": (lambda file: file["unfunded"][0].update(feature="x"), "tampered", "the unfunded events"),
    "an unfunded event left out": (lambda file: file["unfunded"].pop(), "missing", "the unfunded events"),
    "unfunded events swapped": (lambda file: _swap(file, "unfunded", 0, 1), "tampered", "the unfunded events"),
    "the cost of these": (lambda file: file["statement"].update(unfundedCost=0), "wrong_total", "`unfundedCost`"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_and_named(change: str) -> None:
    file = json.loads(MADE.as_json())
    alter, problem, where = CHANGES[change]
    alter(file)

    found = checked(json.dumps(file))

    assert found.bad is not None
    assert (found.bad.problem, found.bad.where) == (problem, where)
    assert found.bad.says


def test_a_block_of_another_workspace_is_found_also_where_the_hashes_around_it_fit() -> None:
    made = a_statement(sizes=[7])
    other = blocks_of(all_lines([1500, 200, 300, -200, 700, 1, 5], "ws_another"), [7])[0]
    edged = replace(made.blocks[0], block=other)
    forged = replace(made, blocks=[edged], head=replace(made.head, head_hash=other.hash, previous_hash=None))

    found = checked(forged.as_json())

    assert found.bad is not None
    assert (found.bad.problem, found.bad.where) == ("tampered", "block of entries 1 to 7")


CELLS = [
    (number, name)
    for number, row in enumerate(table()[1:], start=1)
    for name in RECORDS[row[0]]
    if name not in {"signature", "signatureKeyId", "id", "timezone", "createdAt", "month", "startsAt"}
    or row[0] == "line"
]


@pytest.mark.parametrize(("number", "name"), CELLS, ids=[f"{number}-{name}" for number, name in CELLS])
def test_every_cell_of_the_table_is_checked(number: int, name: str) -> None:
    rows = table()
    place = COLUMNS.index(name)
    cell = rows[number][place]
    rows[number][place] = cell[:-1] + ("1" if cell[-1:] != "1" else "2")

    text = io.StringIO()
    csv.writer(text).writerows(rows)

    assert checked(text.getvalue()).bad is not None


@pytest.mark.parametrize("name", RECORDS["statement"])
def test_every_field_of_the_head_is_signed(name: str) -> None:
    file = json.loads(MADE.as_json())
    value = file["statement"][name]
    other = value + 1 if isinstance(value, int | float) else value[:-1] + ("1" if value[-1] != "1" else "2")
    file["statement"][name] = {
        "startsAt": "2026-01-01T00:00:00.000001Z",
        "createdAt": "2026-02-01T00:00:00.000000Z",
    }.get(name, other)

    found = checked(json.dumps(file), PEPPER)

    assert found.bad is not None


def test_a_statement_that_somebody_made_anew_is_found_with_the_secret_and_a_lost_secret_says_so() -> None:
    other = Pepper({1: b"a key that somebody made up ....."}, 1)
    gone = Pepper({3: b"the new one, of thirty-two bytes"}, 3)
    rotated = Pepper({3: b"the new one, of thirty-two bytes", 1: PEPPER.keys[1]}, 3)

    verdicts = [checked(MADE.as_json(), pepper) for pepper in (None, PEPPER, rotated, other, gone)]

    assert [found.bad and found.bad.problem for found in verdicts] == [None, None, None, "tampered", "other_key"]


def test_a_block_signed_by_somebody_else_is_found_with_the_secret() -> None:
    forged = replace(MADE.blocks[1], block=replace(MADE.blocks[1].block, mac=bytes(32)))

    found = checked(replace(MADE, blocks=[MADE.blocks[0], forged]).as_csv(), PEPPER)

    assert found.bad is not None
    assert (found.bad.problem, found.bad.where) == ("tampered", "block of entries 5 to 7")


def test_events_that_are_kept_no_longer_are_told_in_sum() -> None:
    found = checked(replace(MADE, unfunded=[]).as_csv(), PEPPER)

    assert (found.bad, found.unfunded_left_out) == (None, 2)


NONSENSE = {
    "nothing": "",
    "no statement": "{}",
    "a list": "[1]",
    "half of one": MADE.as_json()[: len(MADE.as_json()) // 2],
    "half a table": MADE.as_csv()[: len(MADE.as_csv()) // 2],
    "another table": "a,b\r\n1,2\r\n",
    "the columns alone": csv_text([COLUMNS]),
    "deep": "{" * 3 + '"statement":' + "[" * 100_000,
    "a field twice": MADE.as_json().replace('"charged":', '"charged": 1, "charged":', 1),
    "a field more": MADE.as_json().replace('"charged":', '"note": 1, "charged":', 1),
    "a number without end": MADE.as_json().replace('"opening": 1.7', '"opening": NaN', 1),
    "a number too small": MADE.as_json().replace('"opening": 1.7', '"opening": 1.7000001', 1),
    "a number with an exponent": MADE.as_json().replace('"opening": 1.7', '"opening": 1e999999999', 1),
    "another version": MADE.as_json().replace("colonnade.statement.1", "colonnade.statement.2"),
    "a time of another zone": MADE.as_json().replace("2026-02-01T00:00:00.000000Z", "2026-02-01T01:00:00.000000+01:00"),
    "null bytes": MADE.as_csv().replace("agency pool", "agency\0pool", 1),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_no_statement(what: str) -> None:
    text = NONSENSE[what]
    assert text not in {MADE.as_json(), MADE.as_csv()}

    assert checked(text).bad is not None


@given(place=st.integers(0, len(MADE.as_csv()) - 1), letter=st.sampled_from("0aZ,'\"\n={}9"))
def test_a_changed_letter_of_a_table_is_found_or_changes_nothing(place: int, letter: str) -> None:
    text = MADE.as_csv()
    changed = text[:place] + letter + text[place + 1 :]

    found = checked(changed, PEPPER)

    assert not found.ok or list(csv.reader(io.StringIO(changed, newline=""))) == table()


def test_no_cell_is_a_formula_and_every_text_comes_back() -> None:
    made = a_statement([100] * 30, [30], (1, 30), 13)
    cells = [cell for row in csv.reader(io.StringIO(made.as_csv(), newline="")) for cell in row]

    assert {told.line.actor_name for told in made.lines} >= {text for text in HOSTILE if HOSTILE.index(text) % 2}
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert checked(made.as_csv(), PEPPER).bad is None
