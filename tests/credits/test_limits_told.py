"""What is said of limits over HTTP: every refusal for lack of credits, and the explanation before."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from colonnade import credits
from colonnade.credits import routes as credit_routes
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys, workspaces
from tests.credits.counters import a_till
from tests.credits.homes import Home, a_home, used, work
from tests.serving import a_key, served

EXPLAIN: Final = "/v1/credits/explain"
CAPS: Final = [(level, feature) for level in ("agency", "workspace", "key") for feature in (None, "image")]


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with a_till(database) as till, served(database, [credit_routes.routes], {credits.TILL_STATE: till}) as client:
        yield client


async def _own_key(http: httpx2.AsyncClient, database: Database, home: Home, workspace_id: str | None) -> Any:
    """A fresh key: its id and the headers to call with it."""
    draft = keys.Draft("its own", preset="workspace" if workspace_id else "master")
    async with database.transaction(home.caller.reach) as tx:
        minted = await keys.mint(tx, home.caller, draft, workspace_id=workspace_id)
    return minted.key.id, {"authorization": f"Bearer {minted.secret.reveal()}"}


def _charge(home: Home, credits: float, **fields: Any) -> dict[str, Any]:
    first = home.workspaces[0]
    return {"workspaceId": first, "feature": "image", "credits": credits, "reference": new_id("evt"), **fields}


@pytest.mark.parametrize(("level", "feature"), CAPS)
async def test_a_refusal_says_which_cap_from_where_what_it_asks_and_leaves_and_what_to_do(
    database: Database, http: httpx2.AsyncClient, level: str, feature: str | None
) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    key_id, headers = await _own_key(http, database, home, None)
    await http.post("/v1/credits/charges", headers=headers, json=_charge(home, 3))
    paths = {"agency": "agency", "workspace": f"workspaces/{first}", "key": f"api-keys/{key_id}"}
    named = {} if feature is None else {"feature": feature}
    cap = await http.put(f"/v1/{paths[level]}/credit-cap", headers=headers, json={"credits": 5, **named})

    answer = await http.post("/v1/credits/charges", headers=headers, json=_charge(home, 2.5))
    params = {"workspaceId": first, "feature": "image", "amount": "2.5"}
    explained = (await http.get(EXPLAIN, headers=headers, params=params)).json()

    told = answer.json()
    limit = told["details"]["limit"]
    assert (answer.status_code, told["code"], told["reason"]) == (402, "INSUFFICIENT_CREDITS", "credits.cap_exceeded")
    assert {name: told["details"][name] for name in ("required", "available", "cap", "source")} == {
        "required": 2.5,
        "available": 2,
        "cap": 5,
        "source": level,
    }
    assert (limit["id"], limit["feature"], limit["cycleEndsAt"]) == (
        cap.json()["id"],
        feature,
        cap.json()["cycleEndsAt"],
    )
    for words in ("2.5", f"the {level}'s cap of 5", "leaves 2", "Raise the cap", limit["cycleEndsAt"]):
        assert words in told["detail"]
    assert (explained["allowed"], explained["reason"]) == (False, told["reason"])
    assert explained["detail"] == told["detail"]
    assert (explained["required"], explained["available"], explained["limit"]["id"]) == (2.5, 2, limit["id"])
    assert [one["id"] for one in explained["limits"] if one["stops"]] == [limit["id"]]
    assert explained["limit"]["whatToDo"] in told["detail"]


@pytest.mark.parametrize(
    ("settings", "source", "way_out"),
    [
        ({"creditPool": "agency"}, "agency", "Grant or transfer credits"),
        ({"creditPool": "workspace"}, "workspace", "borrowLimit"),
        ({"creditPool": "workspace", "borrowLimit": 2}, "workspace", "borrowLimit"),
    ],
)
async def test_a_refusal_for_an_empty_pool_says_whose_and_how_to_fill_it(
    database: Database, http: httpx2.AsyncClient, settings: Mapping[str, Any], source: str, way_out: str
) -> None:
    home = await a_home(database, granted=4_000)
    first, _ = home.workspaces
    headers = await a_key(database, home.origin)
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.update(tx, home.caller, first, patch={"settings": dict(settings)})
    left = {"agency": 4, "workspace": settings.get("borrowLimit", 0)}[source]

    answer = await http.post("/v1/credits/charges", headers=headers, json=_charge(home, 5))
    passes = await http.post("/v1/credits/charges", headers=headers, json=_charge(home, left))

    told = answer.json()
    assert (answer.status_code, told["reason"]) == (402, "credits.exhausted")
    assert [told["details"][name] for name in ("required", "available", "cap", "source")] == [5, left, None, source]
    assert way_out in told["detail"]
    assert told["details"]["limit"]["kind"] == "pool"
    assert passes.status_code == 201


async def test_all_that_stop_a_call_are_told_and_what_leaves_least_is_named(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=4_000)
    first, _ = home.workspaces
    headers = await a_key(database, home.origin)
    for path, cap in [("agency", 6), (f"workspaces/{first}", 2)]:
        await http.put(f"/v1/{path}/credit-cap", headers=headers, json={"credits": cap})

    told = (await http.post("/v1/credits/charges", headers=headers, json=_charge(home, 7))).json()

    assert [(one["kind"], one["source"], one["available"]) for one in told["details"]["limits"]] == [
        ("cap", "workspace", 2),
        ("pool", "agency", 4),
        ("cap", "agency", 6),
    ]
    assert told["details"]["limit"] == told["details"]["limits"][0]


async def test_a_workspace_key_is_told_what_is_left_and_not_what_others_took(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    await work(home, second, used(7_000))
    agency = await a_key(database, home.origin)
    key_id, inside = await _own_key(http, database, home, first)
    await http.put("/v1/agency/credit-cap", headers=agency, json={"credits": 20})
    await http.put(f"/v1/api-keys/{key_id}/credit-cap", headers=agency, json={"credits": 9})
    params = {"workspaceId": first, "feature": "image", "amount": "50"}

    refused = (await http.post("/v1/credits/charges", headers=inside, json=_charge(home, 50))).json()
    theirs = (await http.get(EXPLAIN, headers=inside, params=params)).json()
    ours = (await http.get(EXPLAIN, headers=agency, params={**params, "keyId": key_id})).json()

    def seen(limits: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return sorted((one["source"], one["kind"], one["available"], one["used"], one["held"]) for one in limits)

    hidden = [("agency", "cap", 13, None, None), ("key", "cap", 9, 0, 0)]
    assert seen(refused["details"]["limits"]) == hidden
    assert seen(theirs["limits"]) == [*hidden[:1], ("agency", "pool", 93, None, None), *hidden[1:]]
    assert seen(ours["limits"]) == [("agency", "cap", 13, 7, 0), ("agency", "pool", 93, 7, 0), ("key", "cap", 9, 0, 0)]


async def test_what_is_asked_badly_names_its_parameter(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    first, second = home.workspaces
    agency = await a_key(database, home.origin)
    elsewhere, _ = await _own_key(http, database, home, second)
    _, inside = await _own_key(http, database, home, first)
    good = {"workspaceId": first, "feature": "generation"}

    for headers, params, pointer in [
        (agency, {"feature": "image"}, "?workspaceId"),
        (agency, {"workspaceId": first}, "?feature"),
        (agency, {**good, "workspaceId": new_id("ws")}, "?workspaceId"),
        (agency, {**good, "workspaceId": "nonsense"}, "?workspaceId"),
        (inside, {**good, "workspaceId": second}, "?workspaceId"),
        (inside, {**good, "keyId": elsewhere}, "?keyId"),
        (agency, {**good, "keyId": new_id("key")}, "?keyId"),
        (agency, {**good, "keyId": "nonsense"}, "?keyId"),
        (agency, {**good, "feature": "No Name"}, "?feature"),
        (agency, {**good, "feature": "no_price"}, "?amount"),
        (agency, {**good, "amount": "-1"}, "?amount"),
        (agency, {**good, "amount": "0.0001"}, "?amount"),
        (agency, {**good, "amount": "NaN"}, "?amount"),
        (agency, {**good, "amount": "much"}, "?amount"),
        (agency, {**good, "colour": "red"}, "?colour"),
    ]:
        answer = await http.get(EXPLAIN, headers=headers, params=params)
        assert answer.status_code == 400, params
        assert [error["pointer"].split("/")[0] for error in answer.json()["errors"]] == [pointer]


async def test_without_an_amount_the_price_of_a_unit_is_explained(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=11_000)
    first, _ = home.workspaces
    headers = await a_key(database, home.origin)
    params = {"workspaceId": first, "feature": "generation"}

    cheap = (await http.get(EXPLAIN, headers=headers, params=params)).json()
    await http.put("/v1/prices", headers=headers, json={"prices": {"generation": 12}})
    dear = (await http.get(EXPLAIN, headers=headers, params=params)).json()

    assert (cheap["allowed"], cheap["required"], cheap["wouldPay"]) == (True, 10, [{"source": "agency", "credits": 10}])
    assert (cheap["reason"], cheap["rule"], cheap["priceVersion"]) == (None, "pool", 0)
    assert (dear["allowed"], dear["required"], dear["reason"]) == (False, 12, "credits.exhausted")
    assert (dear["priceVersion"], dear["wouldPay"], dear["rule"]) == (1, [], None)


async def test_what_remains_to_a_workspace_is_the_least_of_pool_and_caps(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    headers = await a_key(database, home.origin)
    await work(home, second, used(5_000))

    async def remaining() -> float:
        usage = await http.get(f"/v1/workspaces/{first}/usage", headers=headers)
        left: float = usage.json()["creditsRemaining"]
        return left

    found = [await remaining()]
    for path, cap in [("agency", 50), (f"workspaces/{first}", 20), (f"workspaces/{second}", 1)]:
        await http.put(f"/v1/{path}/credit-cap", headers=headers, json={"credits": cap})
        found.append(await remaining())

    assert found == [95, 45, 20, 20]
    assert (await http.get("/v1/credits", headers=headers)).json()["agency"]["cap"] == 50
