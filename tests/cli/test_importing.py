"""Bringing a roster in: what is new is made, what is there is known again, what is bad is named, each time anew."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from colonnade.cli.importing import Import, Manner, Outcome
from colonnade.cli.tables import read_rows
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, audit, workspaces
from colonnade.tenancy.workspaces import Filters, Paging, Workspace
from tests.factories import Home, a_workspace, an_agency

ROSTER = Path(__file__).parents[2] / "examples" / "roster.csv"
COLUMNS = ("name", "primaryDomain", "industry", "timezone", "tags", "externalId", "slug")


def a_table(tmp_path: Path, *rows: dict[str, str]) -> Path:
    written = StringIO()
    writer = csv.DictWriter(written, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "table.csv"
    path.write_text(written.getvalue(), "utf-8", newline="")
    return path


async def bring_in(database: Database, home: Home, path: Path, **manner: bool) -> Outcome:
    operator = agencies.entering(home.agency_id)
    return await Import(database, operator, Manner(**manner), lambda _count: None).all(read_rows(path))


async def everything(database: Database, home: Home) -> list[Workspace]:
    async with database.transaction(home.reach) as tx:
        return list((await workspaces.page(tx, home.caller, Filters(), Paging(sort="createdAt", limit=500))).items)


async def how_many(database: Database, home: Home) -> int:
    async with database.transaction(home.reach) as tx:
        found = await workspaces.page(tx, home.caller, Filters(), Paging(limit=1, counts_all=True))
    assert found.total is not None
    return found.total


def lines(told: list[dict[str, Any]]) -> list[int]:
    return [one["line"] for one in told]


def refusals(outcome: Outcome) -> dict[int, list[tuple[str, str]]]:
    return {one["line"]: [(bad["column"], bad["detail"]) for bad in one["errors"]] for one in outcome.refused}


async def test_the_example_roster_comes_in_whole_and_a_second_time_changes_nothing(database: Database) -> None:
    home = await an_agency(database)

    first = await bring_in(database, home, ROSTER)
    again = await bring_in(database, home, ROSTER)

    assert (len(first.created), first.refused) == (38, [])
    assert (again.created, again.changed, again.refused) == ([], [], [])
    assert len(again.unchanged) == 38
    made = await everything(database, home)
    assert len({one.slug for one in made}) == len(made) == 38
    async with database.transaction(home.reach) as tx:
        entries, _ = await audit.page(tx, home.caller, audit.Filters(event="workspaces.updated"), limit=1)
    assert entries == []


async def test_a_dry_run_tells_the_same_and_keeps_nothing(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    await a_workspace(database, home, name="Old", primaryDomain="old.example")
    await a_workspace(database, home, name="Same", primaryDomain="same.example")
    table = a_table(
        tmp_path,
        {"name": "New"},
        {"name": "Old", "primaryDomain": "old.example", "industry": "shops"},
        {"name": "Same", "primaryDomain": "same.example"},
        {"name": "Bad", "timezone": "Mars/Olympus"},
    )
    before = await everything(database, home)

    tried = await bring_in(database, home, table, dry=True)

    assert await everything(database, home) == before
    done = await bring_in(database, home, table)
    for outcome in (tried, done):
        assert [lines(told) for told in (outcome.created, outcome.changed, outcome.unchanged)] == [[2], [3], [4]]
        assert outcome.changed[0]["columns"] == ["industry"]
        assert refusals(outcome) == {5: [("timezone", "must be an IANA time zone such as Europe/Berlin")]}


async def test_a_row_is_known_again_by_its_external_id_then_its_domain_then_its_name(
    database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    by_id = await a_workspace(database, home, name="A", externalId="a-1", primaryDomain="a.example")
    by_domain = await a_workspace(database, home, name="B", primaryDomain="b.example")
    by_name = await a_workspace(database, home, name="C")
    table = a_table(
        tmp_path,
        {"name": "A anew", "externalId": "a-1", "primaryDomain": "a-new.example"},
        {"name": "B anew", "externalId": "b-1", "primaryDomain": "https://B.example/"},
        {"name": "C", "industry": "shops"},
        {"name": "C", "primaryDomain": "c.example"},
    )

    outcome = await bring_in(database, home, table)

    assert [one["id"] for one in outcome.changed] == [by_id.id, by_domain.id, by_name.id]
    assert [one["columns"] for one in outcome.changed] == [
        ["name", "primaryDomain"], ["name", "externalId"], ["industry"]
    ]  # fmt: skip
    assert lines(outcome.created) == [5]


async def test_empty_cells_change_nothing_and_what_is_to_be_kept_stays(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    there = await a_workspace(database, home, name="A", primaryDomain="a.example", industry="bikes", tags=["x:y"])
    table = a_table(tmp_path, {"name": "A", "primaryDomain": "a.example"})
    assert lines((await bring_in(database, home, table)).unchanged) == [2]

    other = a_table(tmp_path, {"name": "Other", "primaryDomain": "a.example", "tags": "z:z"})
    assert lines((await bring_in(database, home, other, keep=True)).unchanged) == [2]
    assert await everything(database, home) == [there]


async def test_every_bad_line_is_named_and_all_others_go_in(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    archived = await a_workspace(database, home, name="Gone", externalId="gone")
    for name in ("Twin one", "Twin two"):
        await a_workspace(database, home, name=name, primaryDomain="twin.example", allowDuplicateDomain=True)
    async with database.transaction(home.reach) as tx:
        await workspaces.archive(tx, home.caller, archived.id)
    table = a_table(
        tmp_path,
        {"name": "n" * 255, "industry": "=cmd|' /C calc'!A1"},
        {"name": "n" * 256},
        {"name": "", "primaryDomain": "nameless.example"},
        {"name": '=HYPERLINK("http://evil.example";"x")'},
        {"name": 'Quotes "inside" and\nlines'},
        {"name": "شركة النور", "primaryDomain": "شركة.example"},
        {"name": "Bücher", "primaryDomain": "bücher.example"},
        {"name": "Buecher", "primaryDomain": "xn--bcher-kva.example"},
        {"name": "No host", "primaryDomain": "not a host"},
        {"name": "Path", "primaryDomain": "acme.example/shop"},
        {"name": "Zone", "timezone": "Berlin", "tags": "nocolon"},
        {"name": "Bell\x07", "externalId": "bell"},
        {"name": "First", "externalId": "e-1"},
        {"name": "Second", "externalId": "e-1"},
        {"name": "Gone", "externalId": "gone", "industry": "ruins"},
        {"name": "Twin", "primaryDomain": "twin.example"},
        {"name": "Slug", "slug": "Not A Slug"},
        {"name": "Taken", "slug": "first"},
        {"name": "Last"},
    )  # fmt: skip

    outcome = await bring_in(database, home, table)

    assert lines(outcome.created) == [2, 5, 6, 8, 9, 15, 21]
    told = refusals(outcome)
    assert list(told) == [3, 4, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20]
    assert told[3] == [("name", "must have 1 to 255 characters")]
    assert told[4] == [("name", "is required")]
    assert told[10] == [("", "has the same primaryDomain as line 9")]
    assert {column for column, _ in told[11] + told[12]} == {"primaryDomain"}
    assert {column for column, _ in told[13]} == {"timezone", "tags/0"}
    assert told[14] == [("name", "must not contain control characters")]
    assert told[16] == [("", "has the same externalId as line 15")]
    assert "archived" in told[17][0][1]
    assert "several workspaces" in told[18][0][1]
    assert {column for column, _ in told[19]} == {"slug"}
    assert "slug" in told[20][0][1]
    names = {one.name for one in await everything(database, home)}
    assert {'=HYPERLINK("http://evil.example";"x")', 'Quotes "inside" and\nlines', "شركة النور"} <= names


async def test_a_corrected_table_goes_in_beside_what_went_in_before(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    good, bad = {"name": "Good"}, {"name": "Bad", "primaryDomain": "not a host"}
    await bring_in(database, home, a_table(tmp_path, good, bad))

    outcome = await bring_in(database, home, a_table(tmp_path, good, {**bad, "primaryDomain": "bad.example"}))

    assert (lines(outcome.unchanged), lines(outcome.created), outcome.refused) == ([2], [3], [])


async def test_a_bad_line_does_not_stand_in_the_way_of_a_good_one_for_the_same(
    database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    row = {"name": "Acme", "primaryDomain": "acme.example"}
    outcome = await bring_in(database, home, a_table(tmp_path, {**row, "timezone": "Mars/Olympus"}, row, row))
    assert (lines(outcome.created), lines(outcome.refused)) == ([3], [2, 4])


async def test_more_rows_than_fit_a_batch_are_each_there_once(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    rows = [{"name": f"Brand {number}", "primaryDomain": f"brand-{number}.example"} for number in range(1_050)]
    table = a_table(tmp_path, *rows, rows[0], rows[1_020])

    outcome = await bring_in(database, home, table)

    assert (lines(outcome.created), lines(outcome.refused)) == (list(range(2, 1_052)), [1_052, 1_053])
    assert await how_many(database, home) == 1_050


async def test_what_lies_in_another_agency_is_not_known_again(database: Database) -> None:
    one, other = await an_agency(database), await an_agency(database)
    await bring_in(database, one, ROSTER)
    assert len((await bring_in(database, other, ROSTER)).created) == 38


async def test_an_import_that_broke_off_goes_on_where_it_was(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    rows = [{"name": f"Brand {number}", "externalId": f"b-{number}"} for number in range(1_100)]
    table = a_table(tmp_path, *rows)
    told = 0

    def break_off(count: int) -> None:
        nonlocal told
        told += count
        if told == 700:
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await Import(database, agencies.entering(home.agency_id), Manner(), break_off).all(read_rows(table))
    kept = await how_many(database, home)
    outcome = await bring_in(database, home, table)

    assert kept == 500
    assert (len(outcome.unchanged), len(outcome.created)) == (500, 600)
    assert await how_many(database, home) == 1_100


async def test_each_line_given_twice_goes_in_once(database: Database, tmp_path: Path) -> None:
    home = await an_agency(database)
    rows = [{"name": f"Brand {number}", "externalId": f"b-{number}"} for number in range(30)]
    table = a_table(tmp_path, *(row for row in rows for _ in range(2)))

    outcome = await bring_in(database, home, table)

    assert (lines(outcome.created), lines(outcome.refused)) == (list(range(2, 62, 2)), list(range(3, 62, 2)))


async def test_a_line_that_wants_what_another_line_has_is_named_and_hinders_nobody(
    database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    table = a_table(
        tmp_path,
        {"name": "One", "slug": "one"},
        {"name": "Two", "slug": "one"},
        {"name": "One", "primaryDomain": "one.example"},
        {"name": "Three", "externalId": "3", "primaryDomain": "three.example"},
        {"name": "Four", "externalId": "4", "primaryDomain": "three.example"},
        {"name": "Five", "externalId": "4", "primaryDomain": "five.example"},
    )

    outcome = await bring_in(database, home, table)

    assert lines(outcome.created) == [2, 4, 5, 7]
    told = refusals(outcome)
    assert "slug" in told[3][0][1]
    assert told[6] == [("", "has the same primaryDomain as line 5")]
    assert {one.slug for one in await everything(database, home)} == {"one", "one-2", "three", "five"}
