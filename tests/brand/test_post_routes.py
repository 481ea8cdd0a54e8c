"""Posts over HTTP: shapes, statuses, headers and who may do what."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest_asyncio

from colonnade.brand import content
from colonnade.brand.content.routes import routes
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from tests.factories import a_workspace, an_agency
from tests.serving import a_key, served

PLAIN: dict[str, Any] = {"title": "Hello world", "body": "Text.", "outline": ["Why"], "metaDescription": "A greeting"}


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [routes]) as client:
        yield client


async def test_a_post_is_written_read_changed_and_deleted(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, workspace.id)

    written = await http.post("/v1/posts", headers=key, json=PLAIN)
    path = written.headers["location"]
    read = await http.get(path, headers=key)
    changed = await http.patch(path, headers={**key, "if-match": read.headers["etag"]}, json={"metaDescription": None})
    late = await http.patch(path, headers={**key, "if-match": read.headers["etag"]}, json={"title": "Late"})
    deleted = await http.delete(path, headers=key)
    gone = await http.get(path, headers=key)

    assert written.status_code == 201
    assert {name: written.json()[name] for name in PLAIN} == PLAIN
    assert written.json() == read.json()
    assert written.json()["workspaceId"] == workspace.id
    assert written.json()["status"] == "DRAFT"
    assert written.json()["invocationId"] is None
    assert changed.json()["metaDescription"] == ""
    assert changed.json()["revision"] == 2
    assert late.status_code == 412
    assert deleted.status_code == 204
    assert gone.status_code == 404


async def test_a_repeated_write_with_its_key_is_one_post(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    headers = {**await a_key(database, home, workspace.id), "idempotency-key": "once"}

    first = await http.post("/v1/posts", headers=headers, json=PLAIN)
    again = await http.post("/v1/posts", headers=headers, json=PLAIN)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["etag"] == first.headers["etag"]


async def test_an_agency_key_names_the_workspace_or_lists_all(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    key = await a_key(database, home)

    nowhere = await http.post("/v1/posts", headers=key, json=PLAIN)
    for workspace in (one, two):
        written = await http.post("/v1/posts", headers={**key, "x-workspace-id": workspace.id}, json=PLAIN)
        assert written.status_code == 201
    unnamed = await http.get("/v1/posts", headers=key)
    in_one = await http.get("/v1/posts", headers={**key, "x-workspace-id": one.id})
    everywhere = await http.get("/v1/posts?scope=agency&limit=1", headers=key)
    rest = await http.get(
        "/v1/posts", headers=key, params={"scope": "agency", "cursor": everywhere.json()["nextCursor"]}
    )

    assert (nowhere.status_code, nowhere.json()["reason"]) == (400, "workspace.required")
    assert unnamed.status_code == 400
    assert [post["workspaceId"] for post in in_one.json()["data"]] == [one.id]
    assert everywhere.json()["total"] == 2
    assert [post["workspaceId"] for post in everywhere.json()["data"] + rest.json()["data"]] == [two.id, one.id]
    assert rest.json()["nextCursor"] is None


async def test_lists_take_only_what_they_know(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, workspace.id)
    await http.post("/v1/posts", headers=key, json=PLAIN)

    for query in ("limit=0", "limit=101", "sort=body", "cursor=abc", "status=GONE", "unknown=1", "count=all"):
        answer = await http.get(f"/v1/posts?{query}", headers=key)
        assert answer.status_code == 400, query
        assert answer.json()["errors"][0]["pointer"].startswith("?")
    drafts = await http.get("/v1/posts?status=DRAFT&status=APPROVED&q=HELLO&sort=title&count=exact", headers=key)
    published = await http.get("/v1/posts?status=PUBLISHED", headers=key)

    assert drafts.json()["total"] == 1
    assert published.json() == {"data": [], "nextCursor": None, "total": 0}


async def test_bad_fields_are_all_told_with_their_pointers(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, workspace.id)

    bad = await http.post("/v1/posts", headers=key, json={"title": 7, "outline": ["a", 1], "status": "PUBLISHED"})
    blank = await http.post("/v1/posts", headers=key, json={**PLAIN, "title": "  ", "slug": "No Slug"})
    path = (await http.post("/v1/posts", headers=key, json=PLAIN)).headers["location"]
    nulled = await http.patch(path, headers=key, json={"title": None, "body": None})

    assert bad.status_code == 400
    assert {error["pointer"] for error in bad.json()["errors"]} == {"/title", "/body", "/outline/1", "/status"}
    assert {error["pointer"] for error in blank.json()["errors"]} == {"/title", "/slug"}
    assert {error["pointer"] for error in nulled.json()["errors"]} == {"/title", "/body"}


async def test_revisions_are_listed_from_the_newest_on(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, workspace.id)
    path = (await http.post("/v1/posts", headers=key, json=PLAIN)).headers["location"]
    for title in ("Second", "Third"):
        await http.patch(path, headers=key, json={"title": title})

    first = (await http.get(f"{path}/revisions?limit=2", headers=key)).json()
    rest = (await http.get(f"{path}/revisions", headers=key, params={"cursor": first["nextCursor"]})).json()

    shown = [(one["revision"], one["title"], one["reason"]) for one in first["data"] + rest["data"]]
    assert shown == [(3, "Third", "edited"), (2, "Second", "edited"), (1, "Hello world", "written")]
    assert (first["total"], rest["nextCursor"]) == (3, None)


async def test_what_the_state_forbids_is_told(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await a_key(database, home, workspace.id)
    path = (await http.post("/v1/posts", headers=key, json=PLAIN)).headers["location"]
    async with database.transaction(home.reach) as tx:
        await content.submit(tx, home.caller, path.rpartition("/")[2])

    answer = await http.patch(path, headers=key, json={"title": "No"})

    assert (answer.status_code, answer.json()["reason"]) == (422, "posts.in_review")


async def test_other_tenants_ids_are_answered_like_ids_that_never_were(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    written = await http.post("/v1/posts", headers=await a_key(database, home, mine.id), json=PLAIN)
    path, nowhere = written.headers["location"], f"/v1/posts/{new_id('post')}"
    callers = [
        await a_key(database, stranger),
        await a_key(database, home, other.id),
        {**await a_key(database, home), "x-workspace-id": other.id},
    ]

    for headers in callers:
        for method, tail, body in (
            ("GET", "", None),
            ("GET", "/revisions", None),
            ("PATCH", "", {"title": "Mine"}),
            ("DELETE", "", None),
        ):
            answers = [await http.request(method, p + tail, headers=headers, json=body) for p in (path, nowhere)]
            theirs, unknown = [{**answer.json(), "requestId": ""} for answer in answers]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert theirs == unknown


async def test_a_management_key_does_not_act_inside_workspaces(database: Database, http: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    key = await a_key(database, home, scopes=["content:read", "content:write"])

    answer = await http.get("/v1/posts?scope=agency", headers=key)

    assert (answer.status_code, answer.json()["reason"]) == (403, "keys.wrong_kind")
