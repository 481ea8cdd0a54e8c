"""Exports of any length: all of it arrives, nothing is held for whoever reads slowly or leaves."""

import asyncio
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.types import Message

from colonnade.ground.db.database import Connection, Database, Tx
from colonnade.ground.web.exports import BATCH, ExportAnswer, Table
from colonnade.tenancy.audit import CallFilters
from colonnade.tenancy.audit.call_routes import _export
from tests.audit.sealed_homes import tampering
from tests.factories import Home, an_agency


class Shape(BaseModel):
    number: int


@dataclass
class Endless:
    """A table that never ends, and how often it was read."""

    times: int = 0

    async def rows(self, _tx: Tx, last: int | None, most: int) -> Sequence[int]:
        self.times += 1
        first = 0 if last is None else last + 1
        return range(first, first + most)

    def table(self) -> Table[int]:
        return Table("numbers", self.rows, ["number"], lambda row: [row], lambda row: Shape(number=row))


async def idle(database: Database) -> bool:
    """Whether no connection of the pool is in use."""
    return database.pool.get_size() == database.pool.get_idle_size()


async def test_a_reader_who_leaves_ends_the_reading_and_leaves_no_transaction(database: Database) -> None:
    home, endless = await an_agency(database), Endless()
    answer = ExportAnswer(database, home.reach, endless.table(), "ndjson")
    gone = asyncio.Event()
    sent: list[Message] = []

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 4:
            gone.set()
        await asyncio.sleep(0)

    await asyncio.wait_for(answer({"type": "http"}, receive, send), 20)

    assert endless.times <= 5
    assert all(message.get("more_body", True) for message in sent), "what was cut off does not look whole"
    assert await idle(database)


async def test_a_reader_who_takes_nothing_is_left(database: Database) -> None:
    home, endless = await an_agency(database), Endless()
    answer = ExportAnswer(database, home.reach, endless.table(), "csv")
    answer.send_seconds = 0.05
    held: list[bool] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message.get("body") and endless.times:
            held.append(await idle(database))
            await asyncio.Event().wait()

    await asyncio.wait_for(answer({"type": "http"}, receive, send), 20)

    assert held == [True], "no connection waits with the reader"
    assert endless.times == 1


async def test_a_database_that_fails_in_the_middle_does_not_make_a_file_look_whole(database: Database) -> None:
    home = await an_agency(database)
    sent: list[Message] = []

    async def rows(tx: Tx, last: int | None, most: int) -> Sequence[int]:
        if last is not None:
            await tx.execute("select 1 / 0")
        return range(most)

    table = Table("numbers", rows, ["number"], lambda row: [row], lambda row: Shape(number=row))
    answer = ExportAnswer(database, home.reach, table, "csv")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(Exception, match="division by zero"):
        await answer({"type": "http"}, receive, send)

    assert all(message.get("more_body", True) for message in sent)
    assert await idle(database)


async def many_calls(owner: Connection, home: Home, count: int) -> None:
    async with tampering(owner, home) as hands:
        await hands.execute(
            """insert into request_log (agency_id, request_id, at, address, method, path, route, status, duration_ms)
               select $1, 'r' || n, timestamptz '2026-01-01' + n / 3 * interval '1 millisecond', '203.0.113.7', 'GET',
                      '/v1/agency', '/v1/agency', 200, 1.5 from generate_series(1, $2::integer) n""",
            home.agency_id,
            count,
        )


async def test_a_hundred_thousand_lines_arrive_in_small_parts_each_once(database: Database, owner: Connection) -> None:
    home, count = await an_agency(database), 100_000
    await many_calls(owner, home, count)
    parts: list[int] = []
    text = io.StringIO()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            parts.append(len(message["body"]))
            text.write(message["body"].decode())

    answer: Any = ExportAnswer(database, home.reach, _export(CallFilters()), "csv")
    await answer({"type": "http"}, receive, send)

    rows = [row["requestId"] for row in csv.DictReader(io.StringIO(text.getvalue()))]
    assert rows == [f"r{number}" for number in range(count, 0, -1)]
    assert max(parts) < BATCH * 250
