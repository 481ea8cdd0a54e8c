"""Hearing what other processes say, also over a line that falls silent."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.db.listening import Listening, Pulse
from colonnade.tenancy.keys import Draft, KeyRing
from tests.conftest import PEPPER
from tests.factories import an_agency
from tests.fakes.hanging import Line, hanging
from tests.tenancy.keys_calls import mint, revoke

CHANNEL = "colonnade_of_the_tests"
QUICK = Pulse(every_seconds=0.02, believed_seconds=0.2, given_up_seconds=0.6)


@pytest_asyncio.fixture
async def way(address: Address) -> AsyncIterator[tuple[Database, Line]]:
    """The database by a line that may hang."""
    with tempfile.TemporaryDirectory(prefix="line-") as folder:  # short enough for the name of a socket
        async with hanging(address, Path(folder)) as (there, line):
            yield Database(there, "colonnade_app", PEPPER), line


async def until(wanted: bool, listening: Listening) -> None:
    async with asyncio.timeout(20):
        while listening.hears_everything is not wanted:
            await asyncio.sleep(0.005)


async def test_what_is_said_is_heard_and_a_line_that_hangs_is_not_believed(
    way: tuple[Database, Line], database: Database
) -> None:
    there, line = way
    heard: list[str] = []
    losses: list[None] = []
    listening = Listening(there, {CHANNEL: heard.append}, on_loss=lambda: losses.append(None), pulse=QUICK)
    await until(False, listening)
    await listening.start()
    await until(True, listening)

    await database.lookup("select pg_notify($1, 'first')", CHANNEL)
    await asyncio.sleep(QUICK.believed_seconds)
    assert heard == ["first"]

    line.hang()
    await database.lookup("select pg_notify($1, 'second')", CHANNEL)
    await until(False, listening)
    assert heard == ["first"]
    line.flow()
    await until(True, listening)
    assert heard == ["first", "second"], "what was held back has come before the line is believed again"
    await listening.close()
    await until(False, listening)


async def test_a_line_that_stays_silent_is_left_for_another_and_what_was_known_is_forgotten(
    way: tuple[Database, Line],
) -> None:
    there, line = way
    losses: list[None] = []
    listening = Listening(there, {CHANNEL: lambda _: None}, on_loss=lambda: losses.append(None), pulse=QUICK)
    await listening.start()
    known, before = len(losses), line.connections

    line.hang()
    await until(False, listening)
    async with asyncio.timeout(20):
        while len(losses) == known:
            await asyncio.sleep(0.01)
    line.flow()
    await until(True, listening)

    assert line.connections > before
    await listening.close()


async def test_listening_ends_while_the_line_hangs(way: tuple[Database, Line]) -> None:
    there, line = way
    listening = Listening(there, {CHANNEL: lambda _: None}, on_loss=lambda: None, pulse=QUICK)
    await listening.start()
    line.hang()

    async with asyncio.timeout(20):
        await listening.close()
        await until(False, listening)


async def test_a_revocation_counts_within_a_second_also_where_the_news_of_it_hangs(
    way: tuple[Database, Line], database: Database
) -> None:
    """The promise of the manual: the key has no rate limit, and nothing but the news could tell this process."""
    there, line = way
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("x", preset="master", rate_limit=None))
    ring = KeyRing(database, direct=there)
    await ring.start()
    for _ in range(2):
        await ring.verify(minted.secret.reveal(), None)

    line.hang()
    await revoke(database, home.caller, minted.key)
    told = time.monotonic()
    refusal = None
    while refusal is None and time.monotonic() - told < 1:
        try:
            await ring.verify(minted.secret.reveal(), None)
        except Refused as refused:
            refusal = refused.reason
        await asyncio.sleep(0.01)

    assert refusal == "keys.revoked"
    await ring.close()
