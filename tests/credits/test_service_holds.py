"""Holds of an agency's own services over HTTP: set aside, captured at once or in parts, released."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest_asyncio

from colonnade import credits
from colonnade.credits import routes as credit_routes
from colonnade.ground.db.database import Database
from tests.credits.counters import a_till
from tests.credits.homes import Home, a_home, a_request, account_balances
from tests.serving import a_key, served

HOLDS = "/v1/credits/holds"


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with a_till(database) as till, served(database, [credit_routes.routes], {credits.TILL_STATE: till}) as client:
        yield client


async def _held(http: httpx2.AsyncClient, key: dict[str, str], home: Home, **fields: Any) -> str:
    body = {"workspaceId": home.workspaces[0], "feature": "video", "credits": 10, "reference": "one", **fields}
    answer = await http.post(HOLDS, headers=key, json=body)
    assert answer.status_code == 201, answer.text
    return f"{HOLDS}/{answer.json()['id']}"


async def test_a_hold_is_captured_once_and_the_rest_released(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    path = await _held(http, key, home)
    aside = await account_balances(home)

    captured = await http.post(f"{path}/capture", headers=key, json={"credits": 4, "release": True})
    again = await http.post(f"{path}/capture", headers=key, json={"credits": 4, "release": True})
    other = await http.post(f"{path}/capture", headers=key, json={"credits": 5})
    now = (await http.get(path, headers=key)).json()

    assert (aside.get("pool", 0), aside[f"held:{home.workspaces[0]}"]) == (0, 10_000)
    assert (captured.status_code, captured.json()["credits"], captured.json()["reference"]) == (201, 4, None)
    assert (again.status_code, again.json()["id"]) == (200, captured.json()["id"])
    assert (other.status_code, other.json()["reason"]) == (409, "credits.reference_reused")
    assert (now["state"], now["captured"], now["released"], now["held"]) == ("settled", 4, 6, 0)
    assert await account_balances(home) == {"issued": -10_000, "pool": 6_000, f"used:{home.workspaces[0]}": 4_000}


async def test_a_hold_is_captured_in_parts_never_beyond_it(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    path = await _held(http, key, home)

    async def capture(amount: float, reference: str) -> tuple[int, str | None]:
        answer = await http.post(f"{path}/capture", headers=key, json={"credits": amount, "reference": reference})
        return answer.status_code, answer.json().get("reason")

    assert await capture(4, "a") == (201, None)
    assert await capture(4, "a") == (200, None)
    assert await capture(7, "b") == (422, "credits.hold_exceeded")
    assert await capture(6, "b") == (201, None)
    assert await capture(1, "c") == (409, "credits.hold_ended")
    assert (await http.get(path, headers=key)).json()["state"] == "settled"


async def test_a_hold_that_is_released_goes_back_whole_and_only_once(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    path = await _held(http, key, home)

    released = [await http.post(f"{path}/release", headers=key) for _ in range(2)]

    assert [(one.status_code, one.json()["state"], one.json()["released"]) for one in released] == [
        (200, "released", 10),
        (200, "released", 10),
    ]
    assert await account_balances(home) == {"issued": -10_000, "pool": 10_000}
    again = await http.get(HOLDS, headers=key, params={"reference": "one"})
    assert [one["id"] for one in again.json()["data"]] == [path.rpartition("/")[2]]


async def test_the_same_reference_is_the_same_hold_and_no_charge(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=20_000)
    key = await a_key(database, home.origin)
    await _held(http, key, home)
    body = {"workspaceId": home.workspaces[0], "feature": "video", "credits": 10, "reference": "one"}

    assert (await http.post(HOLDS, headers=key, json=body)).status_code == 200
    charge = await http.post("/v1/credits/charges", headers=key, json=body)
    assert (charge.status_code, charge.json()["reason"]) == (409, "credits.reference_reused")
    assert (await account_balances(home))["pool"] == 10_000


async def test_a_hold_counts_under_the_cap_until_it_goes_back(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=20_000)
    key = await a_key(database, home.origin)
    await http.put(f"/v1/workspaces/{home.workspaces[0]}/credit-cap", headers=key, json={"credits": 12})
    path = await _held(http, key, home)
    more = {"workspaceId": home.workspaces[0], "feature": "video", "credits": 5, "reference": "two"}

    refused = await http.post(HOLDS, headers=key, json=more)
    await http.post(f"{path}/release", headers=key)
    made = await http.post(HOLDS, headers=key, json=more)

    assert (refused.status_code, refused.json()["reason"]) == (402, "credits.cap_exceeded")
    assert made.status_code == 201


async def test_a_captured_part_is_refunded_to_the_pool(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    path = await _held(http, key, home)
    captured = await http.post(f"{path}/capture", headers=key, json={"credits": 4, "release": True})

    refund = await http.post(f"{captured.headers['location']}/refund", headers=key, json={"credits": 3})

    assert (refund.status_code, refund.json()["refunded"]) == (201, 3)
    assert (await account_balances(home))["pool"] == 9_000


async def test_a_quantity_is_captured_at_the_price_of_the_hold(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    path = await _held(http, key, home, feature="rank_check", credits=None, quantity=10)
    await http.put("/v1/prices", headers=key, json={"prices": {"rank_check": 5}})

    captured = await http.post(f"{path}/capture", headers=key, json={"quantity": 4})

    assert (captured.status_code, captured.json()["credits"]) == (201, 2)


async def test_the_hold_of_a_run_is_the_runs_own(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    async with database.transaction(home.caller.reach) as tx:
        held = await credits.hold(tx, home.caller, a_request(home.workspaces[0], 1_000))

    assert (await http.get(f"{HOLDS}/{held.id}", headers=key)).status_code == 200
    for word, body in (("capture", {"credits": 1}), ("release", None)):
        assert (await http.post(f"{HOLDS}/{held.id}/{word}", headers=key, json=body)).status_code == 422


async def test_a_hold_that_would_stand_too_long_is_refused(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    body = {"workspaceId": home.workspaces[0], "feature": "video", "credits": 1, "reference": "one"}

    for until in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        answer = await http.post(HOLDS, headers=key, json={**body, "expiresAt": until})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/expiresAt")
