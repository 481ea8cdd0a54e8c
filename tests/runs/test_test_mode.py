"""Test mode: a twin of the agency with its own everything, fake credits, and no call that leaves the house."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
import pytest_asyncio

from colonnade import credits, integrations
from colonnade.credits import routes as credits_routes
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.outgoing import AllowList
from colonnade.runs.invocations import Run, RunState
from colonnade.tenancy import agencies
from colonnade.tenancy.agencies import routes as agencies_routes
from colonnade.tenancy.audit.jobs import announce
from colonnade.tenancy.keys import routes as keys_routes
from colonnade.tenancy.workspaces import routes as workspaces_routes
from colonnade.worker import reactions
from tests.factories import Home, a_workspace, agency_caller, an_agency
from tests.fakes.chat_server import ChatServer
from tests.fakes.receiver import Receiver
from tests.runs.run_fixtures import MASTERS, Bench, alone, asking, provider, working
from tests.serving import a_key, served

__all__ = ["alone", "provider"]

PROFILE = {"name": "Northlight", "website": "https://northlight.example", "branding": {"primaryColor": "#0a5c8a"}}
POLICY = {"publish": "auto", "outreach_send": "auto", "indexing_submit": "require_approval"}
SETTINGS = {"defaultModel": "openai:model-1", "rotateAfterDays": 30, "defaultApprovalPolicy": POLICY}


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    routers = [keys_routes.routes, agencies_routes.routes, credits_routes.routes, workspaces_routes.routes]
    state = {keys_routes.FILL_TWIN: credits.fill_twin, credits_routes.GRANTS_BY_OPERATOR: True}
    async with served(database, routers, state) as client:
        yield client


async def an_agency_with_settings(database: Database) -> Home:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        await agencies.update(tx, home.caller, patch=PROFILE)
        await agencies.update_settings(tx, home.caller, patch=SETTINGS)
    return home


async def a_test_key(client: httpx2.AsyncClient, master: dict[str, str]) -> dict[str, str]:
    body = {"name": "test", "preset": "master", "mode": "test"}
    made = await client.post("/v1/api-keys", json=body, headers=master)
    assert made.status_code == 201, made.text
    assert (made.headers["colonnade-mode"], made.json()["mode"]) == ("live", "test")
    return {"authorization": f"Bearer {made.json()['key']}"}


async def test_the_twin_begins_as_the_agency_is_with_a_million_credits(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency_with_settings(database)
    master = await a_key(database, home)

    test, again = await asyncio.gather(a_test_key(client, master), a_test_key(client, master))

    agency = await client.get("/v1/agency", headers=test)
    assert agency.headers["colonnade-mode"] == agency.json()["mode"] == "test"
    assert agency.json()["liveAgencyId"] == home.agency_id
    assert {name: agency.json()[name] for name in ("name", "website")} == {n: PROFILE[n] for n in ("name", "website")}
    assert agency.json()["branding"]["primaryColor"] == "#0a5c8a"
    settings = (await client.get("/v1/agency/settings", headers=again)).json()
    assert {name: settings[name] for name in SETTINGS} == SETTINGS
    pool = (await client.get("/v1/credits", headers=again)).json()["agency"]
    assert (pool["granted"], pool["available"]) == (1_000_000, 1_000_000)


async def test_credits_of_a_twin_are_granted_by_its_keys_also_where_the_operator_sells_them(
    database: Database, client: httpx2.AsyncClient
) -> None:
    master = await a_key(database, await an_agency(database))
    test = await a_test_key(client, master)

    answers = [await client.post("/v1/credits/grants", json={"amount": 5}, headers=key) for key in (master, test)]

    assert [answer.status_code for answer in answers] == [403, 201]


async def test_live_keys_never_see_the_twin_and_test_keys_never_the_agency(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    master = await a_key(database, home)
    test = await a_test_key(client, master)
    live_one = await a_workspace(database, home, name="Live")
    test_one = (await client.post("/v1/workspaces", json={"name": "Test"}, headers=test)).json()

    assert (await client.get(f"/v1/workspaces/{test_one['id']}", headers=master)).status_code == 404
    assert (await client.get(f"/v1/workspaces/{live_one.id}", headers=test)).status_code == 404
    for key, seen in ((master, ["Live"]), (test, ["Test"])):
        listed = (await client.get("/v1/workspaces", headers=key)).json()["data"]
        assert [one["name"] for one in listed] == seen
    keys = [(await client.get("/v1/api-keys", headers=key)).json()["data"] for key in (master, test)]
    assert [{one["mode"] for one in listed} for listed in keys] == [{"live"}, {"test"}]
    inside = f"/v1/workspaces/{test_one['id']}/api-keys"
    made = await client.post(inside, json={"name": "inside"}, headers=test)
    assert made.json()["key"].startswith("col_ws_test_")
    wrong = await client.post(
        f"/v1/workspaces/{live_one.id}/api-keys", json={"name": "x", "mode": "test"}, headers=master
    )
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/mode"]


async def test_the_twin_follows_what_changes_in_the_agency(
    database: Database, worker_database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency_with_settings(database)
    master = await a_key(database, home)
    test = await a_test_key(client, master)
    await client.patch("/v1/agency", json={"name": "Southlight", "branding": None}, headers=master)
    await client.patch("/v1/agency/settings", json={"rotateAfterDays": 60, "defaultModel": None}, headers=master)

    for _ in range(2):
        while await announce(worker_database, "worker of the tests", reactions(worker_database)):
            continue

    agency = (await client.get("/v1/agency", headers=test)).json()
    assert (agency["name"], agency["branding"]["primaryColor"]) == ("Southlight", None)
    settings = (await client.get("/v1/agency/settings", headers=test)).json()
    assert (settings["rotateAfterDays"], settings["defaultModel"]) == (60, None)
    live = (await client.get("/v1/agency", headers=master)).json()
    assert (live["name"], live["mode"]) == ("Southlight", "live")


async def a_twin(database: Database, home: Home, **fields: Any) -> Bench:
    """A workspace of the twin with credits, and a provider key of its own."""
    twin = await agencies.ensure_test_twin(database, home.caller, credits.fill_twin)
    there = Home(twin, agency_caller(twin), home.owner_id)
    bench = Bench(database, there, await a_workspace(database, there, **fields))
    async with database.transaction(there.reach) as tx:
        await integrations.put(
            tx,
            there.caller,
            masters=MASTERS,
            workspace_id=bench.workspace.id,
            provider="openai",
            secret=Secret("an own key of the tests"),
        )
    return bench


async def published(bench: Bench) -> Run:
    started = await bench.start()
    return await bench.in_state(started.id, RunState.SUCCEEDED, RunState.FAILED)


async def test_a_run_of_the_twin_asks_no_model_and_calls_no_receiver(
    database: Database, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    home = await an_agency_with_settings(database)
    async with Receiver() as receiver:
        wanted = {"publishing": {"kind": "webhook", "url": receiver.url}, "defaultModel": "openai:model-1"}
        bench = await a_twin(database, home, slug="acme", settings=wanted)
        allow = AllowList.parse(f"127.0.0.1/32:{receiver.port}")
        async with working(address, tmp_path, models=asking(provider), allow=allow):
            ended = await published(bench)

        assert ended.error is None
        assert ended.result is not None
        assert ended.result["publishedUrl"].startswith("test://acme/")
        assert (receiver.connections, provider.asked) == (0, [])
    assert await models_of(bench) == ["scripted"]
    assert ended.credits_used == 11_000


async def models_of(bench: Bench) -> list[str]:
    async with bench.database.transaction(bench.home.reach) as tx:
        rows = await tx.fetch("select model from post where agency_id = $1", tx.agency_id)
    return [row["model"] for row in rows]


async def test_a_page_of_the_twin_lies_apart_from_those_of_live_agencies(
    database: Database, address: Address, tmp_path: Path
) -> None:
    home = await an_agency_with_settings(database)
    bench = await a_twin(database, home, slug="acme")
    async with working(address, tmp_path):
        ended = await published(bench)

    assert ended.result is not None
    page = Path(unquote(urlsplit(ended.result["publishedUrl"]).path))
    assert page.is_relative_to(tmp_path / "test" / bench.home.agency_id / "acme")
    assert page.exists()


@pytest.mark.parametrize("settings", [{"kind": "webhook"}], ids=["no url"])
async def test_a_rehearsal_fails_where_the_real_thing_would(
    database: Database, address: Address, tmp_path: Path, settings: dict[str, Any]
) -> None:
    home = await an_agency_with_settings(database)
    bench = await a_twin(database, home)
    async with database.transaction(bench.home.reach) as tx:
        await tx.execute(
            "update workspace set settings = jsonb_set(settings, '{publishing}', $2) where agency_id = $1",
            tx.agency_id,
            settings,
        )
    async with working(address, tmp_path):
        ended = await published(bench)

    assert ended.error is not None
    assert ended.error["reason"] == "publishing.misconfigured"
