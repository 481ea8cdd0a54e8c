"""Reports of usage among ten million events: over HTTP, from the roll-up alone, and from the events themselves."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg

from bench.installation import Installation
from bench.load import Tick
from bench.servers import SHIPPED, fetch, serving
from colonnade.credits import GroupBy
from colonnade.credits.report_store import statement
from colonnade.credits.usage_model import Days, Instants, UsageQuestion
from colonnade.ground.core.callers import Reach
from colonnade.ground.db.address import Address
from colonnade.installation import APP, OWNER

API_MS: Final = 60.0
DATABASE_MS: Final = 10.0
RATIO: Final = 20.0
DAYS: Final = 30

_SQL: Final = Path(__file__).with_suffix(".sql")
_BREAKDOWN: Final = (GroupBy.WORKSPACE, GroupBy.FEATURE, GroupBy.DAY)
_EXECUTION: Final = re.compile(r"Execution Time: ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many events there are, over how many agencies, and how many of them one agency has."""

    events: int = 10_000_000
    agencies: int = 50
    hot: int = 4_000_000


@dataclass(frozen=True, slots=True)
class ReportCosts:
    """The milliseconds of each round, and what was answered."""

    api_ms: tuple[float, ...]
    database_ms: tuple[float, ...]
    raw_ms: tuple[float, ...]
    """What PostgreSQL needs for the same of the events themselves."""
    formats_s: Mapping[str, float]
    """How long the whole month by key and model besides takes as a file."""
    groups: int
    read: int
    """How many rows of the roll-up were summed for them."""
    megabytes: float

    @property
    def ratio(self) -> float:
        """The median round's."""
        return median(raw / kept for raw, kept in zip(self.raw_ms, self.database_ms, strict=True))


def measure(home: Installation, rounds: int, tick: Tick, amount: Amount | None = None) -> ReportCosts:
    """Fill the installation, then ask it in turn: by its server, by the statement alone, by the events alone."""
    last = datetime.now(UTC).date() - timedelta(days=1)
    days = Days(last - timedelta(days=DAYS - 1), last + timedelta(days=1))
    asyncio.run(_fill(home, amount or Amount(), days, tick))
    with serving(SHIPPED, home.environment, None) as server:
        fetch(server.port, "/v1/whoami", home.key)
        http = HTTPConnection("127.0.0.1", server.port, timeout=120)
        path = f"/v1/usage?from={days.first}&to={days.end}&groupBy="
        found = [_round(home, http, f"{path}workspace,feature,day", days) for _ in range(rounds + 1)][1:]
        tick("asking")
        http.close()
        formats = {one: _seconds(http, home, f"{path}workspace,feature,key,model,day&format={one}") for one in _FILES}
        body = _get(http, home, f"{path}workspace,feature,day")
        http.close()
    rows = asyncio.run(_count(home, days))
    api, kept, raw = zip(*found, strict=True)
    return ReportCosts(api, kept, raw, formats, len(json.loads(body)["data"]), rows, len(body) / 1e6)


_FILES: Final = ("csv", "ndjson")


def _get(http: HTTPConnection, home: Installation, path: str) -> bytes:
    http.request("GET", path, headers={"Authorization": f"Bearer {home.key}"})
    answer = http.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {body[:300]!r}")
    return body


def _seconds(http: HTTPConnection, home: Installation, path: str) -> float:
    begin = time.perf_counter()
    _get(http, home, path)
    return time.perf_counter() - begin


def _round(home: Installation, http: HTTPConnection, path: str, days: Days) -> tuple[float, float, float]:
    """The medians of some questions each; the events are asked once, which takes long enough."""
    http.close()  # the server has hung up while the events were summed; the first question calls again
    _get(http, home, path)
    api = median(_seconds(http, home, path) * 1000 for _ in range(9))
    kept, raw = asyncio.run(_asked(home, days))
    return api, kept, raw


async def _asked(home: Installation, days: Days) -> tuple[float, float]:
    first, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (days.first, days.end))
    connection = await asyncpg.connect(**home.address.arguments(APP))
    try:
        async with connection.transaction(readonly=True):
            await _enter(connection, home.agency_id)
            kept = [await _explained(connection, home, days) for _ in range(9)]
            raw = await _explained(connection, home, Instants(first, end, "UTC"))
    finally:
        await connection.close()
    return median(kept), raw


async def _explained(connection: Any, home: Installation, span: Days | Instants) -> float:
    """What PostgreSQL itself says that the statement took, which the shipped code makes of the question."""
    asked = statement(Reach(home.agency_id), UsageQuestion(span, _BREAKDOWN))
    rows = await connection.fetch(f"explain (analyze, timing off) {asked.sql}", *asked.arguments)
    (found,) = [match for row in rows if (match := _EXECUTION.match(row[0]))]
    return float(found[1])


async def _enter(connection: Any, agency_id: str) -> None:
    scope = "select set_config('app.agency_id', $1, true), set_config('app.workspace_ids', '*', true)"
    await connection.execute(scope, agency_id)


async def _count(home: Installation, days: Days) -> int:
    connection = await asyncpg.connect(**home.address.arguments(APP))
    async with connection.transaction(readonly=True):
        await _enter(connection, home.agency_id)
        found = await connection.fetchval(
            "select count(*) from usage_daily where agency_id = $1 and day >= $2 and day < $3",
            *(home.agency_id, days.first, days.end),
        )
    await connection.close()
    return int(found)


async def _fill(home: Installation, amount: Amount, days: Days, tick: Tick) -> None:
    owner = await _owner(home.address)
    others = [f"agency_{number:026d}" for number in range(2, amount.agencies + 1)]
    each = (amount.events - amount.hot) // max(len(others), 1)
    for number, (agency_id, many) in enumerate([(home.agency_id, amount.hot), *((one, each) for one in others)], 1):
        async with owner.transaction():
            await owner.execute("select pg_temp.use($1, $2, $3, $4)", agency_id, number, many, days.end - _DAY)
        tick("filling")
    await owner.execute("vacuum analyze usage_event")
    await owner.execute("vacuum analyze usage_daily")
    await owner.close()


_DAY: Final = timedelta(days=1)


async def _owner(address: Address) -> Any:
    owner = await asyncpg.connect(**address.arguments(OWNER), command_timeout=None)
    await owner.execute("set work_mem = '128MB'")
    await owner.execute(_SQL.read_text("utf-8"))
    return owner
