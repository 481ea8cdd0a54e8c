"""What an operation costs in a grown installation beside a small one: request by request, in turn."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
import psutil

from bench.crowd import BASE, Crowd, fill
from bench.installation import Installation, installed
from bench.load import Tick
from bench.servers import SHIPPED, fetch, serving
from colonnade.installation import APP

SMALL: Final = Crowd(workspaces=10, agencies=0)
LARGE: Final = Crowd(workspaces=10_000, agencies=1_000)
ROUNDS: Final = 7
_EACH: Final = 60
"""Requests of an operation to either side in one round."""

_LIST: Final = "/v1/workspaces?limit=10"
_FIVE: Final = "/v1/workspaces?limit=5&cursor="
_INCLUDES: Final = "include=usage,health,lastActiveAt,brand,integrations,settings,settingSources"
_COLD: Final = "select * from door_key(array[sha256(convert_to($1, 'UTF8'))])"

GOALS: Final[Mapping[str, float]] = {
    "list of 10, all includes": 1.5,
    "list of 10, last active first": 1.5,
    "list of 5, a later page": 1.5,
    "get": 1.5,
    "verification, warm": 1.5,
    "verification, cold, in the database": 1.5,
    "list of the agency's keys": 1.5,
    "list of members": 1.5,
    "audit log": 1.5,
    "search, one hit": 2.0,
    "search, many hits": 2.0,
    "search, no hit": 2.0,
    "search, two tags": 2.0,
}
"""How many times as much an operation may cost in the large installation, by its name."""

Ask = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation cost on either side: the median of each round's requests, in milliseconds."""

    small: tuple[float, ...]
    large: tuple[float, ...]
    database_ms: tuple[float, float]
    """What PostgreSQL computed for a request, in the small installation and in the large one."""

    @property
    def ratio(self) -> float:
        """The median round's."""
        return median(large / small for small, large in zip(self.small, self.large, strict=True))


@dataclass(frozen=True, slots=True)
class _Side:
    """One installation with its server, and a line to each of both."""

    home: Installation
    ids: Sequence[str]
    http: HTTPConnection
    loop: asyncio.AbstractEventLoop
    database: "asyncpg.Connection[asyncpg.Record]"

    def get(self, path: str) -> bytes:
        """The body of an answer; a server hangs up where nothing was asked for some seconds, and is called again."""
        try:
            answer = self._asked(path)
        except RemoteDisconnected:
            self.http.close()
            answer = self._asked(path)
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {body[:300]!r}")
        return body

    def _asked(self, path: str) -> HTTPResponse:
        self.http.request("GET", path, headers={"Authorization": f"Bearer {self.home.key}"})
        return self.http.getresponse()

    def over(self, *paths: str) -> Ask:
        """Asks for one path after the other."""
        turn = cycle(paths)
        return lambda: self.get(next(turn))

    def cold(self) -> Ask:
        """Looks up one key of the crowd after the other, as the door does for a key that it does not know."""
        turn = cycle([one.replace("ws_", "key_") for one in self.ids])
        return lambda: self.loop.run_until_complete(self.database.fetchrow(_COLD, next(turn)))

    def later_page(self, pages: int) -> str:
        """The cursor behind so many pages."""
        found: dict[str, Any] = json.loads(self.get("/v1/workspaces?limit=5"))
        for _ in range(pages):
            found = json.loads(self.get(f"/v1/workspaces?limit=100&cursor={found['nextCursor']}"))
        return str(found["nextCursor"])

    def computed(self) -> float:
        """The seconds that this side's PostgreSQL has computed so far."""
        within = str(self.home.folder)
        ours = psutil.Process().children(recursive=True)
        return sum(_seconds(one.pid) for one in ours if one.name() == "postgres" and one.cwd().startswith(within))


def _seconds(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text("ascii").split()[0]) / 1e9
    except (OSError, ValueError):
        return 0.0


def measure(scratch: Path, rounds: int, tick: Tick, large: Crowd = LARGE) -> tuple[dict[str, Cost], str]:
    """Two installations side by side, each with a server of its own; each operation is asked of both in turn.

    Told with the version of their PostgreSQL.
    """
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        both = [
            stack.enter_context(_side(scratch / "small", SMALL, runner, tick)),
            stack.enter_context(_side(scratch / "large", large, runner, tick)),
        ]
        asks = [_asks(side) for side in both]
        costs = {}
        for name in GOALS:
            costs[name] = _cost((both[0], asks[0][name]), (both[1], asks[1][name]), rounds)
            tick(name)
        version = runner.run(both[0].database.fetchval("select current_setting('server_version')"))
    return costs, str(version)


@contextlib.contextmanager
def _side(folder: Path, crowd: Crowd, runner: asyncio.Runner, tick: Tick) -> Iterator[_Side]:
    with installed(folder, many=0) as home:
        ids = runner.run(fill(home.address, home.agency_id, crowd, tick))
        with serving(SHIPPED, home.environment, None) as server:
            fetch(server.port, "/v1/whoami", home.key)
            http = HTTPConnection("127.0.0.1", server.port, timeout=60)
            database = runner.run(asyncpg.connect(**home.address.arguments(APP)))
            yield _Side(home, ids, http, runner.get_loop(), database)
            runner.run(database.close())
            http.close()


def _asks(side: _Side) -> dict[str, Ask]:
    pages = 50 if len(side.ids) > 5_000 else 0
    return {
        "list of 10, all includes": side.over(f"{_LIST}&{_INCLUDES}"),
        "list of 10, last active first": side.over(f"{_LIST}&sort=-lastActiveAt"),
        "list of 5, a later page": side.over(_FIVE + side.later_page(pages)),
        "get": side.over(*[f"/v1/workspaces/{one}" for one in side.ids]),
        "verification, warm": side.over("/v1/whoami"),
        "verification, cold, in the database": side.cold(),
        "list of the agency's keys": side.over("/v1/api-keys?limit=10"),
        "list of members": side.over("/v1/members?limit=10"),
        "audit log": side.over("/v1/audit-log?limit=10"),
        "search, one hit": side.over(*[f"{_LIST}&q=brand-{BASE + number}" for number in range(1, 10)]),
        "search, many hits": side.over(f"{_LIST}&q=e"),
        "search, no hit": side.over(f"{_LIST}&q=nothing+like+this"),
        "search, two tags": side.over(f"{_LIST}&tag=tier:premium&tag=region:5"),
    }


def _cost(small: tuple[_Side, Ask], large: tuple[_Side, Ask], rounds: int) -> Cost:
    for _, ask in (small, large):
        for _ in range(_EACH):
            ask()
    before = [side.computed() for side, _ in (small, large)]
    medians = [_round(small[1], large[1]) for _ in range(rounds)]
    asked = rounds * _EACH / 1000
    used = [(side.computed() - was) / asked for (side, _), was in zip((small, large), before, strict=True)]
    return Cost(tuple(one for one, _ in medians), tuple(one for _, one in medians), (used[0], used[1]))


def _round(small: Ask, large: Ask) -> tuple[float, float]:
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(_EACH):
        for ask, times in zip((small, large), took, strict=True):
            begin = time.perf_counter()
            ask()
            times.append((time.perf_counter() - begin) * 1000)
    return median(took[0]), median(took[1])
