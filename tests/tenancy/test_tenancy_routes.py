from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.openapi import make_document
from colonnade.tenancy import workspaces
from colonnade.tenancy.agencies import routes as agency_routes
from colonnade.tenancy.audit import routes as audit_routes
from colonnade.tenancy.workspaces import routes as workspace_routes
from tests.factories import a_workspace, an_agency, workspace_caller
from tests.serving import a_key, served

ROUTERS = [agency_routes.routes, workspace_routes.routes, audit_routes.routes]


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The real layers around the tenancy's own routes."""
    state = {workspace_routes.READER: workspaces.WorkspaceReader(database)}
    async with served(database, ROUTERS, state) as client:
        yield client


async def made(client: httpx2.AsyncClient, key: dict[str, str], **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/workspaces", headers=key, json={"name": "Acme PM", **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_workspace_is_created_as_in_the_manual_whatever_the_content_type_says(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    key = {**await a_key(database, home), "content-type": "application/x-www-form-urlencoded"}
    text = """{
        "name": "Beta Project Management",
        "primaryDomain": "betapm.com",
        "settings": { "primaryLocation": "uk", "primaryLanguage": "en" }
    }"""

    answer = await client.post("/v1/workspaces", headers=key, content=text)

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/workspaces/{body['id']}"
    assert body["agencyAccountId"] == home.agency_id
    assert (body["slug"], body["active"], body["timezone"]) == ("beta-project-management", True, "UTC")
    assert (body["ownerId"], body["lastActiveAt"], body["brand"]) == (home.owner_id, None, {})
    assert body["settings"]["primaryLocation"] == "uk"
    assert body["settings"]["creditPool"] == "agency"
    assert body["settings"]["approvalPolicy"]["publish"] == "require_approval"


async def test_a_workspace_is_read_by_its_id_or_by_the_agencys_own(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    body = await made(client, key, externalId="crm:42")

    by_id = await client.get(f"/v1/workspaces/{body['id']}", headers=key)
    by_external = await client.get("/v1/workspaces/ext:crm:42", headers=key)

    assert by_id.status_code == by_external.status_code == 200
    assert by_id.json() == by_external.json() == body
    assert by_id.headers["etag"] == '"v1"'


@pytest.mark.parametrize("named", ["ws_0000", f"ws_{26 * '0'}", "ext:unknown", "ext:%00", "%00", "ext:"])
async def test_what_is_not_there_is_not_found(database: Database, client: httpx2.AsyncClient, named: str) -> None:
    key = await a_key(database, await an_agency(database))

    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/restore"), ("GET", "/settings")):
        answer = await client.request(method, f"/v1/workspaces/{named}{path}", headers=key)
        assert (answer.status_code, answer.json()["reason"]) == (404, "resource.not_found")


async def test_another_agencys_workspace_is_not_found_by_any_route(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home, other = await an_agency(database), await an_agency(database)
    workspace = await a_workspace(database, other, externalId="crm-1")
    key = await a_key(database, home)

    for named in (workspace.id, "ext:crm-1"):
        for method, path in (
            *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/restore")),
            *(("GET", "/settings"), ("GET", "/health")),
        ):
            answer = await client.request(method, f"/v1/workspaces/{named}{path}", headers=key)
            assert answer.status_code == 404
    listed = await client.get("/v1/workspaces", headers=key)
    assert listed.json() == {"data": [], "nextCursor": None, "total": 0}


async def test_a_list_shows_the_blocks_that_were_asked_for_and_no_others(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    await made(client, key, brand={"voice": "Plain"})

    plain = (await client.get("/v1/workspaces", headers=key)).json()["data"][0]
    full = (
        await client.get(
            "/v1/workspaces", headers=key, params={"include": "health,lastActiveAt,brand,settings,settingSources"}
        )
    ).json()["data"][0]
    unknown = await client.get("/v1/workspaces", headers=key, params={"include": "health,secrets"})

    assert not {"settings", "settingSources", "brand", "health", "lastActiveAt", "usage"} & plain.keys()
    assert full["health"]["ahrefs"] == "not_connected"
    assert full["brand"] == {"voice": "Plain"}
    assert full["lastActiveAt"] is None
    assert full["settingSources"]["creditPool"] == {"source": "default", "locked": False}
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (400, "?include")


async def test_further_blocks_come_from_the_application(database: Database) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)

    async def usage(_tx: Any, ids: list[str]) -> dict[str, Any]:
        return {identity: {"creditsUsedThisCycle": 5} for identity in ids}

    async with served(database, ROUTERS, {workspace_routes.INCLUDES: {"usage": usage}}) as client:
        await made(client, key)
        answer = await client.get("/v1/workspaces", headers=key, params={"include": "usage"})

    assert answer.json()["data"][0]["usage"] == {"creditsUsedThisCycle": 5}


@pytest.mark.parametrize("sort", ["name", "-name", "createdAt", "-createdAt", "lastActiveAt", "-lastActiveAt"])
async def test_a_list_goes_on_by_its_cursor(database: Database, client: httpx2.AsyncClient, sort: str) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    ids = [(await made(client, key, name=f"B{n % 3}"))["id"] for n in range(7)]
    activity = workspaces.Activity(database)
    activity.touch(home.agency_id, ids[2])
    await activity.close()

    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "3", "sort": sort, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/workspaces", headers=key, params=params)).json()
        seen += [workspace["id"] for workspace in page["data"]]
        cursor = page["nextCursor"]
        assert page["total"] == 7
        if cursor is None:
            break

    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "sort=colour", "active=maybe", "cursor=abc", "colour=red"])
async def test_a_query_that_makes_no_sense_is_refused(
    database: Database, client: httpx2.AsyncClient, query: str
) -> None:
    key = await a_key(database, await an_agency(database))

    answer = await client.get(f"/v1/workspaces?{query}", headers=key)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "?" + query.partition("=")[0]


async def test_a_list_is_narrowed_by_tag_state_and_text(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    one = await made(client, key, name="One", tags=["tier:premium", "region:eu"])
    two = await made(client, key, name="Two", tags=["tier:premium"])
    await client.delete(f"/v1/workspaces/{two['id']}", headers=key)

    async def listed(query: str) -> list[str]:
        answer = await client.get(f"/v1/workspaces?{query}", headers=key)
        return [workspace["id"] for workspace in answer.json()["data"]]

    assert await listed("tag=tier:premium&sort=name") == [one["id"], two["id"]]
    assert await listed("tag=tier:premium&tag=region:eu") == [one["id"]]
    assert await listed("active=false") == [two["id"]]
    assert await listed("q=tw") == [two["id"]]
    assert await listed(f"ids={one['id']},ws_unknown") == [one["id"]]


async def test_every_bad_field_of_a_body_is_named_whatever_is_wrong_with_it(
    database: Database, client: httpx2.AsyncClient
) -> None:
    key = await a_key(database, await an_agency(database))

    answer = await client.post(
        "/v1/workspaces",
        headers=key,
        json={"name": 5, "primaryDomain": "acme.com:80", "colour": 1, "settings": {"creditPool": "mine"}, "tags": {}},
    )

    assert answer.status_code == 400
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        *("/name", "/primaryDomain", "/colour", "/settings/creditPool", "/tags")
    }


async def test_a_patch_with_the_tag_that_was_read_succeeds_and_with_an_old_one_fails(
    database: Database, client: httpx2.AsyncClient
) -> None:
    key = await a_key(database, await an_agency(database))
    path = f"/v1/workspaces/{(await made(client, key, settings={'primaryLanguage': 'en'}))['id']}"

    first = await client.patch(
        path, headers={**key, "if-match": '"v1"'}, json={"industry": "saas", "settings": {"primaryLanguage": None}}
    )
    late = await client.patch(path, headers={**key, "if-match": '"v1"'}, json={"industry": "retail"})

    assert (first.status_code, first.headers["etag"]) == (200, '"v2"')
    assert (first.json()["industry"], first.json()["settings"]["primaryLanguage"]) == ("saas", None)
    assert (late.status_code, late.json()["code"]) == (412, "PRECONDITION_FAILED")


async def test_an_archived_workspace_is_read_refuses_writes_and_comes_back(
    database: Database, client: httpx2.AsyncClient
) -> None:
    key = await a_key(database, await an_agency(database))
    path = f"/v1/workspaces/{(await made(client, key, primaryDomain='acme.com'))['id']}"

    gone = await client.delete(path, headers=key)
    read = await client.get(path, headers=key)
    written = await client.patch(path, headers=key, json={"name": "X"})
    other = await made(client, key, primaryDomain="acme.com")
    blocked = await client.post(f"{path}/restore", headers=key)
    await client.delete(f"/v1/workspaces/{other['id']}", headers=key)
    restored = await client.post(f"{path}/restore", headers=key)

    assert (gone.status_code, gone.content) == (204, b"")
    assert (read.status_code, read.json()["active"]) == (200, False)
    assert (written.status_code, written.json()["reason"]) == (422, "workspace.archived")
    assert (blocked.status_code, blocked.json()["details"]) == (409, {"workspaceId": other["id"]})
    assert (restored.status_code, restored.json()["active"]) == (200, True)


async def test_the_agencys_policy_is_inherited_and_can_be_locked(
    database: Database, client: httpx2.AsyncClient
) -> None:
    key = await a_key(database, await an_agency(database))
    workspace = await made(client, key)
    path = f"/v1/workspaces/{workspace['id']}"
    policy = {"outreach_send": "require_approval", "publish": "auto"}

    answer = await client.patch("/v1/agency/settings", headers=key, json={"defaultApprovalPolicy": policy})
    inherited = await client.get(f"{path}/settings", headers=key)
    await client.patch(path, headers=key, json={"settings": {"approvalPolicy": {"publish": "require_approval"}}})
    own = await client.get(f"{path}/settings", headers=key)
    await client.patch("/v1/agency/settings", headers=key, json={"lockedSettings": ["approvalPolicy.publish"]})
    locked = await client.get(f"{path}/settings", headers=key)
    refused = await client.patch(path, headers=key, json={"settings": {"approvalPolicy": {"publish": "auto"}}})

    assert answer.json()["defaultApprovalPolicy"] == {**policy, "indexing_submit": "auto"}
    for found, value, source, is_locked in (
        (inherited, "auto", "agency", False),
        (own, "require_approval", "workspace", False),
        (locked, "auto", "agency", True),
    ):
        assert found.json()["settings"]["approvalPolicy"]["publish"] == value
        assert found.json()["settingSources"]["approvalPolicy.publish"] == {"source": source, "locked": is_locked}
    assert (refused.status_code, refused.json()["reason"]) == (422, "settings.locked")


async def test_a_workspace_key_sees_and_changes_its_own_workspace_and_governs_nothing(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    mine, theirs = await a_workspace(database, home), await a_workspace(database, home)
    key = await a_key(database, home, workspace_id=mine.id)

    listed = await client.get("/v1/workspaces", headers=key)
    changed = await client.patch(f"/v1/workspaces/{mine.id}", headers=key, json={"brand": {"voice": "Warm"}})
    governed = await client.patch(
        f"/v1/workspaces/{mine.id}", headers=key, json={"settings": {"approvalPolicy": {"publish": "auto"}}}
    )
    foreign = await client.get(f"/v1/workspaces/{theirs.id}", headers=key)

    assert [workspace["id"] for workspace in listed.json()["data"]] == [mine.id]
    assert changed.json()["brand"] == {"voice": "Warm"}
    assert (governed.status_code, governed.json()["details"]) == (403, {"scope": "workspaces:govern"})
    assert foreign.status_code == 404
    for method, path in (
        *(("POST", "/v1/workspaces"), ("DELETE", f"/v1/workspaces/{mine.id}"), ("GET", "/v1/agency")),
        *(("GET", "/v1/agency/settings"), ("PATCH", "/v1/agency/settings"), ("GET", "/v1/audit-log")),
    ):
        answer = await client.request(method, path, headers=key)
        assert (answer.status_code, answer.json()["reason"]) == (403, "keys.wrong_kind")


async def test_the_agencys_profile_and_settings_are_read_and_merged(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)

    profile = await client.patch("/v1/agency", headers=key, json={"branding": {"primaryColor": "#1a73e8"}})
    bad = await client.patch("/v1/agency", headers=key, json={"name": None, "branding": {"primaryColor": "blue"}})
    settings = await client.get("/v1/agency/settings", headers=key)

    assert profile.json()["id"] == home.agency_id
    assert profile.json()["branding"] == {"logoUrl": None, "primaryColor": "#1a73e8", "supportEmail": None}
    assert (await client.get("/v1/agency", headers=key)).json() == profile.json()
    assert {error["pointer"] for error in bad.json()["errors"]} == {"/name", "/branding/primaryColor"}
    assert settings.json()["lockedSettings"] == []
    assert settings.json()["creditPool"] == "agency"
    assert settings.json()["settingSources"]["creditPool"] == {"source": "default"}


async def test_the_audit_log_tells_who_did_what_from_the_newest_on(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    key = {**await a_key(database, home), "x-request-id": "my-request"}
    workspace = await made(client, key)
    await client.patch(f"/v1/workspaces/{workspace['id']}", headers=key, json={"name": "New"})

    found = await client.get(f"/v1/audit-log?resourceId={workspace['id']}&limit=1", headers=key)
    following = await client.get(
        f"/v1/audit-log?resourceId={workspace['id']}&cursor={found.json()['nextCursor']}", headers=key
    )

    [entry] = found.json()["data"]
    assert (entry["event"], entry["before"], entry["after"]) == (
        "workspaces.updated",
        {"name": "Acme PM"},
        {"name": "New"},
    )
    assert (entry["actor"]["kind"], entry["requestId"], entry["workspaceId"]) == (
        "agency_key",
        "my-request",
        workspace["id"],
    )
    assert [one["event"] for one in following.json()["data"]] == ["workspaces.created"]
    assert following.json()["nextCursor"] is None
    assert (await client.get("/v1/audit-log?from=2999-01-01T00:00:00Z", headers=key)).json()["data"] == []


async def test_a_repeated_create_with_its_key_is_one_workspace(database: Database, client: httpx2.AsyncClient) -> None:
    key = {**await a_key(database, await an_agency(database)), "idempotency-key": "once"}

    first = await client.post("/v1/workspaces", headers=key, json={"name": "Acme"})
    again = await client.post("/v1/workspaces", headers=key, json={"name": "Acme"})

    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (201, first.content)


async def test_the_document_tells_the_fields_of_bodies_and_answers(database: Database) -> None:
    async def nobody(_caller: Any, _named: str) -> None:
        return None

    app = assemble(House(database, nobody), ROUTERS)

    schemas = make_document(app, title="T", version="1", description="D")["components"]["schemas"]

    assert schemas["CreateWorkspace"]["required"] == ["name"]
    assert schemas["CreateWorkspace"]["additionalProperties"] is False
    assert "required" not in schemas["ChangeWorkspace"]
    assert {"type": "null"} in schemas["ChangeWorkspace"]["properties"]["settings"]["anyOf"]
    assert {"id", "settings", "agencyAccountId"} <= schemas["WorkspaceShown"]["properties"].keys()
    assert {"defaultApprovalPolicy", "ipAllowlist"} <= schemas["ChangeAgencySettings"]["properties"].keys()


async def test_a_finder_knows_what_lies_within_reach_alone(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    mine, theirs = await a_workspace(database, home, externalId="crm-1"), await a_workspace(database, home)
    finder = workspaces.WorkspaceFinder(database, kept=1)
    caller = workspace_caller(home, mine)

    for _ in range(2):
        assert await finder.find(home.caller, mine.id) == mine.id
        assert await finder.find(home.caller, theirs.id) == theirs.id
        assert await finder.find(home.caller, "ext:crm-1") == mine.id
        assert await finder.find(caller, mine.id) == mine.id
        assert await finder.find(caller, theirs.id) is None
        for named in (mine.id, "ext:crm-1"):
            assert await finder.find(other.caller, named) is None
        for named in ("", "ws_1", "ext:", "ext:\0", "nonsense", new_id("ws")):
            assert await finder.find(home.caller, named) is None
