"""Members over HTTP: lists, invitations, changes, leaving, workspaces and their owners."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys, workspaces
from colonnade.tenancy.people import Estate
from colonnade.tenancy.people import routes as people_routes
from colonnade.tenancy.workspaces import member_routes
from tests.factories import Home, a_signed_in, a_workspace, an_agency
from tests.serving import a_key, served
from tests.tenancy.membership import a_member, an_email, an_invitation

ESTATE = Estate(workspaces.hand_over, keys.standing_made_by, keys.revoke_made_by, keys.narrow_made_by)


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The real layers around the routes of members."""
    routers = [people_routes.routes, member_routes.routes]
    async with served(database, routers, {people_routes.ESTATE: ESTATE}) as client:
        yield client


async def key_of(database: Database, home: Home, member_id: str) -> None:
    """A key that the member made."""
    async with database.transaction(home.reach) as tx:
        await keys.mint(tx, replace(home.caller, actor_id=member_id), keys.Draft("Made by a member", preset="master"))


async def test_somebody_is_invited_listed_sent_to_again_and_withdrawn(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    owner = await a_signed_in(database, home)
    email = an_email()

    made = await client.post("/v1/members", headers=owner, json={"email": email.upper(), "role": "manager"})
    body = made.json()
    path = f"/v1/members/{body['id']}"
    listed = await client.get("/v1/members", headers=owner, params={"status": "invited"})
    again = await client.post("/v1/members", headers=owner, json={"email": email, "role": "viewer"})
    resent = await client.post(f"{path}/resend", headers=owner)
    gone = await client.delete(path, headers=owner)

    assert (made.status_code, made.headers["location"]) == (201, path)
    assert (body["status"], body["email"], body["role"], body["workspaces"]) == ("invited", email, "manager", "all")
    assert (body["mail"], body["twoFactor"], body["lastSeenAt"]) == (None, False, None)
    assert [one["id"] for one in listed.json()["data"]] == [body["id"]]
    assert (again.status_code, again.json()["reason"]) == (409, "members.invited")
    assert again.json()["details"] == {"invitationId": body["id"]}
    assert resent.status_code == 200
    assert resent.json()["expiresAt"] > body["expiresAt"]
    assert gone.status_code == 204
    for method, where in (("GET", path), ("DELETE", path), ("POST", f"{path}/resend")):
        assert (await client.request(method, where, headers=owner)).status_code == 404


async def test_bad_invitations_are_told_field_by_field(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["/email", "/role"]),
        ({"email": "nobody", "role": "viewer"}, ["/email"]),
        ({"email": "a@b.example\r\nBcc: c@d.example", "role": "viewer"}, ["/email"]),
        ({"email": "a@b.example,c@d.example", "role": "viewer"}, ["/email"]),
        ({"email": "<a@b.example>", "role": "viewer"}, ["/email"]),
        ({"email": "a@b.example", "role": "king"}, ["/role"]),
        ({"email": "a@b.example", "role": "viewer", "personId": "person_1"}, ["/personId"]),
        ({"email": "a@b.example", "role": "admin", "workspaces": []}, ["/workspaces"]),
        (
            {"email": "a@b.example", "role": "viewer", "workspaces": [{"workspaceId": new_id("ws"), "role": "viewer"}]},
            ["/workspaces/0/workspaceId"],
        ),
        (
            {"email": "a@b.example", "role": "viewer", "workspaces": [{"workspaceId": "x", "role": "viewer"}] * 1001},
            ["/workspaces"],
        ),
    ]

    for body, pointers in cases:
        answer = await client.post("/v1/members", headers=key, json=body)
        assert answer.status_code == 400, body
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers, body


async def test_a_member_is_read_changed_and_removed(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    owner = await a_signed_in(database, home)
    workspace = await a_workspace(database, home)
    member = await a_member(database, home, "admin")
    await key_of(database, home, member.id)
    path = f"/v1/members/{member.id}"

    read = await client.get(path, headers=owner, params={"include": "workspaces"})
    wish = {"role": "manager", "workspaces": [{"workspaceId": workspace.id, "role": "viewer"}]}
    stale = await client.patch(path, headers={**owner, "if-match": '"v7"'}, json=wish)
    changed = await client.patch(path, headers={**owner, "if-match": read.headers["etag"]}, json=wish)
    nothing = await client.patch(path, headers=owner, json={"role": None})
    removed = await client.delete(path, headers=owner)

    assert (read.json()["keysMade"], read.json()["assigned"], read.json()["assignedTotal"]) == (1, [], 0)
    assert stale.status_code == 412
    assert changed.status_code == 200, changed.text
    assert (changed.json()["role"], changed.json()["workspaces"]) == ("manager", "assigned")
    assert changed.json()["assigned"] == [{"workspaceId": workspace.id, "role": "viewer"}]
    assert changed.headers["etag"] == '"v2"'
    assert (nothing.status_code, nothing.json()["errors"][0]["pointer"]) == (400, "/role")
    assert (removed.status_code, removed.headers["colonnade-standing-keys"]) == (204, "1")
    assert (await client.get(path, headers=owner)).status_code == 404


async def test_keys_of_a_member_stand_lose_or_end_as_is_said(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    owner = await a_signed_in(database, home)
    first, second = await a_member(database, home, "admin"), await a_member(database, home, "admin")
    for member in (first, second):
        await key_of(database, home, member.id)

    narrowed = await client.patch(
        f"/v1/members/{first.id}", headers=owner, params={"keys": "narrow"}, json={"role": "viewer"}
    )
    ended = await client.delete(f"/v1/members/{second.id}", headers=owner, params={"keys": "revoke"})

    assert narrowed.json()["keysMade"] == 1
    assert ended.headers["colonnade-standing-keys"] == "0"
    async with database.transaction(home.reach) as tx:
        found, _ = await keys.page(tx, home.caller)
    held = {one.created_by: one for one in found}
    assert "agency:write" not in held[first.id].held
    assert held[second.id].revoked_at is not None


async def test_everybody_leaves_by_themselves_whatever_their_role(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    viewer = await a_signed_in(database, home, "viewer")

    assert (await client.delete("/v1/members/me", headers=viewer)).status_code == 204
    owner = await a_signed_in(database, home)
    last = await client.delete("/v1/members/me", headers=owner)
    by_key = await client.delete("/v1/members/me", headers=await a_key(database, home))

    assert (last.status_code, last.json()["reason"]) == (422, "members.last_owner")
    assert (by_key.status_code, by_key.json()["reason"]) == (403, "keys.wrong_kind")


async def test_a_key_does_not_hand_the_agency_over(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    heir = await a_member(database, home, "manager")
    body = {"toMemberId": heir.id}

    by_key = await client.post("/v1/agency/transfer", headers=await a_key(database, home), json=body)
    by_admin = await client.post("/v1/agency/transfer", headers=await a_signed_in(database, home, "admin"), json=body)
    owner = await a_signed_in(database, home)
    unknown = await client.post("/v1/agency/transfer", headers=owner, json={"toMemberId": new_id("mem")})
    done = await client.post("/v1/agency/transfer", headers=owner, json={**body, "leave": True})

    assert [by_key.status_code, by_admin.status_code] == [403, 403]
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (400, "/toMemberId")
    assert (done.status_code, done.json()["role"]) == (200, "owner")
    read = await client.get(f"/v1/members/{home.owner_id}", headers=await a_key(database, home))
    assert read.status_code == 404


async def test_who_works_in_a_workspace_is_told_with_the_reason(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    owner = await a_signed_in(database, home)
    workspace = await a_workspace(database, home, externalId="crm-1")
    path = f"/v1/workspaces/{workspace.id}/members"
    viewer, manager, hidden = [await a_member(database, home, role) for role in ("viewer", "manager", "manager")]
    await client.patch(f"/v1/members/{hidden.id}", headers=owner, json={"workspaces": []})

    for member in (viewer, manager):
        put = await client.put(f"{path}/{member.id}", headers=owner, json={"role": "manager"})
        assert put.status_code == 200, put.text
    listed = await client.get("/v1/workspaces/ext:crm-1/members", headers=owner)
    found = {one["memberId"]: (one["role"], one["source"]) for one in listed.json()["data"]}
    assert found == {
        home.owner_id: ("owner", "agency"),
        viewer.id: ("manager", "workspace"),
        manager.id: ("manager", "agency"),
    }
    assert listed.json()["total"] == 3

    gone = await client.delete(f"{path}/{viewer.id}", headers=owner)
    twice = await client.delete(f"{path}/{viewer.id}", headers=owner)
    assert (gone.status_code, twice.status_code) == (204, 404)
    managers = await client.get(path, headers=owner, params={"role": "viewer"})
    assert [one["memberId"] for one in managers.json()["data"]] == [viewer.id]


async def test_a_member_of_some_workspaces_sees_who_works_there_and_nobody_else(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Other")
    manager = await a_signed_in(database, home, "manager", workspaces={mine.id: "manager"})

    seen = await client.get(f"/v1/workspaces/{mine.id}/members", headers=manager)
    unseen = await client.get(f"/v1/workspaces/{other.id}/members", headers=manager)
    written = await client.put(
        f"/v1/workspaces/{mine.id}/members/{home.owner_id}", headers=manager, json={"role": "viewer"}
    )

    assert {one["role"] for one in seen.json()["data"]} == {"owner", "manager"}
    assert unseen.status_code == 404
    assert written.status_code == 403


async def test_a_workspace_goes_to_a_member_who_works_there(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    owner = await a_signed_in(database, home)
    workspace = await a_workspace(database, home)
    heir, outside = await a_member(database, home, "viewer"), await a_member(database, home, "viewer")
    await client.patch(f"/v1/members/{outside.id}", headers=owner, json={"workspaces": []})
    foreign = await a_member(database, await an_agency(database))
    invited = await an_invitation(database, home)
    path = f"/v1/workspaces/{workspace.id}/transfer"

    for nobody in (outside.id, foreign.id, invited.id, "mem_", new_id("mem")):
        answer = await client.post(path, headers=owner, json={"toMemberId": nobody})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/toMemberId"), nobody
    given = await client.post(path, headers=owner, json={"toMemberId": heir.id})

    assert given.status_code == 200, given.text
    assert given.json() == {"workspaceId": workspace.id, "ownerId": heir.id}


@pytest.mark.parametrize("role", ["viewer", "manager"])
async def test_who_may_only_read_members_changes_none(
    database: Database, client: httpx2.AsyncClient, role: str
) -> None:
    home = await an_agency(database)
    headers = await a_signed_in(database, home, role)
    member = await a_member(database, home)

    assert (await client.get("/v1/members", headers=headers)).json()["total"] == 3
    for method, path, body in (
        ("POST", "/v1/members", {"email": "a@b.example", "role": "viewer"}),
        ("PATCH", f"/v1/members/{member.id}", {"role": "viewer"}),
        ("DELETE", f"/v1/members/{member.id}", {}),
    ):
        answer = await client.request(method, path, headers=headers, json=body)
        assert (answer.status_code, answer.json()["reason"]) == (403, "keys.scope_missing"), path


async def test_lists_go_on_where_they_ended_and_filter(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    key = await a_key(database, home)
    for _ in range(4):
        await a_member(database, home, "viewer")

    first = (await client.get("/v1/members", headers=key, params={"limit": 3})).json()
    second = (await client.get("/v1/members", headers=key, params={"limit": 3, "cursor": first["nextCursor"]})).json()
    ids = [one["id"] for page in (first, second) for one in page["data"]]
    assert (len(ids), len(set(ids)), second["nextCursor"]) == (5, 5, None)
    owners = (await client.get("/v1/members", headers=key, params={"role": "owner"})).json()
    assert [one["id"] for one in owners["data"]] == [home.owner_id]
    for bad in ({"limit": "0"}, {"limit": "101"}, {"role": "king"}, {"cursor": "x"}, {"include": "secrets"}):
        assert (await client.get("/v1/members", headers=key, params=bad)).status_code == 400
