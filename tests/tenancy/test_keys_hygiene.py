"""What a list tells of its keys: which need a new text, which nobody uses, whose makers are gone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.instants import format_instant
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, people
from colonnade.tenancy.keys import Draft, Minted
from colonnade.tenancy.keys import routes as keys_routes
from tests.factories import Home, a_workspace, an_agency, workspace_caller
from tests.serving import a_key, served
from tests.tenancy.keys_calls import mint, now, revoke, roll

Answer = dict[str, Any]


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [keys_routes.routes]) as client:
        yield client


@pytest_asyncio.fixture
async def home(database: Database) -> Home:
    return await an_agency(database)


@pytest_asyncio.fixture
async def master(database: Database, home: Home) -> dict[str, str]:
    return await a_key(database, home, preset="master", rate_limit=None)


async def listed(client: httpx2.AsyncClient, master: dict[str, str], **query: Any) -> list[Answer]:
    answer = await client.get("/v1/api-keys", params=query, headers=master)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(answer.json()["data"])
    data: list[Answer] = answer.json()["data"]
    return data


async def one(client: httpx2.AsyncClient, master: dict[str, str], minted: Minted) -> Answer:
    read: Answer = (await client.get(f"/v1/api-keys/{minted.key.id}", headers=master)).json()
    assert read in await listed(client, master)
    return read


async def aged(database: Database, home: Home, minted: Minted, days: int) -> None:
    """As if its text had been made so long ago."""
    async with database.transaction(home.reach) as tx:
        sql = "update api_key_secret set created_at = created_at - $3::interval where agency_id = $1 and key_id = $2"
        await tx.execute(sql, tx.agency_id, minted.key.id, timedelta(days=days))


async def test_a_key_tells_when_it_is_time_for_a_new_text(
    database: Database, client: httpx2.AsyncClient, home: Home, master: dict[str, str]
) -> None:
    old = await mint(database, home.caller, Draft("old", preset="read_only"))
    ended = await mint(database, home.caller, Draft("ended", preset="read_only"))
    await revoke(database, home.caller, ended.key)
    for minted in (old, ended):
        await aged(database, home, minted, 31)
    assert not (await one(client, master, old))["rotationDue"]

    async with database.transaction(home.reach) as tx:
        await agencies.update_settings(tx, home.caller, patch={"rotateAfterDays": 30})
    assert (await one(client, master, old))["rotationDue"]
    assert not (await one(client, master, ended))["rotationDue"]

    await roll(database, home.caller, old.key)
    rolled = await one(client, master, old)
    assert (rolled["rotationDue"], rolled["status"], rolled["oldSecretEndsAt"]) == (False, "active", None)
    assert rolled["rotatedAt"] > rolled["createdAt"]


async def test_a_status_says_what_comes_first(
    database: Database, client: httpx2.AsyncClient, home: Home, master: dict[str, str]
) -> None:
    at = await now(database, home)
    made = {
        name: await mint(database, home.caller, Draft(name, preset="read_only", expires_at=ends))
        for name, ends in {
            "active": None,
            "distant": at + timedelta(days=8),
            "expiring": at + timedelta(days=6),
            "expired": at + timedelta(days=1),
            "revoked": None,
            "rolling": at + timedelta(days=6),
        }.items()
    }
    await revoke(database, home.caller, made["revoked"].key)
    await roll(database, home.caller, made["rolling"].key, 3600)
    async with database.transaction(home.reach) as tx:
        sql = "update api_key set expires_at = now() where agency_id = $1 and id = $2"
        await tx.execute(sql, tx.agency_id, made["expired"].key.id)

    expected = {name: "active" if name == "distant" else name for name in made}
    assert {key["name"]: key["status"] for key in await listed(client, master)} == {
        **expected,
        "a key of the tests": "active",
    }
    for status in ("rolling", "expiring", "expired", "revoked"):
        assert [key["name"] for key in await listed(client, master, status=status)] == [status]
    several = await listed(client, master, status=["revoked", "expired"])
    assert {key["name"] for key in several} == {"revoked", "expired"}
    rolling = await one(client, master, made["rolling"])
    assert rolling["oldSecretEndsAt"] > format_instant(at)


async def test_lists_are_narrowed_by_text_mode_maker_and_use(
    database: Database, client: httpx2.AsyncClient, home: Home, master: dict[str, str]
) -> None:
    nightly = await mint(database, home.caller, Draft("Nightly 100%", preset="read_only", description="For _exports_"))
    await mint(database, home.caller, Draft("Other", preset="read_only"))
    body = {"name": "made by a key", "preset": "read_only"}
    by_key = (await client.post("/v1/api-keys", json=body, headers=master)).json()
    own = (await client.get("/v1/whoami", headers=master)).json()["keyId"]
    async with database.transaction(home.reach) as tx:
        sql = "update api_key set created_at = created_at - interval '91 days' where agency_id = $1 and id <> $2"
        await tx.execute(sql, tx.agency_id, own)

    for q in ("nightly", "100%", "_EXPORTS_", nightly.key.hint, nightly.key.id):
        assert nightly.key.id in {key["id"] for key in await listed(client, master, q=q)}
    assert await listed(client, master, q="no such thing%") == []
    assert await listed(client, master, mode="test") == []
    assert len(await listed(client, master, mode="live")) == 4
    assert [key["id"] for key in await listed(client, master, createdBy=own)] == [by_key["id"]]
    assert own not in {key["id"] for key in await listed(client, master, unusedSinceDays=90)}
    assert len(await listed(client, master, unusedSinceDays=90)) == 3
    assert await listed(client, master, unusedSinceDays=92) == []


@pytest.mark.parametrize(
    "query",
    ["status=gone", "mode=demo", "unusedSinceDays=0", "unusedSinceDays=x", "q=", "createdBy=", "status=", "color=red"],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, master: dict[str, str], query: str
) -> None:
    assert (await client.get(f"/v1/api-keys?{query}", headers=master)).status_code == 400


async def test_pages_follow_each_other_through_a_filter(
    database: Database, client: httpx2.AsyncClient, home: Home, master: dict[str, str]
) -> None:
    wanted = [await mint(database, home.caller, Draft(f"wanted {n}", preset="read_only")) for n in range(3)]
    await mint(database, home.caller, Draft("between", preset="read_only"))
    cursor, seen = None, []
    for _ in range(3):
        query: dict[str, Any] = {"q": "wanted", "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/api-keys", params=query, headers=master)).json()
        assert page["total"] == 3
        cursor = page["nextCursor"]
        seen += [key["id"] for key in page["data"]]

    assert cursor is None
    assert seen == [minted.key.id for minted in wanted][::-1]


async def test_a_departed_maker_is_told(
    database: Database, client: httpx2.AsyncClient, home: Home, master: dict[str, str]
) -> None:
    workspace = await a_workspace(database, home)
    async with database.transaction(home.reach) as tx:
        owner = await people.owner(tx)
    assert owner is not None
    own = (await client.get("/v1/whoami", headers=master)).json()["keyId"]
    made = {
        "by the operator": ("operator", "operator", "active"),
        "by a member": (owner.id, "member", "active"),
        "by a member who left": ("mem_" + "0" * 26, "member", "gone"),
        "by a key": (own, "key", "active"),
        "by a key that ended": ("key_" + "0" * 26, "key", "gone"),
    }
    for name, (maker, *_) in made.items():
        minted = await mint(database, home.caller, Draft(name), workspace.id)
        async with database.transaction(home.reach) as tx:
            sql = "update api_key set created_by = $3 where agency_id = $1 and id = $2"
            await tx.execute(sql, tx.agency_id, minted.key.id, maker)
    inside = await mint(database, workspace_caller(home, workspace), Draft("its own reader"), workspace.id)

    for headers in (master, {"X-Auth": inside.secret.reveal()}):
        answer = await client.get(f"/v1/workspaces/{workspace.id}/api-keys", headers=headers)
        told = {
            key["name"]: (key["createdBy"], key["createdByKind"], key["makerStatus"]) for key in answer.json()["data"]
        }
        told.pop("its own reader")
        assert told == made


async def test_in_a_twin_a_maker_outside_of_it_is_neither_here_nor_gone(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    body = {"name": "test", "preset": "master", "mode": "test"}
    first = (await client.post("/v1/api-keys", json=body, headers=master)).json()
    test = {"X-Auth": first["key"]}
    second = (await client.post("/v1/api-keys", json={**body, "mode": None}, headers=test)).json()

    assert (first["createdByKind"], first["makerStatus"]) == ("key", None)
    assert (second["createdBy"], second["makerStatus"]) == (first["id"], "active")
