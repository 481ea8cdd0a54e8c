"""Statements of months that are over: made once, of what is sealed, and right in every form that is handed out."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from colonnade.credits import check_statement, statement_store
from colonnade.credits import routes as credit_routes
from colonnade.credits.seal_jobs import LedgerSealer, make_statements
from colonnade.ground.core.ids import first_id
from colonnade.ground.db.database import Connection, Database
from colonnade.tenancy import workspaces
from tests.conftest import PEPPER
from tests.credits.homes import Home, a_home, used, work
from tests.serving import a_key, served

Answers = dict[str, Any]


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [credit_routes.routes]) as client:
        yield client


async def sealed(worker_database: Database) -> None:
    """Seal until nothing waits."""
    sealer = LedgerSealer(worker_database)
    while await sealer.round():
        continue


async def as_owner(owner: Connection, home: Home, sql: str, *arguments: Any) -> None:
    """The database's owner, who may do everything with the rows of this agency, and can turn the clock."""
    async with owner.transaction():
        await owner.execute(f"set local app.agency_id = '{home.agency_id}'; set local app.workspace_ids = '*'")
        await owner.execute(sql, *arguments)


FOUNDED = "update agency set created_at = created_at - make_interval(months => $1)"
AGO = """
with place as (select transfer_id from ledger_entry where account_id = $1 and account_version between $2 and $3)
update ledger_entry e set at = date_trunc('month', now(), $5) - make_interval(months => $4) + interval '10 days'
from place where e.transfer_id = place.transfer_id
"""


async def a_past(
    database: Database, owner: Connection, spans: dict[int, int], *, zone: str = "UTC", names: str = "a key"
) -> Home:
    """A home of the past, nothing of it sealed: for so many months ago, so many charges of its first workspace."""
    home = await a_home(database, workspaces=2, granted=1_000_000, timezone=zone)
    version = 0
    for months, charges in sorted(spans.items(), reverse=True):
        for number in range(charges):
            await work(home, home.workspaces[0], used(1000 + number))
        if months:
            account = f"used:{home.workspaces[0]}"
            await as_owner(owner, home, AGO, account, version + 1, version + charges, months, zone)
        version += charges
    await as_owner(owner, home, FOUNDED, max(spans) + 1)
    named = "update credit_transfer set actor_name = $1, model = $1, reference = $1 || id"
    await as_owner(owner, home, named, names)
    return home


async def listed(http: httpx2.AsyncClient, home: Home, key: dict[str, str]) -> list[Answers]:
    answer = await http.get(f"/v1/workspaces/{home.workspaces[0]}/statements", headers=key)
    assert answer.status_code == 200, answer.text
    found: list[Answers] = answer.json()["data"]
    return found


async def read(http: httpx2.AsyncClient, home: Home, key: dict[str, str], month: str, form: str = "json") -> str:
    path = f"/v1/workspaces/{home.workspaces[0]}/statements/{month}"
    answer = await http.get(path, headers=key, params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer.text


def bad(text: str) -> tuple[str, str] | None:
    """What the check finds, with the secret."""
    found = check_statement(io.StringIO(text, newline=""), PEPPER)
    return None if found.bad is None else (found.bad.problem, found.bad.where)


async def test_every_month_that_is_over_gets_its_statement_which_is_right_as_json_and_as_csv(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {2: 2, 1: 3, 0: 2}, names="=cmd|' /C calc'!A0")
    key = await a_key(database, home.origin)
    await sealed(worker_database)

    await make_statements(worker_database)

    newest, oldest = await listed(http, home, key)
    assert (newest["opening"], newest["charged"], newest["closing"]) == (2.001, 3.003, 5.004)
    assert (oldest["opening"], oldest["fromVersion"], oldest["toVersion"]) == (0, 1, 2)
    assert (newest["fromVersion"], newest["toVersion"], newest["workspaceId"]) == (3, 5, home.workspaces[0])
    assert newest["startsAt"] == oldest["endsAt"]
    for statement in (newest, oldest):
        text = await read(http, home, key, statement["month"])
        assert bad(text) is None
        assert json.loads(text)["statement"] == statement
        assert bad(await read(http, home, key, statement["month"], "csv")) is None
    (block,) = json.loads(await read(http, home, key, newest["month"]))["blocks"]
    assert (len(block["before"]), len(block["after"])) == (2, 2)


async def test_a_line_tells_run_key_rule_and_price_and_is_no_formula(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {1: 2}, names="=1+1")
    key = await a_key(database, home.origin)
    priced = "update credit_transfer set price_version = 4, unit_price = 250, quantity = 1.5, run_id = 'inv_1'"
    await as_owner(owner, home, f"{priced} where kind = 'capture'")
    await sealed(worker_database)
    await make_statements(worker_database)
    (statement,) = await listed(http, home, key)

    line = json.loads(await read(http, home, key, statement["month"]))["lines"][0]
    table = list(csv.DictReader(io.StringIO(await read(http, home, key, statement["month"], "csv"), newline="")))

    assert (line["amount"], line["kind"], line["feature"], line["model"]) == (1, "capture", "generation", "=1+1")
    assert (line["priceVersion"], line["unitPrice"], line["quantity"]) == (4, 0.25, 1.5)
    assert (line["invocationId"], line["keyId"], line["actorName"]) == ("inv_1", home.caller.actor_id, "=1+1")
    assert line["rule"]
    rows = [row for row in table if row["record"] == "line"]
    assert [(row["amount"], row["actorName"], row["quantity"]) for row in rows] == [
        ("1", "'=1+1", "1.500"),
        ("1.001", "'=1+1", "1.500"),
    ]
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal(str(statement["charged"]))


async def test_nothing_is_told_before_its_seal_and_nothing_twice(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {1: 2, 0: 1})
    key = await a_key(database, home.origin)

    await make_statements(worker_database)
    assert await listed(http, home, key) == []
    await sealed(worker_database)
    await as_owner(owner, home, "update statement_calendar set due_at = now()")
    await asyncio.gather(*(make_statements(worker_database) for _ in range(4)))
    (statement,) = await listed(http, home, key)
    await as_owner(owner, home, "update statement_calendar set due_at = now()")
    await make_statements(worker_database)

    assert await listed(http, home, key) == [statement]
    async with database.transaction(home.caller.reach) as tx:
        sql = "select count(*) from audit_entry where agency_id = $1 and event = 'statements.made'"
        assert await tx.fetchval(sql, home.agency_id) == 1


async def test_a_month_is_that_of_the_agencys_zone_and_goes_on_where_the_last_one_ended(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {2: 1, 1: 1}, zone="Pacific/Auckland")
    key = await a_key(database, home.origin)
    await sealed(worker_database)

    await make_statements(worker_database)

    newest, oldest = await listed(http, home, key)
    assert (newest["timezone"], newest["startsAt"]) == ("Pacific/Auckland", oldest["endsAt"])
    assert newest["startsAt"][11:13] in {"11", "12"}
    assert date.fromisoformat(f"{newest['month']}-01") > date.fromisoformat(f"{oldest['month']}-01")


UNPAID = """
insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, cycle, credits, quantity, is_funded, source,
                         external_id, would_cost)
select $1, $2, $3::timestamptz, $4 || lpad(n::text, 3, '0'), 'analytics', 'key_1', ($3::timestamptz)::date, 0, 1, false,
       'crm', '=' || n, 1500
from generate_series(1, 3) n
"""


async def test_work_that_nothing_paid_for_is_listed_apart_and_its_sum_outlives_it(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {1: 1})
    key = await a_key(database, home.origin)
    second = home.workspaces[1]
    async with database.transaction(home.caller.reach) as tx:
        at = await tx.fetchval("select date_trunc('month', now(), 'UTC') - interval '3 days'")
        for number, workspace_id in enumerate(home.workspaces):
            await tx.execute(UNPAID, home.agency_id, workspace_id, at, f"{first_id('evt', at)[:-4]}{number}")
    await sealed(worker_database)
    await make_statements(worker_database)
    (statement,) = await listed(http, home, key)

    whole = await read(http, home, key, statement["month"])
    alone = await http.get(f"/v1/workspaces/{second}/statements/{statement['month']}", headers=key)
    await as_owner(owner, home, "delete from usage_event")
    later = await read(http, home, key, statement["month"])

    assert (statement["unfundedEvents"], statement["unfundedCost"], statement["charged"]) == (3, 4.5, 1)
    assert [event["externalId"] for event in json.loads(whole)["unfunded"]] == ["=1", "=2", "=3"]
    assert (alone.json()["lines"], alone.json()["statement"]["unfundedEvents"]) == ([], 3)
    assert [bad(text) for text in (whole, alone.text, later)] == [None, None, None]
    assert json.loads(later)["unfunded"] == []


AMOUNT = "update ledger_entry set amount = 5 where account_id = $1 and account_version = 2"
DELETED = "delete from ledger_entry where account_id = $1 and account_version = 2"
RULE = """
update credit_transfer t set rule = 'none' from ledger_entry e
where e.transfer_id = t.id and e.account_id = $1 and e.account_version = 3
"""
FOREIGN = """
update ledger_seal s set hash = o.hash from ledger_seal o where s.account_id = $1 and o.account_id = 'pool'
"""
TAMPERED = {
    "a changed amount": (AMOUNT, "entry 2"),
    "a changed rule": (RULE, "of entries 1 to 4"),
    "a deleted entry": (DELETED, "entry 2"),
    "another seal": (FOREIGN, "of entries 1 to 4"),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_what_was_changed_behind_the_house_after_its_seal_becomes_no_statement_and_is_told(
    what: str, database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {1: 4})
    key = await a_key(database, home.origin)
    await sealed(worker_database)
    sql, where = TAMPERED[what]
    await as_owner(owner, home, sql, f"used:{home.workspaces[0]}")

    await make_statements(worker_database)

    assert await listed(http, home, key) == []
    async with database.transaction(home.caller.reach) as tx:
        sql = "select after from audit_entry where agency_id = $1 and event = 'ledger.seal_broken'"
        told = await tx.fetchval(sql, home.agency_id)
    assert where in told["where"]


async def test_what_was_changed_after_its_statement_is_found_in_what_is_handed_out(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {1: 4})
    key = await a_key(database, home.origin)
    await sealed(worker_database)
    await make_statements(worker_database)
    (statement,) = await listed(http, home, key)
    account = f"used:{home.workspaces[0]}"

    await as_owner(owner, home, "update statement set charged = charged + 1")
    assert bad(await read(http, home, key, statement["month"])) == ("wrong_total", "`charged`")
    await as_owner(owner, home, "update statement set charged = charged - 1, zone = 'Europe/London'")
    assert bad(await read(http, home, key, statement["month"])) == ("tampered", "the statement's head")
    await as_owner(owner, home, "update statement set zone = 'UTC'")
    await as_owner(owner, home, "delete from ledger_entry where account_id = $1 and account_version = 2", account)
    assert bad(await read(http, home, key, statement["month"], "csv")) == ("missing", "entry 2")


async def test_only_who_reaches_the_workspace_reads_its_statements(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home, other = await a_past(database, owner, {1: 1}), await a_home(database)
    await sealed(worker_database)
    await make_statements(worker_database)
    first, second = home.workspaces
    keys = [
        (await a_key(database, home.origin, first), 200),
        (await a_key(database, home.origin, second), 404),
        (await a_key(database, other.origin), 404),
    ]
    (statement,) = await listed(http, home, keys[0][0])

    for key, status in keys:
        answers = [
            await http.get(f"/v1/workspaces/{first}/statements{month}", headers=key)
            for month in ("", f"/{statement['month']}")
        ]
        assert [answer.status_code for answer in answers] == [status, status]
    mine = keys[0][0]
    for month in ("2026-13", "1", "9999-12", "0000-01", "2026-1", "next"):
        assert (await http.get(f"/v1/workspaces/{first}/statements/{month}", headers=mine)).status_code == 404
    assert (await http.get(f"/v1/workspaces/{second}/statements", headers=keys[1][0])).json()["data"] == []


async def test_the_list_goes_on_by_its_cursor_and_an_archived_workspace_keeps_its_statements(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {3: 1, 2: 1, 1: 1})
    key = await a_key(database, home.origin)
    await sealed(worker_database)
    await make_statements(worker_database)
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.archive(tx, home.caller, home.workspaces[0])
    path = f"/v1/workspaces/{home.workspaces[0]}/statements"

    pages = [(await http.get(path, headers=key, params={"limit": 2})).json()]
    pages.append((await http.get(path, headers=key, params={"limit": 2, "cursor": pages[0]["nextCursor"]})).json())

    months = [[one["month"] for one in page["data"]] for page in pages]
    assert [len(page) for page in months] == [2, 1]
    assert months[0][0] > months[0][1] > months[1][0]
    assert (pages[1]["nextCursor"], pages[0]["total"]) == (None, None)


async def test_a_server_makes_no_statement_and_nobody_changes_one(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database)
    for door, sql in (
        (database, "insert into statement select * from statement where agency_id = $1"),
        (database, "select * from statement_calendar where agency_id = $1"),
        (worker_database, "update statement set charged = 0 where agency_id = $1"),
        (worker_database, "delete from statement where agency_id = $1"),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with door.transaction(home.caller.reach) as tx:
                await tx.execute(sql, home.agency_id)


async def test_what_is_entered_late_stands_in_the_month_that_follows(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_past(database, owner, {2: 1, 1: 2})
    key = await a_key(database, home.origin)
    late = "update ledger_entry set at = date_trunc('month', now(), 'UTC') - interval '1 month 1 second'"
    await as_owner(owner, home, f"{late} where account_id = $1 and account_version = 3", f"used:{home.workspaces[0]}")
    await sealed(worker_database)

    await make_statements(worker_database)

    newest, oldest = await listed(http, home, key)
    assert [(one["fromVersion"], one["toVersion"]) for one in (oldest, newest)] == [(1, 1), (2, 3)]
    assert bad(await read(http, home, key, newest["month"])) is None
    async with database.transaction(home.caller.reach) as tx:
        assert await statement_store.find(tx, home.workspaces[1], date(2026, 1, 1)) is None
