"""Own provider keys over HTTP: write-only, and told nowhere."""

from collections.abc import AsyncIterator

import httpx2
import pytest_asyncio

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.integrations import MasterKeys
from colonnade.integrations.routes import STATE, routes
from tests.factories import a_workspace, an_agency
from tests.serving import a_key, served

SECRET = "sk-test-0123456789-abcdefgh-WXYZ"


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [routes], {STATE: MasterKeys.single(b"m" * 32)}) as client:
        yield client


async def test_a_key_is_stored_looked_at_replaced_and_removed(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home)

    for path, level in (
        ("/v1/agency/provider-keys", "agency"),
        (f"/v1/workspaces/{workspace.id}/provider-keys", "workspace"),
    ):
        missing = await http.get(f"{path}/openai", headers=key)
        put = await http.put(f"{path}/openai", headers=key, json={"key": SECRET})
        read = await http.get(f"{path}/openai", headers=key)
        listed = await http.get(path, headers=key)
        again = await http.put(f"{path}/openai", headers=key, json={"key": SECRET + "2"})
        removed = await http.delete(f"{path}/openai", headers=key)
        gone = await http.delete(f"{path}/openai", headers=key)

        assert [missing.status_code, put.status_code, again.status_code] == [404, 200, 200]
        assert put.json() == read.json()
        assert (put.json()["provider"], put.json()["level"], put.json()["hint"]) == ("openai", level, "WXYZ")
        assert listed.json() == {"data": [read.json()], "nextCursor": None, "total": 1}
        assert (removed.status_code, gone.status_code) == (204, 404)
        assert not any(SECRET in answer.text for answer in (put, read, listed, again))


async def test_a_workspace_is_named_by_the_agencys_own_id_too(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home, externalId="crm-7")
    key = await a_key(database, home)

    put = await http.put("/v1/workspaces/ext:crm-7/provider-keys/openai", headers=key, json={"key": SECRET})
    unknown = await http.get("/v1/workspaces/ext:crm-8/provider-keys/openai", headers=key)

    assert put.json()["workspaceId"] == workspace.id
    assert unknown.status_code == 404


async def test_bad_bodies_and_providers_are_refused_without_repeating_the_key(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    path = "/v1/agency/provider-keys/openai"

    bodies = [{}, {"key": 7}, {"key": None}, {"key": "x"}, {"key": SECRET * 200}, {"key": SECRET, "secret": SECRET}]
    answers = [await http.put(path, headers=key, json=body) for body in bodies]
    unknown = await http.put("/v1/agency/provider-keys/unheard_of", headers=key, json={"key": SECRET})

    assert [answer.status_code for answer in answers] == [400] * len(bodies)
    assert unknown.status_code == 404
    assert not any(SECRET in answer.text for answer in [*answers, unknown])


async def test_a_workspace_key_keeps_its_own_and_not_the_agencys(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, workspace.id)

    own = await http.put(f"/v1/workspaces/{workspace.id}/provider-keys/ahrefs", headers=key, json={"key": SECRET})
    agency = [
        await http.request(method, "/v1/agency/provider-keys/ahrefs", headers=key, json=body)
        for method, body in (("GET", None), ("PUT", {"key": SECRET}), ("DELETE", None))
    ]

    assert own.status_code == 200
    assert {answer.status_code for answer in agency} == {403}
    assert {answer.json()["reason"] for answer in agency} == {"keys.wrong_kind"}


async def test_other_tenants_keys_are_answered_like_those_that_never_were(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    path = f"/v1/workspaces/{mine.id}/provider-keys/openai"
    nowhere = f"/v1/workspaces/{new_id('ws')}/provider-keys/openai"
    await http.put(path, headers=await a_key(database, home), json={"key": SECRET})

    for headers in (await a_key(database, stranger), await a_key(database, home, other.id)):
        for method, body in (("GET", None), ("PUT", {"key": SECRET}), ("DELETE", None)):
            answers = [await http.request(method, p, headers=headers, json=body) for p in (path, nowhere)]
            theirs, unknown = [{**answer.json(), "requestId": ""} for answer in answers]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert theirs == unknown


async def test_an_agency_key_of_some_workspaces_does_not_reach_the_agencys_own(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, preset="master", workspaces=[workspace.id])

    answer = await http.put("/v1/agency/provider-keys/openai", headers=key, json={"key": SECRET})

    assert (answer.status_code, answer.json()["reason"]) == (403, "keys.wrong_kind")
