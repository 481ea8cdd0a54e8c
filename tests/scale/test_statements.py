"""What an operation asks of the database is a number that stays: it grows neither with rows nor by accident."""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from colonnade import app
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.settings import Settings, pepper_of
from tests.factories import Home, a_signed_in, a_workspace, an_agency
from tests.house.installed import _alive
from tests.scale.counts import COUNTS, PAGE, page
from tests.scale.relay import Counted, Heard, relayed
from tests.serving import a_key, an_address

INCLUDES = "include=usage,health,lastActiveAt,brand,integrations,settings,settingSources"


@dataclass(frozen=True, slots=True)
class Place:
    """A whole application whose line to the database is listened to, and an agency of a hundred workspaces."""

    client: httpx2.AsyncClient
    heard: Heard
    database: Database
    home: Home
    ids: list[str]
    charge_id: str
    """Much was charged, so that a little of it can be given back again and again."""
    hold_id: str
    headers: dict[str, str]

    @property
    def named(self) -> Mapping[str, str]:
        """What stands in paths and bodies by a name in braces."""
        return {"id": self.ids[0], "other": self.ids[1], "charge": self.charge_id, "hold": self.hold_id}

    async def counted(self, method: str, path: str, *, is_known: bool = True, **sent: Any) -> Counted:
        """What this one request costs, with a key that the process has just seen unless told otherwise."""
        headers = {**self.headers, **sent.pop("headers", {})}
        if is_known:
            await self.client.get("/v1/whoami", headers=headers)
        self.heard.told()
        answer = await self.client.request(method, path, headers=headers, **sent)
        assert answer.status_code < 300, answer.text
        return self.heard.count()


@pytest_asyncio.fixture(scope="module")
async def place(address: Address, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("scale"), secret_key=SecretStr("of the tests " * 4))
    database = Database(address, "colonnade_app", pepper_of(settings))
    await database.open()
    home = await an_agency(database)
    ids = [(await a_workspace(database, home, name=f"Brand {number}")).id for number in range(100)]
    wide = await a_key(database, home, preset="master", rate_limit=None)
    async with relayed(address) as (line, heard):
        application = app.create(settings, line)
        transport = httpx2.ASGITransport(application, client=an_address())
        async with (
            _alive(application),
            httpx2.AsyncClient(transport=transport, base_url="http://here.example") as client,
        ):
            yield Place(client, heard, database, home, ids, *await _charged(client, ids[1], wide), wide)
    await database.close()


async def _charged(client: httpx2.AsyncClient, workspace_id: str, headers: dict[str, str]) -> tuple[str, str]:
    granted = await client.post("/v1/credits/grants", json={"amount": 10_000}, headers=headers)
    assert granted.status_code == 201, granted.text
    made = []
    for what in ("charges", "holds"):
        body = {"workspaceId": workspace_id, "feature": "image", "credits": 1000, "reference": f"much: {what}"}
        answer = await client.post(f"/v1/credits/{what}", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    charge_id, hold_id = made
    return charge_id, hold_id


_number = itertools.count()

FRESH = {"name", "industry", "reference"}
"""Fields whose values are other ones each time."""

Sent = Callable[[Place], tuple[str, str, dict[str, Any]]]


def get(path: str) -> Sent:
    return lambda place: ("GET", path.format(**place.named), {})


def send(method: str, path: str, body: Mapping[str, Any]) -> Sent:
    """A body that is another one each time, so that each time there is something to write."""

    def filled(place: Place, name: str, value: Any) -> Any:
        text = value.format(**place.named) if isinstance(value, str) else value
        return f"{text} {next(_number)}" if name in FRESH else text

    return lambda place: (
        method,
        path.format(**place.named),
        {"json": {name: filled(place, name, value) for name, value in body.items()}},
    )


def tell(events: int) -> Sent:
    """So many usage events that were never told before."""

    def event(place: Place) -> Mapping[str, Any]:
        return {"id": f"call {next(_number)}", "source": "here", "workspaceId": place.ids[1], **CHARGED}

    return lambda place: ("POST", "/v1/usage/events", {"json": [event(place) for _ in range(events)]})


def cap(path: str) -> Sent:
    """A cap that is another one each time."""
    return lambda place: ("PUT", path.format(**place.named), {"json": {"credits": 5000 + next(_number)}})


CHARGED: Mapping[str, Any] = {"feature": "image", "credits": 0.5}
ASKED: Mapping[str, Any] = {"workspaceId": "{other}", **CHARGED, "reference": "of"}

OPERATIONS: Mapping[str, Sent] = {
    "GET /v1/whoami": get("/v1/whoami"),
    "GET /v1/workspaces/{id}": get("/v1/workspaces/{id}"),
    "GET /v1/workspaces": get("/v1/workspaces"),
    "GET /v1/workspaces, all includes": get(f"/v1/workspaces?{INCLUDES}"),
    "GET /v1/workspaces?q=": get("/v1/workspaces?q=brand+7"),
    "GET /v1/workspaces?tag=": get("/v1/workspaces?tag=tier:premium"),
    "GET /v1/workspaces/{id}/usage": get("/v1/workspaces/{id}/usage"),
    "POST /v1/workspaces": send("POST", "/v1/workspaces", {"name": "New"}),
    "PATCH /v1/workspaces/{id}": send("PATCH", "/v1/workspaces/{other}", {"industry": "cycles"}),
    "GET /v1/api-keys": get("/v1/api-keys"),
    "POST /v1/api-keys": send("POST", "/v1/api-keys", {"name": "New", "preset": "read_only"}),
    "GET /v1/members": get("/v1/members"),
    "GET /v1/audit-log": get("/v1/audit-log"),
    "GET /v1/credits": get("/v1/credits"),
    "GET /v1/credits/explain": get("/v1/credits/explain?workspaceId={other}&feature=image&amount=10"),
    "POST /v1/credits/charges": send("POST", "/v1/credits/charges", ASKED),
    "GET /v1/credits/charges?reference=": get("/v1/credits/charges?reference=much:+charges"),
    "POST /v1/credits/charges/{id}/refund": send(
        "POST", "/v1/credits/charges/{charge}/refund", {"credits": 0.5, "reference": "back"}
    ),
    "POST /v1/credits/holds": send("POST", "/v1/credits/holds", ASKED),
    "POST /v1/credits/holds/{id}/capture": send(
        "POST", "/v1/credits/holds/{hold}/capture", {"credits": 0.5, "reference": "part"}
    ),
    "GET /v1/workspaces/{id}/credit-cap": get("/v1/workspaces/{id}/credit-cap"),
    "PUT /v1/workspaces/{id}/credit-cap": cap("/v1/workspaces/{id}/credit-cap"),
    "GET /v1/credits/ledger": get("/v1/credits/ledger"),
    "GET /v1/workspaces/{id}/statements": get("/v1/workspaces/{id}/statements"),
    "GET /v1/usage": get("/v1/usage?groupBy=workspace"),
    "POST /v1/usage/events": tell(1),
    "POST /v1/usage/events, 100 of them": tell(100),
    "GET /v1/usage/alerts": get("/v1/usage/alerts"),
    "GET /v1/posts?scope=agency": get("/v1/posts?scope=agency"),
    "GET /v1/agent/approvals?scope=agency": get("/v1/agent/approvals?scope=agency"),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_makes_exactly_as_many_trips_as_the_manual_says(place: Place, name: str) -> None:
    for _ in range(2):  # what can be warm is warm then
        method, path, sent = OPERATIONS[name](place)
        await place.counted(method, path, **sent)

    method, path, sent = OPERATIONS[name](place)

    assert await place.counted(method, path, **sent) == COUNTS[name]


@pytest.mark.parametrize("rows", [1, 10, 100])
async def test_a_list_with_all_includes_costs_as_much_for_one_row_as_for_a_hundred(place: Place, rows: int) -> None:
    path = f"/v1/workspaces?limit={rows}&{INCLUDES}"
    await place.counted("GET", path)

    assert await place.counted("GET", path) == COUNTS["GET /v1/workspaces, all includes"]


async def test_a_key_that_a_process_knows_costs_nothing_and_one_that_it_does_not_know_one_trip(place: Place) -> None:
    fresh = await a_key(place.database, place.home, preset="master", rate_limit=None)

    cold = await place.counted("GET", "/v1/whoami", headers=fresh, is_known=False)
    warm = await place.counted("GET", "/v1/whoami", headers=fresh)

    assert (cold, warm) == (Counted(1, 1), Counted(0, 0))


async def test_a_limit_costs_one_trip_that_is_shared_with_whoever_calls_at_the_same_moment(place: Place) -> None:
    limited = await a_key(place.database, place.home)
    await place.counted("GET", "/v1/whoami", headers=limited)

    assert await place.counted("GET", "/v1/whoami", headers=limited) == Counted(1, 1)


async def test_a_session_that_a_process_knows_costs_its_limit_alone(place: Place) -> None:
    session = await a_signed_in(place.database, place.home)
    for _ in range(2):
        await place.client.get("/v1/whoami", headers=session)
    place.heard.told()

    answer = await place.client.get("/v1/whoami", headers=session)

    assert answer.status_code == 200
    assert place.heard.count() == Counted(1, 1)


async def test_an_idempotency_key_costs_three_trips_on_top(place: Place) -> None:
    plain = COUNTS["PATCH /v1/workspaces/{id}"]
    for _ in range(2):
        method, path, sent = OPERATIONS["PATCH /v1/workspaces/{id}"](place)
        found = await place.counted(method, path, **sent, headers={"Idempotency-Key": f"once-{next(_number)}"})

    assert found == Counted(plain.trips + 3, plain.statements + 3)


def test_the_manual_shows_these_numbers() -> None:
    assert set(COUNTS) == set(OPERATIONS)
    text = PAGE.read_text("utf-8")
    assert text == page(text)
