"""Events told in batches of a thousand: the whole of it beside a bare insert, in the database and over HTTP."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from statistics import median
from typing import Any, Final

from bench import usage_bare
from bench.installation import Installation
from bench.load import Tick
from bench.servers import fetch, serving
from colonnade import credits
from colonnade.cli.runtime import opened
from colonnade.credits.event_model import MOST_EVENTS, ToldEvent
from colonnade.ground.core.amounts import MOST, MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database, Tx
from colonnade.settings import Settings
from colonnade.tenancy import agencies

COST_GOAL: Final = 4.0
"""How many times a bare insert an event may cost in the database."""
ROUTE_GOAL: Final = 0.5
"""How many of the events per second of a route that only inserts."""

_BARE: Final = ("bench.usage_bare",)
_PATH: Final = "/v1/usage/events"
_FEATURES: Final = ("image", "transcription", "translation", "video")
_EACH: Final = 5
"""Batches of either kind in a round."""

_numbers = count()


@dataclass(frozen=True, slots=True)
class EventCosts:
    """The milliseconds of a batch in each round: told and inserted, in the database and over HTTP."""

    told_ms: tuple[float, ...]
    inserted_ms: tuple[float, ...]
    route_ms: tuple[float, ...]
    bare_route_ms: tuple[float, ...]

    @property
    def cost(self) -> float:
        """How many times a bare insert: the median round's."""
        return median(told / bare for told, bare in zip(self.told_ms, self.inserted_ms, strict=True))

    @property
    def share(self) -> float:
        """Of the events per second of the route that only inserts: the median round's."""
        return median(bare / told for told, bare in zip(self.route_ms, self.bare_route_ms, strict=True))


def measure(home: Installation, rounds: int, tick: Tick) -> EventCosts:
    """Both in turn, round by round, a batch of fresh events each time."""
    told, inserted = asyncio.run(_in_database(home, rounds, tick))
    with serving(_BARE, home.environment, None) as server:
        fetch(server.port, "/v1/whoami", home.key)
        http = HTTPConnection("127.0.0.1", server.port, timeout=120)
        for _ in range(3):
            _post(http, home, _PATH), _post(http, home, usage_bare.PATH)
        found = []
        for _ in range(rounds):
            pairs = [(_post(http, home, _PATH), _post(http, home, usage_bare.PATH)) for _ in range(_EACH)]
            found.append([median(one) for one in zip(*pairs, strict=True)])
            tick("telling over HTTP")
        http.close()
    route, bare = zip(*found, strict=True)
    return EventCosts(told, inserted, route, bare)


async def _in_database(home: Installation, rounds: int, tick: Tick) -> tuple[tuple[float, ...], tuple[float, ...]]:
    caller = agencies.entering(home.agency_id)

    async def told(tx: Tx) -> None:
        outcomes = await credits.report_usage(tx, caller, _batch(home))
        assert {one.status.value for one in outcomes} == {"recorded"}

    async def inserted(tx: Tx) -> None:
        await usage_bare.insert(tx, caller.actor_id, _batch(home), await tx.now())

    async with opened(Settings(data_dir=home.folder)) as database:
        async with database.transaction(caller.reach) as tx:
            await credits.grant(tx, caller, amount=MilliCredits(MOST))
        for _ in range(3):
            await _timed(database, caller, told), await _timed(database, caller, inserted)
        found = []
        for _ in range(rounds):
            pairs = [
                (await _timed(database, caller, told), await _timed(database, caller, inserted)) for _ in range(_EACH)
            ]
            found.append([median(one) for one in zip(*pairs, strict=True)])
            tick("telling in the database")
    whole, bare = zip(*found, strict=True)
    return whole, bare


async def _timed(database: Database, caller: Caller, act: Callable[[Tx], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    async with database.transaction(caller.reach) as tx:
        await act(tx)
    return (time.perf_counter() - begin) * 1000


def _batch(home: Installation) -> list[ToldEvent]:
    places = _places(home)
    return [
        ToldEvent(str(next(_numbers)), "bench", place, _FEATURES[number % 4], MilliCredits(1_000 + number))
        for number, place in enumerate(places)
    ]


def _places(home: Installation) -> Sequence[str]:
    return [home.workspace_ids[number % len(home.workspace_ids)] for number in range(MOST_EVENTS)]


def _post(http: HTTPConnection, home: Installation, path: str) -> float:
    """The milliseconds of one call."""
    events: list[dict[str, Any]] = [
        {"id": str(next(_numbers)), "source": "bench http", "workspaceId": place, "feature": _FEATURES[number % 4],
         "credits": round(1 + number / 1000, 3)}
        for number, place in enumerate(_places(home))
    ]  # fmt: skip
    body = json.dumps({"events": events}).encode()
    begin = time.perf_counter()
    http.request("POST", path, body, headers={"Authorization": f"Bearer {home.key}"})
    answer = http.getresponse()
    told = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {told[:300]!r}")
    others = [one for one in json.loads(told)["data"] if one["status"] != "recorded"]
    if others:
        raise RuntimeError(f"{path} did not record all: {others[0]}")
    return (time.perf_counter() - begin) * 1000
