"""The agency's own prices: a list that is set whole, counted in versions, kept beside what was charged by them."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest_asyncio

from colonnade import credits
from colonnade.credits import PRICES, PriceList
from colonnade.credits import routes as credit_routes
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies
from tests.credits.homes import Home, a_home, a_request
from tests.factories import agency_caller
from tests.serving import a_key, served

ROUTERS = [credit_routes.routes]
PATH = "/v1/prices"


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, ROUTERS) as client:
        yield client


async def _in_force(database: Database, home: Home) -> PriceList:
    async with database.transaction(home.caller.reach) as tx:
        return await credits.price_list(tx)


def _shown(answer: httpx2.Response) -> dict[str, tuple[float, str]]:
    return {one["feature"]: (one["credits"], one["source"]) for one in answer.json()["data"]}


async def test_own_prices_are_set_whole_and_each_change_is_a_version(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    headers = await a_key(database, home.origin)

    before = await http.get(PATH, headers=headers)
    first = await http.put(PATH, headers=headers, json={"prices": {"generation": 12.5, "photo_shoot": 40}})
    again = await http.put(PATH, headers=headers, json={"prices": {"photo_shoot": 40, "generation": 12.5}})
    second = await http.put(PATH, headers=headers, json={"prices": {"generation": None, "publish": 0}})

    assert (before.json()["version"], before.headers["etag"]) == (0, '"v0"')
    assert _shown(before) == {name: (price.credits / 1000, "default") for name, price in PRICES.items()}
    assert [one.status_code for one in (first, again, second)] == [200, 200, 200]
    assert [one.json()["version"] for one in (first, again, second)] == [1, 1, 2]
    assert second.headers["etag"] == '"v2"'
    assert _shown(first)["generation"] == (12.5, "agency")
    assert _shown(first)["photo_shoot"] == (40, "agency")
    assert _shown(second) == {**_shown(before), "publish": (0, "agency")}
    assert (await http.get(PATH, headers=headers)).json() == second.json()
    assert await _in_force(database, home) == PriceList(2, {"publish": MilliCredits(0)})


async def test_going_back_to_the_default_is_a_version_too(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    headers = await a_key(database, home.origin)

    for number, prices in enumerate([{"publish": 3}, {}, {"publish": 3}, {}], start=1):
        answer = await http.put(PATH, headers=headers, json={"prices": prices})
        assert answer.json()["version"] == number

    assert await _in_force(database, home) == PriceList(4, {})


async def test_what_is_held_keeps_the_version_that_it_was_priced_by(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    headers = await a_key(database, home.origin)
    held = []
    for price in (1, 2):
        await http.put(PATH, headers=headers, json={"prices": {"generation": price}})
        async with database.transaction(home.caller.reach) as tx:
            held.append(await credits.hold(tx, home.caller, a_request(home.workspaces[0], 1_000)))

    assert [hold.price_version for hold in held] == [1, 2]


async def test_a_version_that_somebody_else_has_changed_is_not_overwritten(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    headers = await a_key(database, home.origin)

    def put(price: float, tag: str) -> asyncio.Task[httpx2.Response]:
        body = {"prices": {"publish": price}}
        return asyncio.ensure_future(http.put(PATH, headers={**headers, "if-match": tag}, json=body))

    both = await asyncio.gather(put(1, '"v0"'), put(2, '"v0"'))
    late = await put(3, '"v0"')
    right = await put(3, '"v1"')

    assert sorted(one.status_code for one in both) == [200, 412]
    assert (late.status_code, late.json()["reason"]) == (412, "request.precondition_failed")
    assert (right.status_code, right.json()["version"]) == (200, 2)


async def test_bad_prices_name_their_fields(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    headers = await a_key(database, home.origin)

    for body, pointer in [
        ({}, "/prices"),
        ({"prices": []}, "/prices"),
        ({"prices": {"publish": -1}}, "/prices/publish"),
        ({"prices": {"publish": 0.0001}}, "/prices/publish"),
        ({"prices": {"publish": "1"}}, "/prices/publish"),
        ({"prices": {"publish": True}}, "/prices/publish"),
        ({"prices": {"publish": 10**13}}, "/prices/publish"),
        ({"prices": {"Publish": 1}}, "/prices/Publish"),
        ({"prices": {"": 1}}, "/prices/"),
        ({"prices": {"a/b~c": 1}}, "/prices/a~1b~0c"),
        ({"prices": {f"f{number}": 1 for number in range(201)}}, "/prices"),
        ({"prices": {}, "version": 3}, "/version"),
    ]:
        answer = await http.put(PATH, headers=headers, json=body)
        assert answer.status_code == 400, body
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await _in_force(database, home)).version == 0


async def test_prices_are_set_by_who_may_grant_and_reaches_the_whole_agency(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    limited = await a_key(database, home.origin, preset="master", workspaces=[first])
    inside = await a_key(database, home.origin, first)
    management = await a_key(database, home.origin, preset="management")
    body = {"prices": {"publish": 1}}

    for headers, reason in [
        (limited, "keys.wrong_kind"),
        (inside, "keys.wrong_kind"),
        (management, "keys.scope_missing"),
    ]:
        answer = await http.put(PATH, headers=headers, json=body)
        assert (answer.status_code, answer.json()["reason"]) == (403, reason)
        assert (await http.get(PATH, headers=headers)).status_code == 200


async def test_where_the_operator_grants_nobody_sets_prices_but_in_test_mode(database: Database) -> None:
    home = await a_home(database)
    live = await a_key(database, home.origin)
    twin_id = await agencies.ensure_test_twin(database, home.caller)
    test = await a_key(database, type(home.origin)(twin_id, agency_caller(twin_id), home.origin.owner_id))
    body = {"prices": {"generation": 0}}

    async with served(database, ROUTERS, {credit_routes.GRANTS_BY_OPERATOR: True}) as http:
        refused = await http.put(PATH, headers=live, json=body)
        played = await http.put(PATH, headers=test, json=body)

    assert (refused.status_code, refused.json()["reason"]) == (403, "credits.operator_grants")
    assert played.status_code == 200
    assert (await _in_force(database, home)).version == 0
