"""Keys by themselves: verified cold and warm, counted by the limiter, revoked in one process and refused in another."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median
from typing import Any, Final

from bench.installation import Installation
from bench.load import Tick
from bench.servers import SHIPPED, fetch, serving
from colonnade.cli.runtime import opened
from colonnade.ground.db.database import Database, Record
from colonnade.settings import Settings
from colonnade.tenancy.keys import KeyKeeper

CALLERS: Final = (1, 32, 256)
_VERIFIED: Final = 500
_TAKEN: Final = 4_000
_REVOKED: Final = 20
_PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Taking:
    """So many callers at once, each asking again as soon as it is answered."""

    callers: int
    per_second: float
    calls_each_trip: float


@dataclass(frozen=True, slots=True)
class KeyCosts:
    """Medians in milliseconds, and how long after a revocation was answered another process still let the key in."""

    cold_ms: float
    warm_ms: float
    taking: tuple[Taking, ...]
    limited_ms: tuple[float, ...]
    unlimited_ms: tuple[float, ...]


class _Counting(Database):
    """Counts the trips that are made outside of transactions."""

    trips = 0

    async def lookup(self, sql: str, *arguments: Any) -> list[Record]:
        """As the house's own."""
        self.trips += 1
        return await Database.lookup(self, sql, *arguments)


def measure(home: Installation, tick: Tick) -> KeyCosts:
    """All of it, one after the other."""
    cold, warm, taking = asyncio.run(_in_process(home, tick))
    with ExitStack() as stack:
        ports = [stack.enter_context(serving(SHIPPED, home.environment, None)).port for _ in range(2)]
        for port in ports:
            fetch(port, "/v1/whoami", home.key)
        limited = _revocations(home, ports, {"requests": 1_000_000, "windowSeconds": 60})
        tick("revocations")
        unlimited = _revocations(home, ports, None)
        tick("revocations")
    return KeyCosts(cold, warm, taking, limited, unlimited)


async def _in_process(home: Installation, tick: Tick) -> tuple[float, float, tuple[Taking, ...]]:
    settings = Settings(data_dir=home.folder)
    async with opened(settings) as plain:
        database = _Counting(plain.address, plain.role, plain.pepper)
        await database.open()
        keeper = KeyKeeper(database)
        cold = await _verified(keeper, home.key)  # nobody listens yet, so each time the database is asked
        await keeper.start()
        warm = await _verified(keeper, home.key)
        tick("verifications")
        taking = [await _taken(keeper, database, callers) for callers in CALLERS]
        tick("limits")
        await keeper.close()
        await database.close()
    return cold, warm, tuple(taking)


async def _verified(keeper: KeyKeeper, key: str) -> float:
    took = []
    for _ in range(_VERIFIED):
        begin = time.perf_counter()
        await keeper.ring.verify(key, "192.0.2.1")
        took.append((time.perf_counter() - begin) * 1000)
    return median(took)


async def _taken(keeper: KeyKeeper, database: _Counting, callers: int) -> Taking:
    left = iter(range(_TAKEN))

    async def caller() -> None:
        for _ in left:
            await keeper.limiter.take(f"bench:{callers}", 1_000_000, 60)

    trips, begin = database.trips, time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return Taking(callers, _TAKEN / (time.perf_counter() - begin), _TAKEN / (database.trips - trips))


def _revocations(home: Installation, ports: Sequence[int], limit: dict[str, int] | None) -> tuple[float, ...]:
    here, there = (HTTPConnection("127.0.0.1", port, timeout=60) for port in ports)
    wanted = {"name": "to be revoked", "preset": "read_only", "rateLimit": limit}
    took = []
    for _ in range(_REVOKED):
        made = json.loads(_asked(here, "POST", "/v1/api-keys", home.key, json.dumps(wanted))[1])
        if _asked(there, "GET", "/v1/whoami", made["key"])[0] != 200:
            raise RuntimeError("the other process does not know a key that was just made")
        _asked(here, "DELETE", f"/v1/api-keys/{made['id']}", home.key)
        took.append(_until_refused(there, made["key"]))
    return tuple(took)


def _until_refused(there: HTTPConnection, key: str) -> float:
    begin = time.perf_counter()
    while True:
        asked = time.perf_counter()
        if _asked(there, "GET", "/v1/whoami", key)[0] == 403:
            return (asked - begin) * 1000
        if asked - begin > _PATIENCE_SECONDS:
            raise RuntimeError("a revoked key was let in for seconds")


def _asked(line: HTTPConnection, method: str, path: str, key: str, body: str | None = None) -> tuple[int, bytes]:
    line.request(method, path, body, {"Authorization": f"Bearer {key}"})
    answer = line.getresponse()
    return answer.status, answer.read()
