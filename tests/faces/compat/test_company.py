"""The company surface: the same walls as everywhere, told in another product's words."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.app import ERROR_SHAPES
from colonnade.brand.content import routes as content_routes
from colonnade.faces.compat.company import routes as company_routes
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database
from colonnade.ground.web.envelope import EnvelopeOptions
from colonnade.tenancy import audit, keys, people, workspaces
from colonnade.tenancy.keys import RateLimit
from tests.factories import Home, a_signed_in, a_workspace, an_agency
from tests.serving import a_key, served
from tests.tenancy.membership import a_member, the_owner

NEW = {"name": "Acme Bikes", "slug": "acme", "timezone": "Europe/Berlin"}
PATH = "/company/workspaces"


@pytest_asyncio.fixture(scope="module")
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    options = EnvelopeOptions(error_shapes=ERROR_SHAPES)
    async with served(database, [company_routes.routes, content_routes.routes], options=options) as client:
        yield client


@pytest_asyncio.fixture
async def home(database: Database) -> Home:
    return await an_agency(database)


@pytest_asyncio.fixture
async def company(database: Database, home: Home) -> dict[str, str]:
    """The headers of a company key: it provisions, and does not act inside."""
    return await a_key(database, home, preset="company")


def told(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The refusal, which has the flat shape and nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) <= {"code", "message", "data"}
    assert body["code"] == code
    return body


async def test_a_workspace_is_made_read_and_listed_with_exactly_five_fields(
    client: httpx2.AsyncClient, company: dict[str, str]
) -> None:
    made = await client.post(PATH, json=NEW, headers=company)

    assert made.status_code == 200
    body = made.json()
    assert set(body) == {"id", "name", "slug", "timezone", "createdAt"}
    assert {name: body[name] for name in NEW} == NEW
    assert (await client.get(f"{PATH}/{body['id']}", headers=company)).json() == body
    assert (await client.get(PATH, headers=company)).json() == {"workspaces": [body]}


async def test_what_is_made_here_is_a_workspace_like_any_other_and_is_recorded(
    client: httpx2.AsyncClient, database: Database, home: Home, company: dict[str, str]
) -> None:
    made = (await client.post(PATH, json=NEW, headers=company)).json()

    async with database.transaction(home.reach) as tx:
        assert (await workspaces.get(tx, home.caller, made["id"])).owner_id == home.owner_id
        entries, _ = await audit.page(tx, home.caller, audit.Filters(resource_id=made["id"]), limit=10)
    assert [(entry.event, entry.actor_kind) for entry in entries] == [("workspaces.created", "agency_key")]


async def test_a_company_key_makes_keys_that_do_what_it_does_not(
    client: httpx2.AsyncClient, company: dict[str, str]
) -> None:
    workspace = (await client.post(PATH, json=NEW, headers=company)).json()
    place = f"{PATH}/{workspace['id']}/api-keys"

    made = (await client.post(place, json={"name": "Website"}, headers=company)).json()

    inside = {"authorization": f"Bearer {made['key']}"}
    assert (await client.get("/v1/posts", headers=inside)).status_code == 200
    in_place = {**company, "x-workspace-id": workspace["id"]}
    assert (await client.get("/v1/posts", headers=in_place)).json()["reason"] == "keys.wrong_kind"
    listed = (await client.get(place, headers=company)).json()["apiKeys"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert made["key"].endswith(made["hint"])

    assert (await client.delete(f"{place}/{made['id']}", headers=company)).json() == {"success": True}
    assert (await client.get(place, headers=company)).json() == {"apiKeys": []}
    assert (await client.get("/v1/posts", headers=inside)).status_code == 403


async def test_a_repeated_making_of_a_key_does_not_tell_it_again(
    client: httpx2.AsyncClient, company: dict[str, str]
) -> None:
    workspace = (await client.post(PATH, json=NEW, headers=company)).json()
    place, headers = f"{PATH}/{workspace['id']}/api-keys", {**company, "idempotency-key": "once"}

    first = await client.post(place, json={"name": "Website"}, headers=headers)
    again = await client.post(place, json={"name": "Website"}, headers=headers)

    assert again.headers["idempotent-replayed"] == "true"
    assert {**again.json(), "key": first.json()["key"]} == first.json()
    assert "key" not in again.json()


async def test_more_keys_than_fit_a_page_are_all_listed(
    client: httpx2.AsyncClient, database: Database, home: Home, company: dict[str, str]
) -> None:
    workspace = await a_workspace(database, home)
    async with database.transaction(home.reach) as tx:
        for number in range(101):
            await keys.mint(tx, home.caller, keys.Draft(f"key {number}"), workspace_id=workspace.id)

    listed = (await client.get(f"{PATH}/{workspace.id}/api-keys", headers=company)).json()["apiKeys"]

    assert [one["name"] for one in listed] == [f"key {number}" for number in reversed(range(101))]


async def test_a_removed_workspace_is_gone_here_and_archived_there(
    client: httpx2.AsyncClient, database: Database, home: Home, company: dict[str, str]
) -> None:
    made = (await client.post(PATH, json=NEW, headers=company)).json()
    place = f"{PATH}/{made['id']}"

    assert (await client.delete(place, headers=company)).json() == {"success": True}

    for method, path in [("GET", place), ("DELETE", place), ("GET", f"{place}/api-keys")]:
        told(await client.request(method, path, headers=company), 404, "NOT_FOUND")
    told(await client.post(f"{place}/api-keys", json={"name": "x"}, headers=company), 404, "NOT_FOUND")
    assert (await client.get(PATH, headers=company)).json() == {"workspaces": []}
    async with database.transaction(home.reach) as tx:
        assert not (await workspaces.get(tx, home.caller, made["id"])).is_active


async def test_every_bad_field_is_named_with_what_is_wrong(client: httpx2.AsyncClient, company: dict[str, str]) -> None:
    bad = {"name": "", "slug": "x" * 49, "timezone": 7, "colour": "red"}
    body = told(await client.post(PATH, json=bad, headers=company), 400, "BAD_REQUEST")
    assert set(body["data"]["errors"]) == {"name", "slug", "timezone", "colour"}
    assert all(isinstance(one, str) for messages in body["data"]["errors"].values() for one in messages)

    missing = told(await client.post(PATH, json={}, headers=company), 400, "BAD_REQUEST")
    assert missing["data"] == {"errors": {name: ["is required"] for name in NEW}}

    odd = {"name": "\x07", "slug": "Not A Slug", "timezone": "Mars/Olympus", "userIds": [7]}
    rules = told(await client.post(PATH, json=odd, headers=company), 400, "BAD_REQUEST")
    assert set(rules["data"]["errors"]) == set(odd)


@pytest.mark.parametrize(("name", "slug"), [("n" * 255, "s" * 48), ("ٱلْعَرَبِيَّة", "-")])
async def test_names_and_slugs_at_their_bounds_are_taken(
    client: httpx2.AsyncClient, company: dict[str, str], name: str, slug: str
) -> None:
    made = await client.post(PATH, json={"name": name, "slug": slug, "timezone": "UTC"}, headers=company)
    assert (made.status_code, made.json()["name"], made.json()["slug"]) == (200, name, slug)


async def test_a_slug_that_is_taken_is_a_conflict(client: httpx2.AsyncClient, company: dict[str, str]) -> None:
    await client.post(PATH, json=NEW, headers=company)
    body = told(await client.post(PATH, json={**NEW, "name": "Other"}, headers=company), 409, "CONFLICT")
    assert "slug" in body["message"]


async def test_users_must_be_members_of_this_company(
    client: httpx2.AsyncClient, database: Database, home: Home, company: dict[str, str]
) -> None:
    stranger = await an_agency(database)
    wanted = {**NEW, "userIds": [home.owner_id, stranger.owner_id, new_id("mem"), "nobody"]}

    body = told(await client.post(PATH, json=wanted, headers=company), 400, "BAD_REQUEST")

    is_none = "is not a member of this company"
    assert body["data"]["errors"] == {"userIds": [f"1: {is_none}", f"2: {is_none}", f"3: {is_none}"]}
    assert (await client.get(PATH, headers=company)).json() == {"workspaces": []}
    assert (await client.post(PATH, json={**NEW, "userIds": [home.owner_id]}, headers=company)).status_code == 200


async def test_users_who_work_in_assigned_workspaces_alone_become_managers_of_the_new_one(
    client: httpx2.AsyncClient, database: Database, home: Home, company: dict[str, str]
) -> None:
    everywhere, assigned, beside = [await a_member(database, home, "viewer") for _ in range(3)]
    async with database.transaction(home.reach) as tx:
        for member in (assigned, beside):
            await people.change(tx, the_owner(home), member.id, people.Change(workspaces=[]), people.without_estate())

    wanted = {**NEW, "userIds": [everywhere.id, assigned.id, assigned.id]}
    made = await client.post(PATH, json=wanted, headers=company)

    assert made.status_code == 200, made.text
    async with database.transaction(home.reach) as tx:
        found = [await people.find_colleague(tx, made.json()["id"], one.id) for one in (everywhere, assigned, beside)]
    assert [one and one.role for one in found] == ["viewer", "manager", None]


async def test_who_has_no_good_key_is_told_so_in_the_flat_shape(
    client: httpx2.AsyncClient, database: Database, home: Home
) -> None:
    workspace = await a_workspace(database, home)
    inside = await a_key(database, home, workspace.id)
    async with database.transaction(home.reach) as tx:
        minted = await keys.mint(tx, home.caller, keys.Draft("ended", preset="company"))
        await keys.revoke(tx, home.caller, minted.key.id)
    ended = {"authorization": f"Bearer {minted.secret.reveal()}"}

    missing = await client.get(PATH)
    assert "API key" in told(missing, 401, "UNAUTHORIZED")["message"]
    assert missing.headers["www-authenticate"] == "Bearer"
    told(await client.get(PATH, headers={"authorization": "Bearer ord_c_of_elsewhere"}), 401, "UNAUTHORIZED")
    told(await client.get(PATH, headers=inside), 403, "FORBIDDEN")
    assert "revoked at" in told(await client.get(PATH, headers=ended), 403, "FORBIDDEN")["message"]


async def test_a_used_up_limit_says_limit_window_and_seconds(
    client: httpx2.AsyncClient, database: Database, home: Home
) -> None:
    headers = await a_key(database, home, preset="company", rate_limit=RateLimit(2, 45))
    for _ in range(2):
        assert (await client.get(PATH, headers=headers)).status_code == 200

    refused = await client.get(PATH, headers=headers)

    seconds = refused.headers["retry-after"]
    assert told(refused, 429, "TOO_MANY_REQUESTS")["message"] == (
        f"Rate limit of 2 requests per 45 seconds exceeded. Quota resets in {seconds} seconds."
    )


async def test_what_no_route_takes_and_what_cannot_be_read_is_refused_in_the_flat_shape(
    client: httpx2.AsyncClient, company: dict[str, str]
) -> None:
    told(await client.get("/company/nothing", headers=company), 404, "NOT_FOUND")
    told(await client.put(PATH, headers=company), 405, "METHOD_NOT_ALLOWED")
    told(await client.post(PATH, content=b"{", headers=company), 400, "BAD_REQUEST")
    told(await client.post(PATH, content=b"x" * 2_000_000, headers=company), 413, "PAYLOAD_TOO_LARGE")
    told(await client.get(f"{PATH}/{new_id('ws')}", headers=company), 404, "NOT_FOUND")


async def test_a_key_of_some_workspaces_sees_those_and_makes_none(
    client: httpx2.AsyncClient, database: Database, home: Home
) -> None:
    first, second = [await a_workspace(database, home, name=name) for name in ("First", "Second")]
    headers = await a_key(database, home, preset="company", workspaces=[first.id])

    listed = (await client.get(PATH, headers=headers)).json()["workspaces"]

    assert [one["id"] for one in listed] == [first.id]
    told(await client.get(f"{PATH}/{second.id}", headers=headers), 404, "NOT_FOUND")
    told(await client.post(PATH, json=NEW, headers=headers), 403, "FORBIDDEN")


async def test_nobody_hands_on_here_what_they_lack(client: httpx2.AsyncClient, database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    headers = await a_key(database, home, scopes=sorted(AGENCY_SCOPES - {"content:write"}))

    refused = await client.post(f"{PATH}/{workspace.id}/api-keys", json={"name": "x"}, headers=headers)

    assert "`content:write`" in told(refused, 403, "FORBIDDEN")["message"]


async def test_somebody_who_is_signed_in_is_nobody_here(
    client: httpx2.AsyncClient, database: Database, home: Home
) -> None:
    headers = await a_signed_in(database, home)

    told(await client.get(PATH, headers=headers), 401, "UNAUTHORIZED")
