"""Credits and usage over HTTP: shapes, who may do what, CSV."""

import csv
import io
from collections.abc import AsyncIterator

import httpx2
import pytest_asyncio

from colonnade import credits
from colonnade.credits import routes as credit_routes
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Database
from tests.credits.homes import Home, a_home, used, work
from tests.serving import a_key, served

ROUTERS = [credit_routes.routes]


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, ROUTERS) as client:
        yield client


async def _a_used_home(database: Database) -> Home:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    await work(home, first, used(2_500, model="=small"), used(500, "publish"))
    await work(home, second, used(1_000))
    return home


async def test_a_grant_shows_in_the_balances_and_in_the_ledger(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    key = await a_key(database, home.origin)
    until = "2999-01-01T00:00:00.000Z"

    granted = await http.post(
        "/v1/credits/grants", headers=key, json={"amount": 12.5, "workspaceId": first, "expiresAt": until, "note": "hi"}
    )
    await http.post("/v1/credits/transfers", headers=key, json={"amount": 2.5, "fromWorkspaceId": first})
    balances = await http.get("/v1/credits", headers=key)
    ledger = await http.get("/v1/credits/ledger", headers=key, params={"limit": 3})
    rest = await http.get("/v1/credits/ledger", headers=key, params={"limit": 3, "cursor": ledger.json()["nextCursor"]})

    assert granted.status_code == 201
    assert granted.json()["id"].startswith("grant_")
    assert (granted.json()["remaining"], granted.json()["expiresAt"]) == (12.5, until)
    assert balances.json()["agency"]["available"] == 2.5
    assert [pool["available"] for pool in balances.json()["workspaces"]] == [10]
    entries = ledger.json()["data"] + rest.json()["data"]
    assert [(entry["kind"], entry["account"], entry["amount"], entry["balanceAfter"]) for entry in entries] == [
        ("transfer", "pool", 2.5, 2.5),
        ("transfer", f"pool:{first}", -2.5, 10),
        ("grant", f"pool:{first}", 12.5, 12.5),
        ("grant", "issued", -12.5, -12.5),
    ]
    assert rest.json()["nextCursor"] is None


async def test_a_repeated_grant_with_its_key_is_granted_once(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    key = {**await a_key(database, home.origin), "idempotency-key": "once"}

    for _ in range(2):
        assert (await http.post("/v1/credits/grants", headers=key, json={"amount": 5})).status_code == 201

    assert (await http.get("/v1/credits", headers=key)).json()["agency"]["available"] == 5


async def test_bad_grants_name_their_fields(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    key = await a_key(database, home.origin)

    for body, pointer in [
        ({}, "/amount"),
        ({"amount": 0}, "/amount"),
        ({"amount": -3}, "/amount"),
        ({"amount": 0.0001}, "/amount"),
        ({"amount": "5"}, "/amount"),
        ({"amount": 5, "workspaceId": "ws_nowhere"}, "/workspaceId"),
        ({"amount": 5, "expiresAt": "2001-01-01T00:00:00Z"}, "/expiresAt"),
        ({"amount": 5, "colour": "red"}, "/colour"),
    ]:
        answer = await http.post("/v1/credits/grants", headers=key, json=body)
        assert answer.status_code == 400
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_where_the_operator_grants_no_key_does(database: Database) -> None:
    home = await a_home(database)
    key = await a_key(database, home.origin)

    async with served(database, ROUTERS, {credit_routes.GRANTS_BY_OPERATOR: True}) as http:
        answer = await http.post("/v1/credits/grants", headers=key, json={"amount": "nonsense"})

    assert (answer.status_code, answer.json()["reason"]) == (403, "credits.operator_grants")


async def test_a_workspace_key_reads_its_own_and_grants_nothing(database: Database, http: httpx2.AsyncClient) -> None:
    home = await _a_used_home(database)
    first, second = home.workspaces
    key = await a_key(database, home.origin, first)

    granted = await http.post("/v1/credits/grants", headers=key, json={"amount": 5})
    balances = await http.get("/v1/credits", headers=key)
    ledger = await http.get("/v1/credits/ledger", headers=key)
    usage = await http.get("/v1/usage", headers=key, params={"groupBy": "workspace"})
    own = await http.get(f"/v1/workspaces/{first}/usage", headers=key)
    foreign = await http.get(f"/v1/workspaces/{second}/usage", headers=key)

    assert (granted.status_code, granted.json()["reason"]) == (403, "keys.wrong_kind")
    assert balances.json()["agency"] is None
    assert {entry["workspaceId"] for entry in ledger.json()["data"]} == {first}
    assert usage.json() == {
        "data": [{"workspaceId": first, "credits": 3, "events": 2}],
        "totals": {"credits": 3, "events": 2},
    }
    assert own.json()["creditsUsedThisCycle"] == 3
    assert own.json()["creditsRemaining"] == 96
    assert own.json()["byFeature"] == {"generation": 2.5, "publish": 0.5}
    assert own.json()["cycleEndsAt"].endswith("T00:00:00.000Z")
    assert foreign.status_code == 404


async def test_another_agency_is_told_nothing(database: Database, http: httpx2.AsyncClient) -> None:
    home, stranger = await _a_used_home(database), await a_home(database)
    key = await a_key(database, stranger.origin)
    first = home.workspaces[0]

    assert (await http.get("/v1/credits/ledger", headers=key)).json()["data"] == []
    assert (await http.get("/v1/usage", headers=key)).json()["totals"] == {"credits": 0, "events": 0}
    assert (await http.get(f"/v1/workspaces/{first}/usage", headers=key)).status_code == 404
    assert (await http.get("/v1/usage", headers=key, params={"workspaceId": first})).status_code == 400
    assert (await http.get("/v1/credits/ledger", headers=key, params={"workspaceId": first})).json()["data"] == []


async def test_usage_is_asked_by_days_moments_and_groups(database: Database, http: httpx2.AsyncClient) -> None:
    home = await _a_used_home(database)
    key = await a_key(database, home.origin)

    questions: list[dict[str, str | list[str]]] = [
        {"groupBy": "feature,model", "from": "2020-01-01", "to": "2999-01-01"},
        {"groupBy": ["feature", "model"], "from": "2020-01-01T00:00:00.5Z", "to": "2999-01-01T00:00:00+01:00"},
        {"groupBy": "feature, model"},
    ]
    for params in questions:
        answer = await http.get("/v1/usage", headers=key, params=params)
        assert answer.status_code == 200
        assert answer.json()["data"] == [
            {"feature": "generation", "model": None, "credits": 1, "events": 1},
            {"feature": "generation", "model": "=small", "credits": 2.5, "events": 1},
            {"feature": "publish", "model": None, "credits": 0.5, "events": 1},
        ]
    narrowed = await http.get("/v1/usage", headers={**key, "x-workspace-id": home.workspaces[1]})
    assert narrowed.json()["totals"]["credits"] == 1


async def test_usage_as_csv_holds_no_formula(database: Database, http: httpx2.AsyncClient) -> None:
    home = await _a_used_home(database)
    key = await a_key(database, home.origin)

    answer = await http.get("/v1/usage", headers=key, params={"groupBy": "workspace,model", "format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert header == ["workspaceId", "model", "credits", "events", "workspaceName"]
    assert all(row[4] for row in rows)
    assert [row[1:4] for row in rows] == [["", "0.5", "1"], ["'=small", "2.5", "1"], ["", "1", "1"]]


async def test_bad_questions_about_usage_name_their_parameters(database: Database, http: httpx2.AsyncClient) -> None:
    key = await a_key(database, (await a_home(database)).origin)

    for params, pointer in [
        ({"groupBy": "colour"}, "?groupBy"),
        ({"groupBy": "day,day"}, "?groupBy"),
        ({"from": "yesterday"}, "?from"),
        ({"from": "2026-02-01T00:00:00"}, "?from"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "?to"),
        ({"format": "xml"}, "?format"),
        ({"colour": "red"}, "?colour"),
    ]:
        answer = await http.get("/v1/usage", headers=key, params=params)
        assert answer.status_code == 400
        assert {error["pointer"].split("/")[0] for error in answer.json()["errors"]} == {pointer}


async def test_prices_are_the_house_s_own_until_the_agency_sets_others(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    key = await a_key(database, home.origin, home.workspaces[0])
    async with database.transaction(home.caller.reach) as tx:
        await tx.executemany(
            "insert into price (agency_id, id, feature, version, credits, created_by, created_at) "
            "values ($1, $2, 'publish', $3, $4, 'key', now())",
            [(home.agency_id, "price_1", 1, 4_000), (home.agency_id, "price_2", 2, 250)],
        )
        assert (await credits.price_list(tx)).estimate({"publish": 2, "refine": 1}) == MilliCredits(5_500)

    prices = (await http.get("/v1/prices", headers=key)).json()

    by_feature = {price["feature"]: (price["credits"], price["source"]) for price in prices["data"]}
    assert prices["version"] == 2
    assert by_feature["publish"] == (0.25, "agency")
    assert by_feature["rank_check"] == (0.5, "default")
