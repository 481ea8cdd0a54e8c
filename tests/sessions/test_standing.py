"""What a member may do where: the rule itself, for every role, assignment and scope, and over HTTP."""

import asyncio
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from colonnade.brand.content import routes as content_routes
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.scopes import ROLES, SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy.keys import routes as keys_routes
from colonnade.tenancy.sessions import me_routes, standing_of
from colonnade.tenancy.workspaces import routes as workspaces_routes
from tests.factories import a_signed_in, a_workspace, an_agency
from tests.serving import served

AGENCY = new_id("agency")
PLACES = [new_id("ws") for _ in range(4)]

roles = st.sampled_from(sorted(ROLES))
extents = st.sampled_from(["all", "assigned"])
assignments = st.dictionaries(st.sampled_from(PLACES), st.sampled_from(["manager", "viewer"]), max_size=4)
scopes = st.none() | st.sampled_from(sorted(SCOPES))


def member(role: str, extent: str, assigned: dict[str, str]) -> Caller:
    standing = standing_of(AGENCY, role, extent, assigned)
    return Caller(**standing, actor_id=new_id("mem"), actor_name="Ada", request_id="req")


def held_in(role: str, extent: str, assigned: dict[str, str], place: str) -> frozenset[str]:
    """The rule, said once more and plainly."""
    if role in {"owner", "admin"}:
        return ROLES[role]
    there = ROLES[assigned[place]] if place in assigned else frozenset()
    return there | ROLES[role] if extent == "all" else there


@given(roles, extents, assignments, scopes, st.booleans())
def test_a_caller_never_holds_anywhere_what_the_member_does_not(
    role: str, extent: str, assigned: dict[str, str], scope: str | None, in_agency: bool
) -> None:
    caller = member(role, extent, assigned).where_it_holds(scope, in_agency=in_agency)
    if scope is not None and not caller.holds(scope):
        return  # the doorway refuses it
    for place in PLACES:
        if caller.reach.includes(place):
            held = held_in(role, extent, assigned, place)
            assert caller.scopes <= held
            assert scope is None or scope in held
            assert caller.within(place).scopes == held


@given(roles, extents, assignments, st.sampled_from(sorted(SCOPES)))
def test_a_caller_reaches_every_workspace_in_which_the_member_holds_the_scope(
    role: str, extent: str, assigned: dict[str, str], scope: str
) -> None:
    caller = member(role, extent, assigned).where_it_holds(scope, in_agency=False)
    for place in PLACES:
        may = caller.holds(scope) and caller.reach.includes(place)
        assert may == (scope in held_in(role, extent, assigned, place))


@given(roles, extents, assignments, st.sampled_from(sorted(SCOPES)))
def test_what_is_about_the_agency_goes_by_the_role_there(
    role: str, extent: str, assigned: dict[str, str], scope: str
) -> None:
    caller = member(role, extent, assigned).where_it_holds(scope, in_agency=True)
    assert caller.scopes <= ROLES[role]
    if scope not in ROLES[role]:
        assert not caller.holds(scope)


@given(roles, assignments, scopes)
def test_an_assignment_never_takes_away_from_who_works_everywhere(
    role: str, assigned: dict[str, str], scope: str | None
) -> None:
    without = member(role, "all", {}).where_it_holds(scope, in_agency=False)
    with_it = member(role, "all", assigned).where_it_holds(scope, in_agency=False)
    assert scope is None or without.holds(scope) <= with_it.holds(scope)
    if scope is None or without.holds(scope):
        assert with_it.reach.workspace_ids is None
        assert with_it.scopes == without.scopes


ROUTERS = [workspaces_routes.routes, content_routes.routes, keys_routes.routes, me_routes.routes]
STATE: dict[str, Any] = {workspaces_routes.INCLUDES: {}}
POST = {"title": "A title", "body": "A text"}


async def test_who_is_assigned_sees_those_workspaces_and_writes_where_a_manager(database: Database) -> None:
    home = await an_agency(database)
    managed, viewed, other = [await a_workspace(database, home, name=name) for name in ("One", "Two", "Three")]
    headers = await a_signed_in(database, home, "manager", workspaces={managed.id: "manager", viewed.id: "viewer"})

    async with served(database, ROUTERS, STATE) as client:
        client.headers.update(headers)
        listed = (await client.get("/v1/workspaces")).json()
        me = (await client.get("/v1/me")).json()
        answers = {
            place.name: await client.post("/v1/posts", json=POST, headers={"x-workspace-id": place.id})
            for place in (managed, viewed, other)
        }
        renamed = [
            (await client.patch(f"/v1/workspaces/{place.id}", json={"industry": "x"})).status_code
            for place in (managed, viewed, other)
        ]

    assert {one["name"] for one in listed["data"]} == {"One", "Two"}
    assert sorted(me["workspaces"]) == sorted([managed.id, viewed.id])
    assert [answer.status_code for answer in answers.values()] == [201, 404, 404]
    assert renamed == [200, 404, 404]


async def test_a_viewer_everywhere_who_manages_one_workspace_writes_there_alone(database: Database) -> None:
    home = await an_agency(database)
    managed, other = await a_workspace(database, home, name="One"), await a_workspace(database, home, name="Two")
    headers = await a_signed_in(database, home, "viewer")
    async with served(database, ROUTERS, STATE) as client:
        client.headers.update(headers)
        member_id = (await client.get("/v1/me")).json()["member"]["id"]
        assert (await client.post("/v1/posts", json=POST, headers={"x-workspace-id": managed.id})).status_code == 403
        async with database.transaction(home.reach) as tx:
            await tx.execute(
                "insert into workspace_member (agency_id, workspace_id, member_id, role, created_at, updated_at) "
                "values ($1, $2, $3, 'manager', now(), now())",
                *(tx.agency_id, managed.id, member_id),
            )
        async with asyncio.timeout(1):  # until the news is heard
            while (
                await client.post("/v1/posts", json=POST, headers={"x-workspace-id": managed.id})
            ).status_code == 403:
                await asyncio.sleep(0.01)
        written = [
            (await client.post("/v1/posts", json=POST, headers={"x-workspace-id": place.id})).status_code
            for place in (managed, other)
        ]
        read = (await client.get("/v1/posts", headers={"x-workspace-id": other.id})).status_code
        listed = (await client.get("/v1/workspaces")).json()

    assert (written, read) == ([201, 404], 200)
    assert len(listed["data"]) == 2


async def test_who_is_assigned_nowhere_sees_nothing_and_is_told_so_without_a_failure(database: Database) -> None:
    home = await an_agency(database)
    place = await a_workspace(database, home)
    headers = await a_signed_in(database, home, "manager", workspaces={})
    async with served(database, ROUTERS, STATE) as client:
        client.headers.update(headers)
        assert (await client.get("/v1/workspaces")).json()["data"] == []
        assert (await client.get(f"/v1/workspaces/{place.id}")).status_code == 404
        keyed = {"x-workspace-id": place.id, "idempotency-key": "once"}
        assert (await client.post("/v1/posts", json=POST, headers=keyed)).status_code == 404
        named = await client.patch("/v1/me", json={"name": "Ada"}, headers={"idempotency-key": "once"})
        assert named.status_code == 200, named.text


async def test_nobody_mints_a_key_that_holds_more_than_they(database: Database) -> None:
    home = await an_agency(database)
    async with served(database, ROUTERS, STATE) as client:
        client.headers.update(await a_signed_in(database, home, "admin"))
        more = await client.post("/v1/api-keys", json={"name": "more", "scopes": ["workspaces:purge"]})
        less = await client.post("/v1/api-keys", json={"name": "less", "scopes": ["content:read"]})
        client.headers.update(await a_signed_in(database, home, "manager"))
        none = await client.post("/v1/api-keys", json={"name": "none", "scopes": ["content:read"]})

    assert (more.status_code, more.json()["reason"]) == (403, "keys.scope_not_held")
    assert less.status_code == 201
    assert (none.status_code, none.json()["reason"]) == (403, "keys.scope_missing")
