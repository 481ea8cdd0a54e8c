"""Caps over HTTP: set, read and taken away on every level, and counted with what was taken before."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx2
import pytest
import pytest_asyncio

from colonnade import credits
from colonnade.credits import routes as credit_routes
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, keys, workspaces
from tests.credits.homes import Home, a_home, a_request, let_cycles_end, used, work
from tests.serving import a_key, served

ROUTERS = [credit_routes.routes]

SOMEBODY_WAITS = """
select exists (select from pg_locks l join pg_database d on d.oid = l.database
               where d.datname = current_database() and l.locktype = 'advisory' and not l.granted)
"""


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, ROUTERS) as client:
        yield client


async def _key_id(http: httpx2.AsyncClient, database: Database, home: Home, workspace_id: str | None = None) -> str:
    async with database.transaction(home.caller.reach) as tx:
        minted = await keys.mint(
            tx,
            home.caller,
            keys.Draft("capped", preset="workspace" if workspace_id else "master"),
            workspace_id=workspace_id,
        )
    return minted.key.id


async def test_a_cap_is_set_changed_read_and_taken_away_on_every_level(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, workspaces=1)
    headers = await a_key(database, home.origin)
    holders = {
        "agency": "/v1/agency/credit-cap",
        "workspace": f"/v1/workspaces/{home.workspaces[0]}/credit-cap",
        "key": f"/v1/api-keys/{await _key_id(http, database, home, home.workspaces[0])}/credit-cap",
    }

    for level, path in holders.items():
        first = await http.put(path, headers=headers, json={"credits": 100})
        again = await http.put(path, headers=headers, json={"credits": 100})
        lower = await http.put(path, headers=headers, json={"credits": 0.5})
        other = await http.put(path, headers=headers, json={"credits": 7, "feature": "rank_check"})
        assert [one.status_code for one in (first, again, lower, other)] == [201, 200, 200, 201]
        assert first.json() == again.json()
        assert first.json()["level"] == level
        assert first.json()["id"] == lower.json()["id"] != other.json()["id"]
        listed = (await http.get(path, headers=headers)).json()["data"]
        assert [(one["feature"], one["credits"], one["enforcement"]) for one in listed] == [
            (None, 0.5, "hard"),
            ("rank_check", 7, "hard"),
        ]

        assert (await http.delete(path, headers=headers)).status_code == 204
        assert (await http.delete(path, headers=headers)).status_code == 404
        left = (await http.get(path, headers=headers)).json()["data"]
        assert [one["feature"] for one in left] == ["rank_check"]
        gone = await http.delete(path, headers=headers, params={"feature": "rank_check"})
        assert gone.status_code == 204


async def test_a_cap_counts_what_was_used_and_held_before_it_was_set(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    await work(home, first, used(30_000))
    await work(home, second, used(5_000, "publish"))
    async with database.transaction(home.caller.reach) as tx:
        await credits.hold(tx, home.caller, a_request(first, 10_000))
    headers = await a_key(database, home.origin)

    agency = await http.put("/v1/agency/credit-cap", headers=headers, json={"credits": 50})
    inside = await http.put(f"/v1/workspaces/{first}/credit-cap", headers=headers, json={"credits": 20})

    assert [agency.json()[name] for name in ("used", "held", "available")] == [35, 10, 5]
    assert [inside.json()[name] for name in ("used", "held", "available")] == [30, 10, 0]


async def test_a_cap_stops_a_run_and_says_which_it_is_and_what_to_do(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    headers = await a_key(database, home.origin)
    cap = await http.put(f"/v1/workspaces/{first}/credit-cap", headers=headers, json={"credits": 20})

    async with database.transaction(home.caller.reach) as tx:
        (refused,) = await credits.hold_many(tx, home.caller, [a_request(first, 20_001)])
        (held,) = await credits.hold_many(tx, home.caller, [a_request(first, 20_000)])

    assert isinstance(held, credits.Hold)
    assert not isinstance(refused, credits.Hold)
    assert refused.reason == "credits.cap_exceeded"
    assert refused.details["limit"]["id"] == cap.json()["id"]
    assert (refused.details["required"], refused.details["available"], refused.details["cap"]) == (20.001, 20, 20)
    assert refused.details["source"] == "workspace"


async def test_bad_caps_name_their_fields(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    headers = await a_key(database, home.origin)

    for body, pointer in [
        ({}, "/credits"),
        ({"credits": -1}, "/credits"),
        ({"credits": 0.0001}, "/credits"),
        ({"credits": True}, "/credits"),
        ({"credits": 10**13}, "/credits"),
        ({"credits": 1, "feature": ""}, "/feature"),
        ({"credits": 1, "feature": "No Name"}, "/feature"),
        ({"credits": 1, "feature": "x" * 64}, "/feature"),
        ({"credits": 1, "level": "agency"}, "/level"),
    ]:
        answer = await http.put("/v1/agency/credit-cap", headers=headers, json=body)
        assert answer.status_code == 400, body
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_caps_are_for_agency_keys_of_the_right_scope_and_reach(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    first, second = home.workspaces
    inside = await a_key(database, home.origin, first)
    limited = await a_key(database, home.origin, preset="master", workspaces=[first])
    reader = await a_key(database, home.origin, preset="read_only")
    of_agency = await _key_id(http, database, home)
    of_second = await _key_id(http, database, home, second)
    of_first = await _key_id(http, database, home, first)
    cap = {"credits": 5}

    async def put(headers: dict[str, str], path: str) -> tuple[int, str | None]:
        answer = await http.put(path, headers=headers, json=cap)
        return answer.status_code, answer.json().get("reason")

    assert await put(inside, f"/v1/workspaces/{first}/credit-cap") == (403, "keys.wrong_kind")
    assert await put(reader, "/v1/agency/credit-cap") == (403, "keys.scope_missing")
    assert await put(limited, "/v1/agency/credit-cap") == (403, "keys.wrong_kind")
    assert await put(limited, f"/v1/workspaces/{second}/credit-cap") == (404, "resource.not_found")
    assert await put(limited, f"/v1/api-keys/{of_agency}/credit-cap") == (404, "resource.not_found")
    assert await put(limited, f"/v1/api-keys/{of_second}/credit-cap") == (404, "resource.not_found")
    assert await put(limited, f"/v1/api-keys/{new_id('key')}/credit-cap") == (404, "resource.not_found")
    assert (await put(limited, f"/v1/api-keys/{of_first}/credit-cap"))[0] == 201
    assert (await put(limited, f"/v1/workspaces/{first}/credit-cap"))[0] == 201
    assert (await http.get(f"/v1/workspaces/{first}/credit-cap", headers=inside)).json()["data"][0]["credits"] == 5
    assert (await http.get(f"/v1/workspaces/{second}/credit-cap", headers=inside)).status_code in {403, 404}


async def test_what_a_limited_key_reads_of_a_key_cap_is_what_was_taken(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    of_first = await _key_id(http, database, home, first)
    limited = await a_key(database, home.origin, preset="master", workspaces=[first])
    caller = replace(home.key_of(first), actor_id=of_first)
    async with database.transaction(caller.reach) as tx:
        await credits.hold(tx, caller, a_request(first, 1_000))

    put = await http.put(f"/v1/api-keys/{of_first}/credit-cap", headers=limited, json={"credits": 5})

    assert [put.json()[name] for name in ("used", "held", "available")] == [0, 1, 4]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_the_caps_of_an_archived_workspace_are_read_and_not_changed(
    database: Database, http: httpx2.AsyncClient, method: str
) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    headers = await a_key(database, home.origin)
    path = f"/v1/workspaces/{first}/credit-cap"
    await http.put(path, headers=headers, json={"credits": 5})
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.archive(tx, home.caller, first)

    answer = await http.request(method, path, headers=headers, json={"credits": 6} if method == "PUT" else None)

    assert (answer.status_code, answer.json()["reason"]) == (422, "workspace.archived")
    assert [one["credits"] for one in (await http.get(path, headers=headers)).json()["data"]] == [5]


async def test_a_cap_waits_for_what_is_being_decided_and_counts_it(database: Database) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces

    async def cap_it() -> credits.CapStatus:
        async with database.transaction(home.caller.reach) as tx:
            return await credits.set_cap(tx, home.caller, MilliCredits(15_000), workspace_id=first)

    async with database.transaction(home.caller.reach) as tx:
        await credits.hold(tx, home.caller, a_request(first, 20_000))
        capping = asyncio.ensure_future(cap_it())
        while not await tx.fetchval(SOMEBODY_WAITS):
            await asyncio.sleep(0.01)
    status = await capping

    assert (status.held, status.available) == (20_000, 0)


async def test_another_cycle_begins_when_the_running_one_has_ended(
    database: Database, http: httpx2.AsyncClient, address: Address
) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    headers = await a_key(database, home.origin)
    path = f"/v1/workspaces/{first}/credit-cap"
    await work(home, first, used(30_000))
    before = (await http.put(path, headers=headers, json={"credits": 40})).json()
    async with database.transaction(home.caller.reach) as tx:
        patch = {"creditCycle": {"kind": "rolling", "days": 7, "anchor": "2026-02-02"}, "timezone": "Asia/Tokyo"}
        await agencies.update_settings(tx, home.caller, patch=patch)
        held = await credits.hold(tx, home.caller, a_request(first, 4_000))

    (same,) = (await http.get(path, headers=headers)).json()["data"]
    await let_cycles_end(address, home)
    async with database.transaction(home.caller.reach) as tx:
        await credits.settle(tx, home.caller, held.id, [used(4_000)])
        await credits.hold(tx, home.caller, a_request(first, 1_000))
    (after,) = (await http.get(path, headers=headers)).json()["data"]
    cycle = (await http.get("/v1/credits", headers=headers)).json()["cycle"]

    assert (before["used"], same["used"], same["held"]) == (30, 30, 4)
    assert same["cycleEndsAt"] == before["cycleEndsAt"]
    assert (after["used"], after["held"], after["available"]) == (0, 1, 39)
    assert after["cycleEndsAt"] == cycle["endsAt"]
    ends_at = datetime.fromisoformat(cycle["endsAt"]).astimezone(ZoneInfo("Asia/Tokyo"))
    assert (ends_at.weekday(), ends_at.hour) == (0, 0)
    assert ends_at - datetime.fromisoformat(cycle["startsAt"]) <= timedelta(days=8)
