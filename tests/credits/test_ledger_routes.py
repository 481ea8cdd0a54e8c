"""The ledger over HTTP with its seal: whoever has it all can follow every chain without the house."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest_asyncio

from colonnade.credits import routes as credit_routes
from colonnade.credits.ledger_seals import Chain, digest_of
from colonnade.ground.db.database import Connection, Database
from tests.credits.homes import Home, a_home, used, work
from tests.credits.test_statements import as_owner, sealed
from tests.serving import a_key, served

Entry = dict[str, Any]


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [credit_routes.routes]) as client:
        yield client


async def a_sealed_home(database: Database, worker_database: Database) -> Home:
    home = await a_home(database, granted=1_000_000)
    for number in range(3):
        for workspace_id in home.workspaces:
            await work(home, workspace_id, used(1000 + number))
        await sealed(worker_database)
    return home


def followed(agency_id: str, entries: list[Entry]) -> int:
    """Follow the chain of every account through its entries; how many blocks there were."""
    blocks = 0
    accounts: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda one: one["accountVersion"]):
        accounts[entry["account"]].append(entry)
    for account, found in accounts.items():
        previous: str | None = None
        for block in {entry["seal"]["block"]["toVersion"]: entry["seal"]["block"] for entry in found}.values():
            inside = found[block["fromVersion"] - 1 : block["toVersion"]]
            digests = [digest_of(entry["seal"]["text"]) for entry in inside]
            before = None if previous is None else bytes.fromhex(previous)
            made = Chain(agency_id, account).hash_of(block["fromVersion"], before, digests)
            assert (made.hex(), block["previousHash"]) == (block["hash"], previous)
            previous, blocks = block["hash"], blocks + 1
    return blocks


async def test_the_whole_ledger_leaves_the_house_with_its_seal_and_every_chain_can_be_followed(
    database: Database, worker_database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_sealed_home(database, worker_database)
    key = await a_key(database, home.origin)

    answer = await http.get("/v1/credits/ledger", headers=key, params={"format": "ndjson"})

    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert {entry["account"].partition(":")[0] for entry in entries} == {"issued", "pool", "held", "used"}
    assert followed(home.agency_id, entries) > 10
    assert {entry["seal"]["digest"] for entry in entries} == {digest_of(e["seal"]["text"]).hex() for e in entries}
    assert sum(round(entry["amount"] * 1000) for entry in entries) == 0


async def test_a_page_shows_seals_where_they_are_asked_for_and_the_young_wait_for_theirs(
    database: Database, worker_database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_sealed_home(database, worker_database)
    await work(home, home.workspaces[0], used(5))
    key = await a_key(database, home.origin)

    plain = (await http.get("/v1/credits/ledger", headers=key)).json()["data"]
    shown = (await http.get("/v1/credits/ledger", headers=key, params={"include": "seal"})).json()["data"]
    other = await http.get("/v1/credits/ledger", headers=key, params={"include": "everything"})

    assert {entry["seal"] for entry in plain} == {None}
    assert shown[0]["seal"]["block"] is None
    assert json.loads(shown[0]["seal"]["text"])[5] == shown[0]["id"]
    assert shown[-1]["seal"]["block"]["fromVersion"] == 1
    assert [{**entry, "seal": None} for entry in shown] == plain
    assert other.status_code == 400


async def test_a_workspaces_key_gets_the_chains_of_its_own_accounts(
    database: Database, worker_database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_sealed_home(database, worker_database)
    first, _ = home.workspaces
    key = await a_key(database, home.origin, first)

    answer = await http.get("/v1/credits/ledger", headers=key, params={"format": "ndjson"})

    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert {entry["account"] for entry in entries} == {f"held:{first}", f"used:{first}"}
    assert followed(home.agency_id, entries) == 6


async def test_the_ledger_as_a_table_holds_no_formula(
    database: Database, worker_database: Database, owner: Connection, http: httpx2.AsyncClient
) -> None:
    home = await a_sealed_home(database, worker_database)
    await as_owner(owner, home, "update credit_transfer set reference = '=1+1' || id, model = '@x'")
    key = await a_key(database, home.origin)

    answer = await http.get("/v1/credits/ledger", headers=key, params={"format": "csv"})

    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert {row["model"] for row in rows} == {"'@x"}
    assert {row["reference"][:5] for row in rows} == {"'=1+1"}
    assert len(rows) == 2 + 3 * 2 * 4
