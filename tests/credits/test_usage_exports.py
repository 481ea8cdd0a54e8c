"""Reports in every grouping and format: the same sums, and any length in constant memory."""

import contextlib
import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import psutil
import pytest
import pytest_asyncio
from starlette.types import Message

from colonnade import credits
from colonnade.credits import GroupBy, UsageQuery
from colonnade.credits import routes as credit_routes
from colonnade.credits.exporting import wire_name, writing
from colonnade.credits.report_store import statement
from colonnade.credits.usage_model import Days, UsageQuestion
from colonnade.ground.db.database import Connection, Database, Record
from colonnade.ground.web.exports import Format
from colonnade.ground.web.spooling import SpooledAnswer
from tests.audit.sealed_homes import tampering
from tests.credits.homes import Home, a_home, used, work
from tests.ground.test_spooling import stays
from tests.serving import a_key, served

ZONE = ZoneInfo("Asia/Kolkata")
EVERY_GROUPING = [tuple(chosen) for many in range(len(GroupBy) + 1) for chosen in itertools.combinations(GroupBy, many)]

_SPREAD = """
insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, model, cycle, credits, quantity,
                         transfer_id)
select $1, ($2::text[])[1 + n % 2], timestamptz '2026-01-30T17:10:00Z' + n * interval '47 minutes', 'evt_' || $1 || n,
       case n % 3 when 0 then 'publish' else 'generation' end, case when n % 5 > 0 then 'key_' || n % 2 end,
       case when n % 4 > 0 then 'model ' || n % 3 end, date '2026-01-01', n * 7 - 100, 1, 'xfer_' || n
from generate_series(1, 150) n
"""
_ROLLED_UP = """
insert into usage_daily (agency_id, day, workspace_id, feature, key_id, model, credits, events)
select agency_id, (at at time zone $2)::date, workspace_id, feature, coalesce(key_id, ''), coalesce(model, ''),
       sum(credits), count(*)
from usage_event where agency_id = $1 group by 1, 2, 3, 4, 5, 6
"""
_MANY = """
insert into usage_daily (agency_id, day, workspace_id, feature, key_id, model, credits, events)
select $1, date '2026-01-01' + $3::integer, 'ws_' || lpad(w::text, 26, '0'), 'feature ' || f, 'key_' || k, '', 1 + w, 1
from generate_series(1, $2::integer) w, generate_series(1, 10) f, generate_series(1, 10) k
"""


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [credit_routes.routes]) as client:
        yield client


async def _a_spread_home(database: Database) -> Home:
    """Events over some days, with and without keys and models, refunds among them, and their roll-up."""
    home = await a_home(database, timezone=ZONE.key)
    async with database.transaction(home.caller.reach) as tx:
        await tx.execute(_SPREAD, home.agency_id, list(home.workspaces))
        await tx.execute(_ROLLED_UP, home.agency_id, ZONE.key)
    return home


_TOLD: dict[GroupBy, Any] = {
    GroupBy.WORKSPACE: lambda event: event["workspace_id"],
    GroupBy.FEATURE: lambda event: event["feature"],
    GroupBy.KEY: lambda event: event["key_id"],
    GroupBy.MODEL: lambda event: event["model"],
    GroupBy.HOUR: lambda event: event["at"].strftime("%Y-%m-%dT%H:00:00.000Z"),
    GroupBy.DAY: lambda event: event["at"].astimezone(ZONE).strftime("%Y-%m-%d"),
    GroupBy.MONTH: lambda event: event["at"].astimezone(ZONE).strftime("%Y-%m"),
}
"""What an event counts in, said once more and differently."""


async def _events(home: Home) -> list[Record]:
    async with home.database.transaction(home.caller.reach) as tx:
        return await tx.fetch("select * from usage_event where agency_id = $1", home.agency_id)


Sums = dict[tuple[str | None, ...], tuple[Decimal, int]]


def _expected(events: Sequence[Record], group_by: Sequence[GroupBy]) -> Sums:
    credits, counts = Counter[tuple[str | None, ...]](), Counter[tuple[str | None, ...]]()
    for event in events:
        group = tuple(_TOLD[one](event) for one in group_by)
        credits[group] += event["credits"]
        counts[group] += 1
    return {group: (Decimal(credits[group]) / 1000, counts[group]) for group in counts}


def _read(rows: list[dict[str, Any]], group_by: Sequence[GroupBy]) -> Sums:
    names = [wire_name(one) for one in group_by]
    found = {
        tuple(row[name] or None for name in names): (Decimal(str(row["credits"])), int(row["events"])) for row in rows
    }
    assert len(found) == len(rows), "each group stands once"
    return found


_DAYS = {"from": "2026-01-01", "to": "2026-03-01"}
_CUT = {"from": "2026-01-01T00:00:00.5Z", "to": "2026-03-01"}


@pytest.mark.parametrize("span", [_DAYS, _CUT], ids=["of whole days", "that cuts a day"])
async def test_every_grouping_tells_the_same_sums_in_every_format(
    database: Database, http: httpx2.AsyncClient, span: dict[str, str]
) -> None:
    home = await _a_spread_home(database)
    key = await a_key(database, home.origin, preset="master", rate_limit=None)
    events = await _events(home)

    for group_by in EVERY_GROUPING:
        asked = {**span, "groupBy": ",".join(one.value for one in group_by)}
        told = (await http.get("/v1/usage", headers=key, params=asked)).json()
        lines = (await http.get("/v1/usage", headers=key, params={**asked, "format": "ndjson"})).text.splitlines()
        table = (await http.get("/v1/usage", headers=key, params={**asked, "format": "csv"})).text

        expected = _expected(events, group_by)
        assert _read(told["data"], group_by) == expected
        assert _read(list(csv.DictReader(io.StringIO(table, newline=""))), group_by) == expected
        assert [json.loads(line) for line in lines] == told["data"]
        sums = sum(amount for amount, _ in expected.values()), sum(count for _, count in expected.values())
        assert (Decimal(str(told["totals"]["credits"])), told["totals"]["events"]) == sums


async def test_rows_come_by_time_workspace_feature_key_and_model(database: Database) -> None:
    home = await _a_spread_home(database)
    order = [GroupBy.MONTH, GroupBy.DAY, GroupBy.HOUR, GroupBy.WORKSPACE, GroupBy.FEATURE, GroupBy.KEY, GroupBy.MODEL]
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)

    for group_by in EVERY_GROUPING:
        async with database.transaction(home.caller.reach, read_only=True) as tx:
            report = await credits.usage(tx, home.caller, UsageQuery(since, until, group_by[::-1]))
        places = [group_by[::-1].index(one) for one in order if one in group_by]
        keys = [tuple(row[place] for place in places) for row in report.rows]
        assert keys == sorted(keys)


async def test_a_day_on_which_more_was_given_back_than_used_is_a_number_in_every_format(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database)
    async with database.transaction(home.caller.reach) as tx:
        await tx.execute(
            "insert into usage_daily (agency_id, day, workspace_id, feature, credits, events) "
            "values ($1, '2026-01-05', $2, 'publish', -2500, 2)",
            *(home.agency_id, home.workspaces[0]),
        )
    key = await a_key(database, home.origin)
    asked = {"from": "2026-01-01", "to": "2026-02-01", "groupBy": "feature"}

    told = (await http.get("/v1/usage", headers=key, params=asked)).json()
    table = (await http.get("/v1/usage", headers=key, params={**asked, "format": "csv"})).text

    assert told == {
        "data": [{"feature": "publish", "credits": -2.5, "events": 2}],
        "totals": {"credits": -2.5, "events": 2},
    }
    assert table == "feature,credits,events\r\npublish,-2.5,2\r\n"


async def test_work_that_nothing_could_pay_for_is_told_by_what_it_would_have_cost(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await _a_spread_home(database)
    async with database.transaction(home.caller.reach) as tx:
        await tx.execute(
            "insert into usage_event (agency_id, workspace_id, at, id, feature, cycle, credits, quantity, is_funded, "
            "would_cost) values ($1, $2, '2026-02-02', 'evt_unfunded', 'publish', '2026-02-01', 0, 1, false, 1500)",
            *(home.agency_id, home.workspaces[0]),
        )
    key = await a_key(database, home.origin)

    answers = [
        await http.get("/v1/usage", headers=key, params={**_DAYS, "groupBy": "workspace", "unfunded": told})
        for told in ("true", "false")
    ]

    assert answers[0].json()["data"] == [{"workspaceId": home.workspaces[0], "credits": 1.5, "events": 1}]
    assert answers[1].json()["totals"]["events"] == 150


async def test_a_workspace_key_exports_its_own_alone(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    await work(home, first, used(2_000))
    await work(home, second, used(1_000))
    key = await a_key(database, home.origin, second)

    for wanted in ("csv", "ndjson"):
        answer = await http.get("/v1/usage", headers=key, params={"groupBy": "workspace", "format": wanted})
        refused = await http.get("/v1/usage", headers=key, params={"workspaceId": first, "format": wanted})
        assert second in answer.text
        assert first not in answer.text
        assert refused.status_code == 400


async def test_an_empty_report_is_a_head_or_nothing(database: Database, http: httpx2.AsyncClient) -> None:
    key = await a_key(database, (await a_home(database)).origin)
    asked = {"groupBy": "workspace,day"}

    answers = {
        wanted: (await http.get("/v1/usage", headers=key, params={**asked, "format": wanted})).text
        for wanted in ("json", "csv", "ndjson")
    }

    assert answers == {
        "json": '{"data":[],"totals":{"credits":0,"events":0}}',
        "csv": "workspaceId,day,credits,events,workspaceName\r\n",
        "ndjson": "",
    }


async def test_a_breakdown_can_walk_along_the_key_of_the_roll_up_and_sort_nothing(
    database: Database, owner: Connection
) -> None:
    async with _rolled_up(database, owner, 3) as home:
        question = UsageQuestion(
            Days(date(2026, 2, 1), date(2026, 3, 1)), (GroupBy.WORKSPACE, GroupBy.FEATURE, GroupBy.DAY, GroupBy.MONTH)
        )
        asked = statement(home.caller.reach, question)
        async with database.transaction(home.caller.reach, read_only=True) as tx:
            for other in ("hashagg", "sort", "bitmapscan", "seqscan"):  # of so few rows, other ways are as good
                await tx.execute(f"set local enable_{other} = off")
            plan = await tx.fetch(f"explain (analyze, costs off, timing off) {asked.sql}", *asked.arguments)

    text = "\n".join(row[0] for row in plan)
    assert "Index Only Scan using usage_daily_pkey" in text
    assert "Sort" not in text
    assert "Hash" not in text


_HEADS: dict[Format, int] = {"csv": 1, "ndjson": 0}


@contextlib.asynccontextmanager
async def _rolled_up(database: Database, owner: Connection, workspaces: int) -> AsyncIterator[Home]:
    """An agency with ten thousand rows for each workspace, which are taken away again: they would be in others' way."""
    home = await a_home(database)
    async with database.transaction(home.caller.reach) as tx:
        for day in range(100):
            await tx.execute(_MANY, home.agency_id, workspaces, day)
    yield home
    async with tampering(owner, home.origin) as hands:
        await hands.execute("delete from usage_daily where agency_id = $1", home.agency_id)


async def _sent(home: Home, wanted: Format) -> tuple[int, int]:
    """How many lines a report has, and the most memory that this process needed while it was sent."""
    here, most, lines = psutil.Process(), 0, 0
    group_by = (GroupBy.WORKSPACE, GroupBy.FEATURE, GroupBy.KEY, GroupBy.DAY)
    query = UsageQuery(date(2026, 1, 1), date(2027, 1, 1), group_by)
    async with home.database.transaction(home.caller.reach) as tx:
        question = await credits.ask_usage(tx, home.caller, query)

    async def send(message: Message) -> None:
        nonlocal lines, most
        lines += message.get("body", b"").count(b"\n")
        most = max(most, here.memory_info().rss)

    answer = SpooledAnswer(home.database, home.caller.reach, ("usage", wanted), writing(question, wanted))
    await answer({"type": "http"}, stays, send)
    return lines, most


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_million_rows_need_no_more_memory_than_ten_thousand(database: Database, owner: Connection) -> None:
    async with _rolled_up(database, owner, 1) as small, _rolled_up(database, owner, 100) as large:
        for wanted, head in _HEADS.items():
            few, before = await _sent(small, wanted)
            many, most = await _sent(large, wanted)

            assert (few, many) == (10_000 + head, 1_000_000 + head)
            assert most - before < 10 * 2**20
