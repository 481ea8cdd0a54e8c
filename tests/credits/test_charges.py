"""Charges over HTTP: once for a reference, refused with what stands in the way, given back, told where usage is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade import credits
from colonnade.credits import routes as credit_routes
from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from tests.credits.counters import a_till
from tests.credits.homes import Home, a_home, account_balances
from tests.factories import a_workspace
from tests.serving import a_key, served

CHARGES = "/v1/credits/charges"


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with a_till(database) as till, served(database, [credit_routes.routes], {credits.TILL_STATE: till}) as client:
        yield client


def a_body(home: Home, **fields: Any) -> dict[str, Any]:
    return {"workspaceId": home.workspaces[0], "feature": "image", "credits": 2.5, "reference": "one", **fields}


async def test_a_charge_shows_in_balances_ledger_and_usage(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)

    answer = await http.post(CHARGES, headers=key, json=a_body(home, model="=big", metadata={"size": "L"}))
    made = answer.json()
    read = await http.get(answer.headers["location"], headers=key)
    found = await http.get(CHARGES, headers=key, params={"reference": "one"})
    usage = (await http.get("/v1/usage", headers=key, params={"groupBy": "feature,model"})).json()
    ledger = (await http.get("/v1/credits/ledger", headers=key)).json()["data"]

    assert answer.status_code == 201
    assert made["id"].startswith("chg_")
    assert (made["credits"], made["source"], made["paidBy"]) == (2.5, "api", [{"source": "agency", "credits": 2.5}])
    assert read.json() == made
    assert found.json()["data"] == [made]
    assert usage["data"] == [{"feature": "image", "model": "=big", "credits": 2.5, "events": 1}]
    assert [(line["kind"], line["amount"]) for line in ledger[:2]] == [("charge", 2.5), ("charge", -2.5)]
    assert (await account_balances(home))["pool"] == 7_500


async def test_the_same_reference_again_is_the_same_charge_and_another_one_is_refused(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)

    first = await http.post(CHARGES, headers=key, json=a_body(home))
    again = await http.post(CHARGES, headers=key, json=a_body(home))
    elsewhere = await http.post(CHARGES, headers=key, json=a_body(home, source="renderer"))
    refused = [
        await http.post(CHARGES, headers=key, json=a_body(home, **other))
        for other in ({"credits": 3}, {"feature": "video"}, {"workspaceId": home.workspaces[1]})
    ]

    assert (again.status_code, again.json()) == (200, first.json())
    assert elsewhere.status_code == 201
    assert [(one.status_code, one.json()["reason"]) for one in refused] == [(409, "credits.reference_reused")] * 3
    assert (await account_balances(home))["pool"] == 5_000


async def test_the_same_reference_many_times_at_once_is_charged_once(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)

    answers = await asyncio.gather(*(http.post(CHARGES, headers=key, json=a_body(home)) for _ in range(20)))

    assert sorted(one.status_code for one in answers) == [200] * 19 + [201]
    assert len({one.json()["id"] for one in answers}) == 1
    assert (await account_balances(home))["pool"] == 7_500


async def test_a_charge_that_nothing_can_pay_for_is_refused_and_its_reference_stays_free(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=1_000)
    key = await a_key(database, home.origin)

    refused = await http.post(CHARGES, headers=key, json=a_body(home))
    found = await http.get(CHARGES, headers=key, params={"reference": "one"})
    await http.post("/v1/credits/grants", headers=key, json={"amount": 5})
    made = await http.post(CHARGES, headers=key, json=a_body(home))

    assert (refused.status_code, refused.json()["reason"]) == (402, "credits.exhausted")
    assert refused.json()["details"]["required"] == 2.5
    assert refused.json()["details"]["available"] == 1
    assert found.json() == {"data": [], "nextCursor": None, "total": 0}
    assert made.status_code == 201


async def test_a_cap_stops_a_charge_and_is_named(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    path = f"/v1/workspaces/{home.workspaces[0]}/credit-cap"
    assert (await http.put(path, headers=key, json={"credits": 3, "feature": "image"})).status_code < 300

    assert (await http.post(CHARGES, headers=key, json=a_body(home))).status_code == 201
    refused = await http.post(CHARGES, headers=key, json=a_body(home, reference="two"))
    other = await http.post(CHARGES, headers=key, json=a_body(home, reference="two", feature="video"))

    assert (refused.status_code, refused.json()["reason"]) == (402, "credits.cap_exceeded")
    details = refused.json()["details"]
    assert (details["required"], details["available"], details["cap"], details["source"]) == (2.5, 0.5, 3, "workspace")
    assert other.status_code == 201


async def test_a_quantity_is_charged_by_the_price_list(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    body = {**a_body(home), "feature": "rank_check", "quantity": 3}
    del body["credits"]

    made = await http.post(CHARGES, headers=key, json=body)
    unpriced = await http.post(CHARGES, headers=key, json={**body, "feature": "mystery", "reference": "two"})

    assert (made.status_code, made.json()["credits"], made.json()["quantity"]) == (201, 1.5, 3)
    assert (unpriced.status_code, unpriced.json()["errors"][0]["pointer"]) == (400, "/feature")


async def test_a_charge_of_nothing_stands_under_its_reference(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    key = await a_key(database, home.origin)

    made = await http.post(CHARGES, headers=key, json=a_body(home, credits=0))
    again = await http.post(CHARGES, headers=key, json=a_body(home, credits=0))

    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["id"] == again.json()["id"]
    assert await account_balances(home) == {}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"quantity": 1}, "/credits"),
        ({"credits": None}, "/credits"),
        ({"credits": -1}, "/credits"),
        ({"feature": "No Feature"}, "/feature"),
        ({"reference": ""}, "/reference"),
        ({"source": "house"}, "/source"),
        ({"source": "till"}, "/source"),
        ({"workspaceId": "ws_01k3n5q7s9v1x3z5b7d9f1h3j5"}, "/workspaceId"),
    ],
    ids=["both", "neither", "negative", "feature", "reference", "house", "till", "stranger"],
)
async def test_a_bad_charge_names_its_field(
    database: Database, http: httpx2.AsyncClient, fields: dict[str, Any], pointer: str
) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)

    answer = await http.post(CHARGES, headers=key, json=a_body(home, **fields))

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_a_workspace_key_charges_its_own_workspace_alone(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    first, second = home.workspaces
    key = await a_key(database, home.origin, first, scopes=["credits:charge", "credits:read"])
    other = await a_key(database, home.origin, second, scopes=["credits:charge", "credits:read"])

    made = await http.post(CHARGES, headers=key, json=a_body(home))
    elsewhere = await http.post(CHARGES, headers=key, json=a_body(home, workspaceId=second, reference="two"))
    read = await http.get(made.headers["location"], headers=other)
    refund = await http.post(f"{made.headers['location']}/refund", headers=other, json={})

    assert made.status_code == 201
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["pointer"]) == (400, "/workspaceId")
    assert (read.status_code, refund.status_code) == (404, 404)


async def test_an_archived_workspace_is_charged_nothing_but_tells_what_was(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    made = await http.post(CHARGES, headers=key, json=a_body(home))
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.archive(tx, home.caller, home.workspaces[0])

    again = await http.post(CHARGES, headers=key, json=a_body(home))
    new = await http.post(CHARGES, headers=key, json=a_body(home, reference="two"))

    assert (again.status_code, again.json()) == (200, made.json())
    assert (new.status_code, new.json()["reason"]) == (422, "workspace.archived")


async def test_a_refund_goes_back_and_never_passes_the_charge(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    made = (await http.post(CHARGES, headers=key, json=a_body(home))).json()
    path = f"{CHARGES}/{made['id']}/refund"

    part = await http.post(path, headers=key, json={"credits": 1, "reference": "back"})
    again = await http.post(path, headers=key, json={"credits": 1, "reference": "back"})
    too_much = await http.post(path, headers=key, json={"credits": 2})
    rest = await http.post(path, headers=key, json={"note": "never delivered"})
    nothing = await http.post(path, headers=key, json={})
    usage = (await http.get("/v1/usage", headers=key)).json()

    assert (part.status_code, part.json()["refunded"]) == (201, 1)
    assert (again.status_code, again.json()) == (200, part.json())
    assert (too_much.status_code, too_much.json()["reason"]) == (422, "credits.refund_exceeded")
    assert (rest.json()["credits"], rest.json()["refunded"]) == (1.5, 2.5)
    assert nothing.status_code == 422
    assert (await http.get(f"{CHARGES}/{made['id']}", headers=key)).json()["refunded"] == 2.5
    assert usage["totals"]["credits"] == 0
    assert await account_balances(home) == {"issued": -10_000, "pool": 10_000}


async def test_a_refunded_charge_leaves_room_under_the_cap(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    await http.put(f"/v1/workspaces/{home.workspaces[0]}/credit-cap", headers=key, json={"credits": 3})
    made = (await http.post(CHARGES, headers=key, json=a_body(home))).json()

    await http.post(f"{CHARGES}/{made['id']}/refund", headers=key, json={})

    assert (await http.post(CHARGES, headers=key, json=a_body(home, reference="two"))).status_code == 201


async def test_what_a_workspace_borrows_for_a_charge_goes_back_to_the_agency_first(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin)
    settings = {"creditPool": "workspace", "borrowLimit": 5}
    borrower = (await a_workspace(database, home.origin, settings=settings)).id
    await http.post("/v1/credits/grants", headers=key, json={"amount": 1, "workspaceId": borrower})

    made = (await http.post(CHARGES, headers=key, json=a_body(home, workspaceId=borrower))).json()
    await http.post(f"{CHARGES}/{made['id']}/refund", headers=key, json={"credits": 2})
    balances = await account_balances(home)

    assert made["paidBy"] == [{"source": "workspace", "credits": 1}, {"source": "agency", "credits": 1.5}]
    assert balances["pool"] == 10_000
    assert balances[f"pool:{borrower}"] == 500


async def test_an_idempotency_key_keeps_the_answer_of_a_charge(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = {**await a_key(database, home.origin), "idempotency-key": "once"}

    first = await http.post(CHARGES, headers=key, json=a_body(home))
    again = await http.post(CHARGES, headers=key, json=a_body(home))
    other = await http.post(CHARGES, headers=key, json=a_body(home, reference="two"))

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["reason"]) == (422, "request.idempotency_reused")


async def test_a_charge_without_the_scope_is_refused(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=10_000)
    key = await a_key(database, home.origin, preset="read_only")

    answer = await http.post(CHARGES, headers=key, json=a_body(home))

    assert (answer.status_code, answer.json()["reason"]) == (403, "keys.scope_missing")
