"""Templates and purges over HTTP: shapes, statuses, pointers, versions of things, repeats."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade import integrations
from colonnade.ground.db.database import Database
from colonnade.outbound import templates
from colonnade.outbound.templates import routes as templates_routes
from colonnade.outbound.templates.jobs import deploy_due
from colonnade.runs import bulk
from colonnade.runs.bulk import routes as bulk_routes
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import routes as workspace_routes
from tests.factories import Home, a_workspace, an_agency
from tests.serving import a_key, served

ROUTERS = [bulk_routes.routes, workspace_routes.routes, templates_routes.routes]
BODY: dict[str, Any] = {"name": "Standard", "contents": {"brand": {"voice": "Calm."}, "tags": ["tier:one"]}}


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    bulk.offer(templates.NAME, templates.ACTION)
    state = {
        workspace_routes.ADOPT: templates.adopt,
        workspace_routes.STORED_KEYS: integrations.stored_keys,
        workspace_routes.READER: workspaces.WorkspaceReader(database),
        workspace_routes.INCLUDES: {"templatesApplied": templates.applied_block, "health": integrations.health_block},
    }
    async with served(database, ROUTERS, state) as client:
        yield client


@pytest_asyncio.fixture
async def home(database: Database) -> Home:
    return await an_agency(database)


@pytest_asyncio.fixture
async def key(database: Database, home: Home) -> dict[str, str]:
    return await a_key(database, home)


async def created(client: httpx2.AsyncClient, key: dict[str, str], **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/templates", headers=key, json={**BODY, **fields})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_template_is_made_read_changed_and_deleted(client: httpx2.AsyncClient, key: dict[str, str]) -> None:
    answer = await client.post("/v1/templates", headers=key, json=BODY)
    made = answer.json()
    path = f"/v1/templates/{made['id']}"
    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (201, path, '"v1"')
    assert made["contents"] == BODY["contents"]

    patch = {"contents": {"brand": {"voice": "Loud."}, "tags": None}}
    stale = await client.patch(path, headers={**key, "if-match": '"v7"'}, json=patch)
    changed = await client.patch(path, headers={**key, "if-match": '"v1"'}, json=patch)
    assert (stale.status_code, changed.status_code, changed.headers["etag"]) == (412, 200, '"v2"')
    assert changed.json()["contents"] == {"brand": {"voice": "Loud."}}

    versions = (await client.get(f"{path}/versions", headers=key, params={"limit": 1})).json()
    rest = (await client.get(f"{path}/versions", headers=key, params={"cursor": versions["nextCursor"]})).json()
    assert ([v["version"] for v in versions["data"]], [v["version"] for v in rest["data"]]) == ([2], [1])
    first = await client.get(f"{path}/versions/1", headers=key)
    assert first.json()["contents"] == BODY["contents"]
    assert (await client.get(f"{path}/versions/9", headers=key)).status_code == 404
    assert (await client.get(f"{path}/versions/0", headers=key)).status_code == 404
    assert [t["id"] for t in (await client.get("/v1/templates", headers=key)).json()["data"]] == [made["id"]]

    assert (await client.delete(path, headers=key)).status_code == 204
    assert (await client.get(path, headers=key)).status_code == 404


async def test_every_bad_field_is_named(client: httpx2.AsyncClient, key: dict[str, str]) -> None:
    body = {"contents": {"settings": {"nope": 1}, "brand": {"voice": 7}, "posts": [{"title": "T"}]}, "x": 1}
    answer = await client.post("/v1/templates", headers=key, json=body)
    assert answer.status_code == 400
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        *("/name", "/x", "/contents/settings/nope", "/contents/brand/voice", "/contents/posts/0/body"),
    }


async def test_a_deployment_tells_each_field_and_can_be_rehearsed(
    client: httpx2.AsyncClient, key: dict[str, str], database: Database, home: Home
) -> None:
    made = await created(client, key)
    workspace = await a_workspace(database, home, brand={"voice": "Mine."})
    path = f"/v1/templates/{made['id']}/deploy"

    body = {"workspaceId": workspace.id, "mode": "follow"}
    plan = await client.post(path, headers=key, json={**body, "dryRun": True})
    done = await client.post(path, headers={**key, "idempotency-key": "one"}, json=body)
    again = await client.post(path, headers={**key, "idempotency-key": "one"}, json=body)

    assert (plan.status_code, done.status_code, again.headers["idempotent-replayed"]) == (200, 200, "true")
    assert plan.json()["fields"] == done.json()["fields"]
    assert (plan.json()["dryRun"], done.json()["dryRun"]) == (True, False)
    voice = {"path": "brand.voice", "outcome": "kept", "because": "conflict", "template": "Calm.", "workspace": "Mine."}
    assert voice in done.json()["fields"]
    assert done.json()["counts"] == {"applied": 1, "kept": 1, "same": 0}
    told = (await client.get(f"/v1/workspaces/{workspace.id}", headers=key)).json()["templatesApplied"]
    assert [(one["templateId"], one["version"], one["state"], one["mode"]) for one in told] == [
        (made["id"], 1, "applied", "follow")
    ]
    listed = (await client.get("/v1/workspaces", headers=key, params={"include": "templatesApplied,health"})).json()
    assert listed["data"][0]["templatesApplied"] == told
    drift = (await client.get(f"/v1/templates/{made['id']}/drift", headers=key)).json()
    inside = (await client.get(f"/v1/workspaces/{workspace.id}/drift", headers=key)).json()
    assert drift["data"] == inside["data"]
    assert drift["data"][0]["changes"] == [{"path": "brand.voice", "template": "Calm.", "workspace": "Mine."}]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/workspaceId"),
        ({"workspaceId": "ws_01arz3ndektsv4rrffq69g5fav"}, "/workspaceId"),
        ({"workspaceId": "x" * 65}, "/workspaceId"),
        ({"workspaceId": None, "version": 0}, "/version"),
        ({"workspaceId": None, "version": 2**40}, "/version"),
        ({"workspaceId": None, "version": 3}, "/version"),
        ({"workspaceId": None, "onConflict": "maybe"}, "/onConflict"),
        ({"workspaceId": None, "mode": "auto"}, "/mode"),
        ({"workspaceId": None, "dryRun": "yes"}, "/dryRun"),
    ],
)
async def test_a_bad_order_is_refused_with_its_pointer(
    client: httpx2.AsyncClient, key: dict[str, str], database: Database, home: Home, body: dict[str, Any], pointer: str
) -> None:
    made = await created(client, key)
    workspace = await a_workspace(database, home)
    if body.get("workspaceId", "") is None:
        body = {**body, "workspaceId": workspace.id}
    answer = await client.post(f"/v1/templates/{made['id']}/deploy", headers=key, json=body)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_workspace_is_made_with_templates_and_says_how_they_stand(
    client: httpx2.AsyncClient, key: dict[str, str], worker_database: Database
) -> None:
    made = await created(client, key)
    answer = await client.post("/v1/workspaces", headers=key, json={"name": "New", "templates": [made["id"]]})
    bad = await client.post("/v1/workspaces", headers=key, json={"name": "New", "templates": ["tmpl_x", made["id"]]})

    assert answer.status_code == 201
    told = answer.json()["templatesApplied"]
    assert [(one["templateId"], one["version"], one["state"]) for one in told] == [(made["id"], 1, "pending")]
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (400, "/templates/0")

    while await deploy_due(worker_database):
        continue
    after = (await client.get(f"/v1/workspaces/{answer.json()['id']}", headers=key)).json()
    assert after["templatesApplied"][0]["state"] == "applied"
    assert after["brand"]["voice"] == "Calm."


async def test_providers_named_at_the_making_are_switched_to_own_keys(
    client: httpx2.AsyncClient, key: dict[str, str]
) -> None:
    lacking = await client.post("/v1/workspaces", headers=key, json={"name": "A", "integrations": ["openai"]})
    none = await client.post("/v1/workspaces", headers=key, json={"name": "A", "integrations": []})
    bad = await client.post("/v1/workspaces", headers=key, json={"name": "A", "integrations": ["No!"]})

    assert (lacking.status_code, lacking.json()["reason"]) == (422, "settings.byok_without_key")
    assert none.status_code == 201
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (400, "/integrations/0")


async def test_a_bulk_deployment_is_accepted_with_its_items(
    client: httpx2.AsyncClient, key: dict[str, str], database: Database, home: Home
) -> None:
    made = await created(client, key)
    workspace = await a_workspace(database, home)
    body = {"action": "template.deploy", "workspaces": "all", "config": {"templateId": made["id"]}}

    plan = await client.post("/v1/workspaces/bulk-action", headers=key, json={**body, "dryRun": True})
    answer = await client.post("/v1/workspaces/bulk-action", headers=key, json=body)

    assert plan.status_code == 200
    assert plan.json()["data"][0]["result"]["applied"] == ["brand.voice", "tags.tier:one"]
    assert (answer.status_code, answer.json()["status"]) == (202, "SUCCEEDED")
    items = (await client.get(answer.json()["links"]["items"], headers=key)).json()["data"]
    assert [(item["workspaceId"], item["result"]["version"]) for item in items] == [(workspace.id, 1)]


async def test_a_workspace_key_reads_templates_and_writes_none(
    client: httpx2.AsyncClient, key: dict[str, str], database: Database, home: Home
) -> None:
    made = await created(client, key)
    workspace = await a_workspace(database, home)
    inside = await a_key(database, home, workspace.id)
    path = f"/v1/templates/{made['id']}"
    assert (await client.get(path, headers=inside)).status_code == 200
    assert (await client.get(f"/v1/workspaces/{workspace.id}/drift", headers=inside)).status_code == 200
    for method, where in (("POST", "/v1/templates"), ("PATCH", path), ("DELETE", path), ("GET", f"{path}/drift")):
        answer = await client.request(method, where, headers=inside)
        assert (answer.status_code, answer.json()["reason"]) == (403, "keys.wrong_kind")


async def test_a_purge_is_accepted_once_archived_and_named(
    client: httpx2.AsyncClient, key: dict[str, str], database: Database, home: Home
) -> None:
    workspace = await a_workspace(database, home, name="Acme", externalId="x-1")
    inside = await a_key(database, home, workspace.id)
    path = f"/v1/workspaces/{workspace.id}"
    active = await client.post(f"{path}/purge", headers=key, json={"confirm": "Acme"})
    assert (active.status_code, active.json()["reason"]) == (422, "workspace.not_archived")
    assert (await client.delete(path, headers=key)).status_code == 204
    assert (await client.get(path, headers=inside)).status_code == 200
    early = await client.post(f"{path}/purge", headers=key)
    assert (early.status_code, early.json()["reason"]) == (422, "workspace.purge_too_early")
    wrong = await client.post(f"{path}/purge", headers=key, json={"confirm": "acme"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (400, "/confirm")

    accepted = await client.post("/v1/workspaces/ext:x-1/purge", headers=key, json={"confirm": "Acme"})

    assert accepted.status_code == 202
    assert accepted.json()["purgingAt"] is not None
    assert (await client.get(path, headers=inside)).json()["reason"] == "keys.revoked"
    restored = await client.post(f"{path}/restore", headers=key)
    assert (restored.status_code, restored.json()["reason"]) == (422, "workspace.purging")


async def test_only_who_may_purge_purges(client: httpx2.AsyncClient, database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, preset="management")
    answer = await client.post(f"/v1/workspaces/{workspace.id}/purge", headers=key, json={"confirm": "Acme"})
    assert (answer.status_code, answer.json()["details"]["scope"]) == (403, "workspaces:purge")
