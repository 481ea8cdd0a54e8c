"""Bulk actions over HTTP: the curl that people copy, plans, items, and every no."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.runs.bulk.routes import routes
from colonnade.tenancy.workspaces.routes import routes as workspace_routes
from tests.runs.bulk_homes import INVOKE, a_fleet
from tests.serving import a_key, served

BULK = "/v1/workspaces/bulk-action"
ALL: dict[str, Any] = {"action": "agent.invoke", "workspaces": "all", "config": INVOKE}


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [routes, workspace_routes]) as client:
        yield client


def pointers(answer: httpx2.Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_the_copied_curl_starts_a_run_in_every_active_workspace(
    database: Database, http: httpx2.AsyncClient
) -> None:
    fleet = await a_fleet(database, brands=3)
    await fleet.archive(fleet.ids[2])
    key = await a_key(database, fleet.home)
    form = {**key, "content-type": "application/x-www-form-urlencoded"}

    answer = await http.post(BULK, headers=form, content=json.dumps(ALL))
    shown = answer.json()
    read = await http.get(answer.headers["location"], headers=key)
    items = await http.get(shown["links"]["items"], headers=key)

    assert answer.status_code == 202
    assert shown["bulkActionId"].startswith("bulk_")
    assert shown["status"] == "PENDING"
    assert shown["counts"] == {
        **dict.fromkeys(("running", "waiting", "succeeded", "failed", "cancelled", "skipped"), 0),
        "total": 2,
        "pending": 2,
    }
    assert shown["links"] == {"self": answer.headers["location"], "items": f"{answer.headers['location']}/items"}
    assert read.json() == shown
    assert [item["workspaceId"] for item in items.json()["data"]] == sorted(fleet.ids[:2])
    assert all(item["state"] == "PENDING" and item["invocationId"] for item in items.json()["data"])
    assert await fleet.count("run") == 2


async def test_a_repeated_bulk_action_with_its_key_is_one_bulk_action(
    database: Database, http: httpx2.AsyncClient
) -> None:
    fleet = await a_fleet(database)
    headers = {**await a_key(database, fleet.home), "idempotency-key": "once"}

    first = await http.post(BULK, headers=headers, json=ALL)
    again = await http.post(BULK, headers=headers, json=ALL)

    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert await fleet.count("bulk_action") == 1
    assert await fleet.count("run") == 2


async def test_a_dry_run_tells_the_plan_and_keeps_nothing(database: Database, http: httpx2.AsyncClient) -> None:
    fleet = await a_fleet(database, brands=4, granted=22_000)
    auto, asking, archived, poor = sorted(fleet.ids)
    await fleet.change(auto, settings={"approvalPolicy": {"publish": "auto"}})
    await fleet.change(asking, settings={"approvalPolicy": {"publish": "require_approval"}})
    await fleet.archive(archived)
    key = await a_key(database, fleet.home)
    wanted = {**ALL, "workspaces": [poor, archived, asking, auto], "dryRun": True}

    answer = await http.post(BULK, headers=key, json=wanted)
    plan = {line["workspaceId"]: line for line in answer.json()["data"]}

    assert answer.status_code == 200
    assert plan[auto] == {
        "workspaceId": auto,
        "wouldRun": True,
        "estimatedCredits": 11,
        "approvals": [],
        "conflict": None,
        "result": None,
    }
    assert plan[asking]["approvals"] == ["publish"]
    assert plan[archived]["wouldRun"] is False
    assert plan[archived]["conflict"]["reason"] == "workspace.archived"
    assert plan[poor]["conflict"]["code"] == "INSUFFICIENT_CREDITS"
    assert answer.json()["totals"] == {
        "workspaces": 4,
        "wouldRun": 2,
        "conflicts": 1,
        "skipped": 1,
        "estimatedCredits": 22,
    }
    for table in ("bulk_action", "bulk_item", "run", "credit_hold"):
        assert await fleet.count(table) == 0, table


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["/action", "/workspaces", "/config"]),
        (
            {**ALL, "schedule": "weekly:mon:09:00", "canary": 1, "maxFailures": 3},
            ["/schedule", "/canary", "/maxFailures"],
        ),
        ({**ALL, "workspaces": []}, ["/workspaces"]),
        ({**ALL, "workspaces": 7}, ["/workspaces"]),
        ({**ALL, "workspaces": "some"}, ["/workspaces"]),
        ({**ALL, "workspaces": {}}, ["/workspaces/tag"]),
        ({**ALL, "workspaces": {"tag": 7}}, ["/workspaces/tag"]),
        ({**ALL, "workspaces": ["ws_x", 7]}, ["/workspaces/1"]),
        ({**ALL, "dryRun": "yes"}, ["/dryRun"]),
        ({**ALL, "config": {}}, ["/config/skill"]),
        ({**ALL, "config": {"skill": "no_such_skill"}}, ["/config/skill"]),
        ({**ALL, "config": {**INVOKE, "extra": 1}}, ["/config/extra"]),
        ({**ALL, "config": {**INVOKE, "approval": {"required": "x"}}}, ["/config/approval/required"]),
        (
            {**ALL, "config": {"skill": "draft_post", "input": {"topic": 7, "colour": "red"}}},
            ["/config/input/topic", "/config/input/colour"],
        ),
        ({**ALL, "action": "workspace.update", "config": {}}, ["/config"]),
        (
            {**ALL, "action": "workspace.update", "config": {"tags": "no", "settings": {"a/b": 1}}},
            ["/config/tags", "/config/settings/a~1b"],
        ),
        ({**ALL, "action": "rank_everything"}, ["/action"]),
    ],
)
async def test_every_bad_field_is_named_and_nothing_is_kept(
    database: Database, http: httpx2.AsyncClient, body: dict[str, Any], wrong: list[str]
) -> None:
    fleet = await a_fleet(database)

    answer = await http.post(BULK, headers=await a_key(database, fleet.home), json=body)

    assert answer.status_code == 400
    assert sorted(pointers(answer)) == sorted(wrong)
    assert await fleet.count("bulk_action") == 0
    assert await fleet.count("run") == 0


async def test_ids_out_of_reach_are_named_one_by_one(database: Database, http: httpx2.AsyncClient) -> None:
    fleet, others = await a_fleet(database), await a_fleet(database)
    ids = [fleet.ids[0], others.ids[0], fleet.ids[1], new_id("ws"), "acme"]

    answer = await http.post(BULK, headers=await a_key(database, fleet.home), json={**ALL, "workspaces": ids})

    assert answer.status_code == 400
    assert pointers(answer) == ["/workspaces/1", "/workspaces/3", "/workspaces/4"]
    assert await fleet.count("run") == 0


async def test_items_are_paged_and_filtered_by_state(database: Database, http: httpx2.AsyncClient) -> None:
    fleet = await a_fleet(database, brands=3, granted=22_000)
    key = await a_key(database, fleet.home)
    path = (await http.post(BULK, headers=key, json=ALL)).headers["location"]

    first = (await http.get(f"{path}/items?limit=2", headers=key)).json()
    rest = (await http.get(f"{path}/items", headers=key, params={"cursor": first["nextCursor"]})).json()
    failed = (await http.get(f"{path}/items?state=failed", headers=key)).json()
    bad = await http.get(f"{path}/items?state=LOST", headers=key)

    assert first["total"] == 3
    assert [item["workspaceId"] for item in first["data"] + rest["data"]] == sorted(fleet.ids)
    assert rest["nextCursor"] is None
    assert [item["workspaceId"] for item in failed["data"]] == [max(fleet.ids)]
    assert failed["data"][0]["error"]["code"] == "INSUFFICIENT_CREDITS"
    assert failed["data"][0]["cost"] == {"credits": 0}
    assert failed["data"][0]["invocationId"] is None
    assert bad.status_code == 400


async def test_bulk_actions_are_listed_from_the_newest_on(database: Database, http: httpx2.AsyncClient) -> None:
    fleet = await a_fleet(database)
    key = await a_key(database, fleet.home)
    made = [(await http.post(BULK, headers=key, json=ALL)).json()["bulkActionId"] for _ in range(3)]

    first = (await http.get("/v1/workspaces/bulk-actions?limit=2", headers=key)).json()
    rest = (await http.get("/v1/workspaces/bulk-actions", headers=key, params={"cursor": first["nextCursor"]})).json()

    assert first["total"] == 3
    assert [action["bulkActionId"] for action in first["data"] + rest["data"]] == made[::-1]


async def test_cancelling_asks_every_unfinished_run_to_stop(database: Database, http: httpx2.AsyncClient) -> None:
    fleet = await a_fleet(database)
    key = await a_key(database, fleet.home)
    path = (await http.post(BULK, headers=key, json=ALL)).headers["location"]

    asked = await http.post(f"{path}/cancel", headers=key)
    again = await http.post(f"{path}/cancel", headers=key)

    assert (asked.status_code, again.status_code) == (202, 202)
    assert asked.json()["cancelRequestedAt"]
    assert again.json()["cancelRequestedAt"] == asked.json()["cancelRequestedAt"]


async def test_a_change_of_workspaces_is_done_when_it_is_answered(database: Database, http: httpx2.AsyncClient) -> None:
    fleet = await a_fleet(database)
    key = await a_key(database, fleet.home)
    body = {"action": "workspace.update", "workspaces": "all", "config": {"brand": {"voice": "Plain."}}}

    answer = await http.post(BULK, headers=key, json=body)
    late = await http.post(f"{answer.headers['location']}/cancel", headers=key)

    assert answer.status_code == 202
    assert answer.json()["status"] == "SUCCEEDED"
    assert answer.json()["endedAt"]
    assert (late.status_code, late.json()["reason"]) == (409, "bulk.finished")
    assert (await fleet.workspace(fleet.ids[1])).brand == {"voice": "Plain."}


async def test_who_may_not_is_told_before_the_config_is_read(database: Database, http: httpx2.AsyncClient) -> None:
    fleet = await a_fleet(database)
    home, bad = fleet.home, {**ALL, "config": {"skill": "no_such_skill"}}
    change = {"action": "workspace.update", "workspaces": "all", "config": {"nothing": 1}}
    workspace_key = await a_key(database, home, fleet.ids[0])
    management = await a_key(database, home, preset="management")
    reader = await a_key(database, home, preset="read_only")
    outside = await a_key(database, home, scopes=["runs:start"])

    assert (await http.post(BULK, json=ALL)).status_code == 401
    for key, body, reason in [
        (workspace_key, bad, "keys.wrong_kind"),
        (management, bad, "keys.scope_missing"),
        (outside, bad, "keys.scope_missing"),
        (reader, change, "keys.scope_missing"),
    ]:
        answer = await http.post(BULK, headers=key, json=body)
        assert (answer.status_code, answer.json()["reason"]) == (403, reason)


async def test_a_bulk_action_of_another_agency_is_not_there(database: Database, http: httpx2.AsyncClient) -> None:
    fleet, other = await a_fleet(database), await a_fleet(database)
    key = await a_key(database, fleet.home)
    path = (await http.post(BULK, headers=key, json=ALL)).headers["location"]
    stranger = await a_key(database, other.home)

    for answer in (
        await http.get(path, headers=stranger),
        await http.get(f"{path}/items", headers=stranger),
        await http.post(f"{path}/cancel", headers=stranger),
        await http.get("/v1/workspaces/bulk-actions/bulk_x", headers=key),
    ):
        assert answer.status_code == 404
    assert (await http.get("/v1/workspaces/bulk-actions", headers=stranger)).json()["total"] == 0
