"""Answers that are read at once and taken slowly: nothing waits with the reader, nothing that broke looks whole."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Message

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Tx
from colonnade.ground.web.spooling import SpooledAnswer, Writing
from tests.factories import an_agency

LINE = b"0123456789" * 100 + b"\n"


async def _thousand(tx: Tx) -> AsyncIterator[bytes]:
    for _ in range(1_000):
        await tx.fetchval("select 1")
        yield LINE


async def _never_ending(tx: Tx) -> AsyncIterator[bytes]:
    while True:
        await tx.fetchval("select pg_sleep(0.01)")
        yield LINE


async def _breaking(tx: Tx) -> AsyncIterator[bytes]:
    yield LINE
    await tx.execute("select 1 / 0")


def _answer(database: Database, reach: Reach, writing: Writing) -> SpooledAnswer:
    return SpooledAnswer(database, reach, ("numbers", "csv"), writing)


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def _files() -> set[str]:
    """Files without a name that this process has open."""
    return {str(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink() and _leads_nowhere(one)}


def _leads_nowhere(descriptor: Path) -> bool:
    return "(deleted)" in str(descriptor.readlink())


def _is_idle(database: Database) -> bool:
    return database.pool.get_size() == database.pool.get_idle_size()


async def test_all_of_it_arrives_in_small_parts(database: Database) -> None:
    home = await an_agency(database)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await _answer(database, home.reach, _thousand)({"type": "http"}, stays, send)

    bodies = [message["body"] for message in sent[1:]]
    assert b"".join(bodies) == LINE * 1_000
    assert max(map(len, bodies)) <= 64 * 1024
    assert not sent[-1].get("more_body", False)


async def test_a_reader_who_takes_their_time_holds_no_connection(database: Database) -> None:
    home = await an_agency(database)
    before, takes = _files(), asyncio.Event()
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        if message.get("body"):
            await takes.wait()
            sent.append(message["body"])

    answering = asyncio.create_task(_answer(database, home.reach, _thousand)({"type": "http"}, stays, send))
    while not (_is_idle(database) and len(_files() - before) == 1 and database.long_reads._value == 2):
        await asyncio.sleep(0.01)
    takes.set()
    await answering

    assert b"".join(sent) == LINE * 1_000
    assert _files() == before


async def test_a_reader_who_leaves_ends_the_reading_and_leaves_no_file(database: Database) -> None:
    home = await an_agency(database)
    before, gone = _files(), asyncio.Event()
    sent: list[Message] = []

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 4:
            gone.set()

    await asyncio.wait_for(_answer(database, home.reach, _never_ending)({"type": "http"}, receive, send), 20)

    assert all(message.get("more_body", True) for message in sent)
    assert _is_idle(database)
    assert _files() == before


async def test_a_reader_who_takes_nothing_is_left(database: Database) -> None:
    home = await an_agency(database)
    before = _files()
    answer = _answer(database, home.reach, _never_ending)
    answer.send_seconds = 0.05

    async def send(message: Message) -> None:
        if message.get("body"):
            await asyncio.Event().wait()

    await asyncio.wait_for(answer({"type": "http"}, stays, send), 20)

    assert _is_idle(database)
    assert _files() == before


async def test_a_database_that_fails_in_the_middle_does_not_make_a_file_look_whole(database: Database) -> None:
    home = await an_agency(database)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(Exception, match="division by zero"):
        await _answer(database, home.reach, _breaking)({"type": "http"}, stays, send)

    assert all(message.get("more_body", True) for message in sent)
    assert _is_idle(database)


async def test_two_read_at_once_and_the_third_waits_for_its_turn(database: Database) -> None:
    home = await an_agency(database)
    reading, go_on = 0, asyncio.Event()

    async def held(_tx: Tx) -> AsyncIterator[bytes]:
        nonlocal reading
        reading += 1
        await go_on.wait()
        yield LINE

    async def send(_message: Message) -> None:
        await asyncio.sleep(0)

    answers = [asyncio.create_task(_answer(database, home.reach, held)({"type": "http"}, stays, send)) for _ in "abc"]
    while reading < 2:
        await asyncio.sleep(0.01)
    for _ in range(20):
        await asyncio.sleep(0)

    assert reading == 2
    go_on.set()
    await asyncio.gather(*answers)
    assert reading == 3
