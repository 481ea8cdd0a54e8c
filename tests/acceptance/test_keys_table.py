"""The contract's table of who calls, line by line, over HTTP through the whole application."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx2
import pytest

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.secrets import new_key_text
from tests.factories import a_signed_in
from tests.house.installed import Installed, KeyHeld
from tests.house.world import World, a_world, installed, ours, theirs

__all__ = ["installed", "ours", "theirs"]

UNKNOWN_KEY: Final = "col_agency_live_" + "0" * 37


def refused(answer: httpx2.Response, status: int, code: str, reason: str) -> dict[str, Any]:
    """The problem, once it is the expected one."""
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"], problem["reason"]) == (status, code, reason), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["requestId"] == answer.headers["x-request-id"]
    return problem


async def fresh(installed: Installed, world: World, workspace_id: str | None = None, **body: Any) -> KeyHeld:
    """A key made over HTTP by the master key, and held to be called with."""
    path = "/v1/api-keys" if workspace_id is None else f"/v1/workspaces/{workspace_id}/api-keys"
    wanted = {"name": "fresh", "preset": "master" if workspace_id is None else "workspace", "rateLimit": None, **body}
    made = (await installed.call(world.keys["master"], "POST", path, json=wanted)).json()
    headers = {"authorization": f"Bearer {made['key']}"}
    return KeyHeld("fresh", made["id"], headers, workspace_id is None, frozenset(made["scopes"]))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer not-a-key"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": f"Bearer {UNKNOWN_KEY}"},
        {"x-auth": UNKNOWN_KEY},
        {"authorization": f"Bearer {new_key_text('agency', 'live').reveal()}"},
    ],
    ids=["no header", "not a key", "another scheme", "bad checksum", "bad checksum in the other header", "unknown key"],
)
async def test_who_shows_no_good_key_is_asked_for_one(installed: Installed, headers: dict[str, str]) -> None:
    answer = await installed.client.get("/v1/whoami", headers=headers)
    refused(answer, 401, "UNAUTHORIZED", "auth.invalid" if headers else "auth.missing")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_with_a_wrong_last_character_is_no_key(installed: Installed, ours: World) -> None:
    text = ours.keys["master"].headers["authorization"]
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    answer = await installed.client.get("/v1/whoami", headers={"authorization": wrong})
    refused(answer, 401, "UNAUTHORIZED", "auth.invalid")


async def test_both_headers_carry_a_key_and_two_different_ones_are_refused(installed: Installed, ours: World) -> None:
    bearer, other = (ours.keys[name].headers["authorization"] for name in ("master", "read_only"))
    text = bearer.removeprefix("Bearer ")
    for headers in ({"x-auth": text}, {"x-auth": text, "authorization": bearer}):
        assert (await installed.client.get("/v1/whoami", headers=headers)).status_code == 200
    answer = await installed.client.get("/v1/whoami", headers={"x-auth": text, "authorization": other})
    refused(answer, 401, "UNAUTHORIZED", "auth.invalid")


async def test_a_revoked_key_is_refused_with_its_next_call_and_told_when_it_ended(
    installed: Installed, ours: World
) -> None:
    key = await fresh(installed, ours, rateLimit={"requests": 1000, "windowSeconds": 60})
    assert (await installed.call(key, "GET", "/v1/whoami")).status_code == 200
    assert (await installed.call(ours.keys["master"], "DELETE", f"/v1/api-keys/{key.id}")).status_code == 204
    problem = refused(await installed.call(key, "GET", "/v1/whoami"), 403, "FORBIDDEN", "keys.revoked")
    assert str(datetime.now(UTC).year) in problem["detail"]


async def test_a_revoked_key_without_a_limit_is_refused_as_soon_as_the_news_is_heard(
    installed: Installed, ours: World
) -> None:
    key = await fresh(installed, ours)
    assert (await installed.call(key, "GET", "/v1/whoami")).status_code == 200
    assert (await installed.call(ours.keys["master"], "DELETE", f"/v1/api-keys/{key.id}")).status_code == 204
    async with asyncio.timeout(20):
        while (answer := await installed.call(key, "GET", "/v1/whoami")).status_code == 200:
            await asyncio.sleep(0.01)
    refused(answer, 403, "FORBIDDEN", "keys.revoked")


async def test_an_expired_key_is_refused(installed: Installed, ours: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    key = await fresh(installed, ours, expiresAt=soon.isoformat())
    while datetime.now(UTC) < soon + timedelta(seconds=0.05):
        await installed.client.get("/healthz")
    refused(await installed.call(key, "GET", "/v1/whoami"), 403, "FORBIDDEN", "keys.expired")


async def test_a_key_used_from_an_address_that_is_not_on_its_list_is_refused(installed: Installed, ours: World) -> None:
    key = await fresh(installed, ours, ipAllowlist=["203.0.113.0/24"])
    refused(await installed.call(key, "GET", "/v1/whoami"), 403, "FORBIDDEN", "keys.address_refused")


async def test_a_missing_scope_is_named(installed: Installed, ours: World) -> None:
    answer = await installed.call(ours.keys["read_only"], "POST", "/v1/workspaces", json={"name": "New"})
    problem = refused(answer, 403, "FORBIDDEN", "keys.scope_missing")
    assert problem["details"] == {"scope": "workspaces:create"}


async def test_a_key_beyond_its_rate_limit_is_told_when_to_come_back(installed: Installed, ours: World) -> None:
    key = await fresh(installed, ours, rateLimit={"requests": 2, "windowSeconds": 3600})
    answers = [await installed.call(key, "GET", "/v1/whoami") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused(answers[2], 429, "TOO_MANY_REQUESTS", "request.too_many")
    assert 0 < int(answers[2].headers["retry-after"]) <= 3600
    assert answers[2].headers["ratelimit-policy"] == '"default";q=2;w=3600'


async def test_another_tenants_id_in_a_path_reads_like_one_that_never_was(
    installed: Installed, ours: World, theirs: World
) -> None:
    key = ours.keys["master"]
    answers = [await installed.call(key, "GET", f"/v1/posts/{one}") for one in (theirs.ids["post_id"], new_id("post"))]
    first, second = (refused(answer, 404, "NOT_FOUND", "resource.not_found") for answer in answers)
    assert first.pop("requestId") != second.pop("requestId")
    assert first == second


async def test_another_tenants_id_and_an_unknown_one_in_a_body_are_the_same_bad_field(
    installed: Installed, ours: World, theirs: World
) -> None:
    problems = []
    for workspace_id in (theirs.first.id, new_id("ws")):
        body = {"amount": 1, "workspaceId": workspace_id}
        answer = await installed.call(ours.keys["master"], "POST", "/v1/credits/grants", json=body)
        problems.append(refused(answer, 400, "BAD_REQUEST", "request.invalid"))
    assert [error["pointer"] for error in problems[0]["errors"]] == ["/workspaceId"]
    assert problems[0].pop("requestId") != problems[1].pop("requestId")
    assert problems[0] == problems[1]


async def test_an_agency_key_finds_no_workspace_out_of_its_reach_by_the_header(
    installed: Installed, ours: World, theirs: World
) -> None:
    for key, named in (
        (ours.keys["master"], theirs.first.id),
        (ours.keys["master"], new_id("ws")),
        (ours.keys["limited"], ours.second.id),
    ):
        answer = await installed.call(key, "GET", "/v1/posts", headers={"x-workspace-id": named})
        refused(answer, 404, "NOT_FOUND", "resource.not_found")


async def test_a_workspace_key_names_no_other_workspace_and_calls_no_agencys_route(
    installed: Installed, ours: World
) -> None:
    key = ours.keys["workspace"]
    answer = await installed.call(key, "GET", "/v1/posts", headers={"x-workspace-id": ours.second.id})
    refused(answer, 403, "FORBIDDEN", "workspace.other")
    refused(await installed.call(key, "GET", "/v1/agency"), 403, "FORBIDDEN", "keys.wrong_kind")
    own = await installed.call(key, "GET", "/v1/posts", headers={"x-workspace-id": ours.first.id})
    assert own.status_code == 200


async def test_an_agency_key_says_which_workspace_it_means_where_nothing_else_does(
    installed: Installed, ours: World
) -> None:
    key, post = ours.keys["master"], f"/v1/posts/{ours.ids['post_id']}"
    body = {"title": "New", "body": "Text"}
    for method, path, sent in (
        ("GET", "/v1/posts", None),
        ("POST", "/v1/posts", body),
        ("GET", "/v1/agent/approvals", None),
    ):
        answer = await installed.call(key, method, path, json=sent)
        refused(answer, 400, "BAD_REQUEST", "workspace.required")
    assert (await installed.call(key, "GET", post)).status_code == 200
    disagreeing = await installed.call(key, "GET", post, headers={"x-workspace-id": ours.second.id})
    refused(disagreeing, 404, "NOT_FOUND", "resource.not_found")
    for path in ("/v1/posts?scope=agency", "/v1/workspaces", f"/v1/workspaces/{ours.first.id}"):
        assert (await installed.call(key, "GET", path)).status_code == 200


async def test_a_management_key_does_not_act_inside_workspaces(installed: Installed, ours: World) -> None:
    key = await fresh(installed, ours, preset=None, scopes=["workspaces:read", "content:read", "content:write"])
    assert (await installed.call(key, "GET", "/v1/workspaces")).status_code == 200
    answer = await installed.call(key, "GET", f"/v1/posts/{ours.ids['post_id']}")
    problem = refused(answer, 403, "FORBIDDEN", "keys.wrong_kind")
    assert problem["details"] == {"scope": "workspaces:act"}


async def test_an_archived_workspace_is_read_and_not_written(installed: Installed) -> None:
    world = await a_world(installed, name="archived")
    agency, inside = world.keys["master"], world.keys["workspace"]
    assert (await installed.call(agency, "DELETE", f"/v1/workspaces/{world.first.id}")).status_code == 204
    for key in (agency, inside):
        assert (await installed.call(key, "GET", f"/v1/posts/{world.ids['post_id']}")).status_code == 200
        for method, path, body in (
            ("PATCH", f"/v1/posts/{world.ids['post_id']}", {"title": "New"}),
            ("PATCH", f"/v1/workspaces/{world.first.id}", {"name": "New"}),
            ("POST", f"/v1/agent/approvals/{world.ids['approval_id']}/reject", {}),
            ("POST", f"/v1/workspaces/{world.first.id}/api-keys", {"name": "New"}),
        ):
            refused(await installed.call(key, method, path, json=body), 422, "UNPROCESSABLE", "workspace.archived")


async def test_the_last_owner_stays(installed: Installed) -> None:
    world = await a_world(installed, name="owned")
    owner = await a_signed_in(installed.database, world.home, "owner")
    for method, path, body in (
        ("DELETE", "/v1/members/me", None),
        ("DELETE", f"/v1/members/{world.home.owner_id}", None),
        ("PATCH", f"/v1/members/{world.home.owner_id}", {"role": "admin"}),
    ):
        answer = await installed.client.request(method, path, headers=owner, json=body)
        refused(answer, 422, "UNPROCESSABLE", "members.last_owner")


async def test_the_kind_of_a_key_is_that_of_the_record_and_not_of_its_text(installed: Installed, ours: World) -> None:
    """A text that claims to be an agency's opens a key of a workspace: it may what that one may, and nothing else."""
    claims = new_key_text("agency", "live").reveal()
    async with installed.database.transaction(ours.home.reach) as tx:
        sql = """insert into api_key_secret (agency_id, workspace_id, key_id, digest, pepper_id, created_at)
                 values ($1, $2, $3, $4, $5, now())"""
        pepper = installed.database.pepper
        inside = ours.ids["key_id of the workspace"]
        await tx.execute(sql, tx.agency_id, ours.first.id, inside, pepper.digest(claims), pepper.current)
    who = await installed.client.get("/v1/whoami", headers={"x-auth": claims})
    assert (who.json()["kind"], who.json()["workspaceId"]) == ("workspace", ours.first.id)
    answer = await installed.client.get("/v1/agency", headers={"x-auth": claims})
    refused(answer, 403, "FORBIDDEN", "keys.wrong_kind")


async def test_nobody_locks_themselves_out_by_an_allowlist(installed: Installed, ours: World) -> None:
    body = {"ipAllowlist": ["203.0.113.0/24"]}
    answer = await installed.call(ours.keys["master"], "PATCH", "/v1/agency/settings", json=body)
    refused(answer, 422, "UNPROCESSABLE", "settings.locks_out")
    key = await fresh(installed, ours)
    answer = await installed.call(key, "PATCH", f"/v1/api-keys/{key.id}", json=body)
    refused(answer, 422, "UNPROCESSABLE", "settings.locks_out")


async def test_what_comes_first_is_told_first(installed: Installed, ours: World) -> None:
    """Kind and scope before the workspace, the workspace before the body, the body before the thing itself."""
    path, bad = f"/v1/posts/{new_id('post')}", {"nonsense": 1}
    reading, acting = ours.keys["read_only"], ours.keys["master"]
    unknown = {"x-workspace-id": new_id("ws")}
    refused(await installed.call(None, "PATCH", path, json=bad), 401, "UNAUTHORIZED", "auth.missing")
    answer = await installed.call(reading, "PATCH", path, json=bad, headers=unknown)
    refused(answer, 403, "FORBIDDEN", "keys.scope_missing")
    answer = await installed.call(acting, "PATCH", path, json=bad, headers=unknown)
    refused(answer, 404, "NOT_FOUND", "resource.not_found")
    refused(await installed.call(acting, "PATCH", path, json=bad), 400, "BAD_REQUEST", "request.invalid")
    answer = await installed.call(acting, "PATCH", path, json={"title": "New"})
    refused(answer, 404, "NOT_FOUND", "resource.not_found")


async def test_every_answer_tells_its_mode(installed: Installed, ours: World) -> None:
    for name, mode in (("master", "live"), ("test", "test")):
        answer = await installed.call(ours.keys[name], "GET", "/v1/whoami")
        assert (answer.status_code, answer.headers["colonnade-mode"]) == (200, mode)
