"""Usage alerts over HTTP: set, read, changed and deleted, each within the reach of the key."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from colonnade.credits import routes as credit_routes
from colonnade.credits.alerting import MOST_OF_A_KIND
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from tests.credits.homes import Home, a_home, used, work
from tests.serving import a_key, served

ROUTERS = [credit_routes.routes]
PATH = "/v1/usage/alerts"


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, ROUTERS) as client:
        yield client


async def test_an_alert_is_set_read_changed_and_deleted(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=1_000)
    first, _ = home.workspaces
    key = await a_key(database, home.origin)

    made = await http.post(PATH, headers=key, json={"workspaceId": first, "thresholdPercent": 80})
    path = made.headers["location"]
    await work(home, first, used(900))
    read = await http.get(path, headers=key)
    changed = await http.patch(path, headers=key, json={"thresholdPercent": 95, "channels": ["webhook", "webhook"]})
    same = await http.patch(path, headers=key, json={"thresholdPercent": 95})
    gone = await http.delete(path, headers=key)

    assert made.status_code == 201
    assert made.json() == {
        "id": path.rpartition("/")[2],
        "workspaceId": first,
        "thresholdPercent": 80,
        "channels": ["mail"],
        "isActive": True,
        "firedAt": None,
        "createdAt": made.json()["createdAt"],
        "updatedAt": made.json()["createdAt"],
    }
    assert read.json()["firedAt"] is not None
    assert (changed.json()["thresholdPercent"], changed.json()["channels"]) == (95, ["webhook"])
    assert changed.json()["firedAt"] is None
    assert (changed.headers["etag"], same.headers["etag"]) == ('"v2"', '"v2"')
    assert gone.status_code == 204
    assert (await http.get(path, headers=key)).status_code == 404


async def test_a_change_goes_by_the_version_that_was_read(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    key = await a_key(database, home.origin)
    made = await http.post(PATH, headers=key, json={"thresholdPercent": 80})
    path, old = made.headers["location"], {"if-match": made.headers["etag"]}
    await http.patch(path, headers=key, json={"isActive": False})

    late = await http.patch(path, headers={**key, **old}, json={"thresholdPercent": 90})
    too_late = await http.delete(path, headers={**key, **old})

    assert (late.status_code, too_late.status_code) == (412, 412)
    assert (await http.get(path, headers=key)).json()["thresholdPercent"] == 80


async def test_a_workspaces_key_sets_alerts_about_its_workspace_and_sees_no_others(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    first, second = home.workspaces
    master, inside = await a_key(database, home.origin), await a_key(database, home.origin, first)
    others = [
        (await http.post(PATH, headers=master, json=body)).headers["location"]
        for body in ({"thresholdPercent": 80}, {"workspaceId": second, "thresholdPercent": 80})
    ]

    own = await http.post(PATH, headers=inside, json={"thresholdPercent": 80})
    elsewhere = await http.post(PATH, headers=inside, json={"thresholdPercent": 81, "workspaceId": second})
    listed = await http.get(PATH, headers=inside)

    assert (own.status_code, own.json()["workspaceId"]) == (201, first)
    assert elsewhere.status_code == 400
    assert elsewhere.json()["errors"][0]["pointer"] == "/workspaceId"
    assert [one["id"] for one in listed.json()["data"]] == [own.json()["id"]]
    for path in others:
        assert (await http.get(path, headers=inside)).status_code == 404
        assert (await http.patch(path, headers=inside, json={"isActive": False})).status_code == 404
        assert (await http.delete(path, headers=inside)).status_code == 404
    assert (await http.get(PATH, headers=master)).json()["total"] == 3


async def test_an_agency_key_for_some_workspaces_sets_none_about_the_agency(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    limited = await a_key(database, home.origin, preset="master", workspaces=[first])

    about_all = await http.post(PATH, headers=limited, json={"thresholdPercent": 80})
    about_one = await http.post(PATH, headers=limited, json={"thresholdPercent": 80, "workspaceId": first})

    assert (about_all.status_code, about_all.json()["reason"]) == (403, "keys.wrong_kind")
    assert about_one.status_code == 201


async def test_one_threshold_of_one_place_is_one_alert(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    first, second = home.workspaces
    key = await a_key(database, home.origin)

    async def asked(percent: int, workspace_id: str | None = None) -> httpx2.Response:
        return await http.post(PATH, headers=key, json={"workspaceId": workspace_id, "thresholdPercent": percent})

    outcomes = [await asked(80, name) for name in (None, first, second, None, first)]
    other = await asked(90)
    moved = await http.patch(other.headers["location"], headers=key, json={"thresholdPercent": 80})

    assert [one.status_code for one in outcomes] == [201, 201, 201, 409, 409]
    assert outcomes[-1].json()["reason"] == "usage_alerts.exists"
    assert (moved.status_code, moved.json()["details"]) == (409, {"thresholdPercent": 80})


async def test_a_place_takes_only_so_many_alerts(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    key = await a_key(database, home.origin)
    for percent in range(1, MOST_OF_A_KIND + 1):
        assert (await http.post(PATH, headers=key, json={"thresholdPercent": percent})).status_code == 201

    beyond = await http.post(PATH, headers=key, json={"thresholdPercent": 100})
    inside = await http.post(PATH, headers=key, json={"thresholdPercent": 1, "workspaceId": home.workspaces[0]})

    assert (beyond.status_code, beyond.json()["reason"]) == (422, "usage_alerts.too_many")
    assert inside.status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/thresholdPercent"),
        ({"thresholdPercent": 0}, "/thresholdPercent"),
        ({"thresholdPercent": 1001}, "/thresholdPercent"),
        ({"thresholdPercent": 79.5}, "/thresholdPercent"),
        ({"thresholdPercent": None}, "/thresholdPercent"),
        ({"thresholdPercent": 80, "channels": []}, "/channels"),
        ({"thresholdPercent": 80, "channels": ["pigeon"]}, "/channels/0"),
        ({"thresholdPercent": 80, "isActive": "yes"}, "/isActive"),
        ({"thresholdPercent": 80, "workspaceId": "ws_nowhere"}, "/workspaceId"),
        ({"thresholdPercent": 80, "workspaceId": new_id("ws")}, "/workspaceId"),
        ({"thresholdPercent": 80, "firedAt": None}, "/firedAt"),
    ],
)
async def test_what_is_no_alert_is_refused_by_its_field(
    database: Database, http: httpx2.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    home = await a_home(database, workspaces=0)
    key = await a_key(database, home.origin)

    refused = await http.post(PATH, headers=key, json=body)

    assert refused.status_code == 400
    assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]


async def test_nothing_is_set_or_changed_about_a_workspace_that_is_archived(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    key = await a_key(database, home.origin)
    path = (await http.post(PATH, headers=key, json={"workspaceId": first, "thresholdPercent": 80})).headers["location"]
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.archive(tx, home.caller, first)

    another = await http.post(PATH, headers=key, json={"workspaceId": first, "thresholdPercent": 90})
    changed = await http.patch(path, headers=key, json={"thresholdPercent": 90})

    assert (another.status_code, another.json()["reason"]) == (422, "workspace.archived")
    assert (changed.status_code, changed.json()["reason"]) == (422, "workspace.archived")
    assert (await http.get(path, headers=key)).status_code == 200


async def test_alerts_are_listed_page_by_page_and_by_workspace(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    key = await a_key(database, home.origin)
    for workspace_id in (None, first):
        for percent in (50, 80):
            await http.post(PATH, headers=key, json={"workspaceId": workspace_id, "thresholdPercent": percent})

    page = (await http.get(PATH, headers=key, params={"limit": 3})).json()
    rest = (await http.get(PATH, headers=key, params={"limit": 3, "cursor": page["nextCursor"]})).json()
    inside = (await http.get(PATH, headers=key, params={"workspaceId": first, "count": "exact"})).json()

    assert [(one["workspaceId"], one["thresholdPercent"]) for one in page["data"] + rest["data"]] == [
        (first, 80),
        (first, 50),
        (None, 80),
        (None, 50),
    ]
    assert (page["total"], rest["nextCursor"], inside["total"]) == (4, None, 2)


async def test_who_may_only_read_sets_nothing(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database)
    path = await _made(http, database, home)
    reader = await a_key(database, home.origin, preset="read_only")

    refused = [
        await http.post(PATH, headers=reader, json={"thresholdPercent": 90}),
        await http.patch(path, headers=reader, json={"isActive": False}),
        await http.delete(path, headers=reader),
    ]

    assert [(one.status_code, one.json()["reason"]) for one in refused] == [(403, "keys.scope_missing")] * 3
    assert (await http.get(path, headers=reader)).status_code == 200


async def _made(http: httpx2.AsyncClient, database: Database, home: Home) -> str:
    key = await a_key(database, home.origin)
    location: str = (await http.post(PATH, headers=key, json={"thresholdPercent": 80})).headers["location"]
    return location
