"""Credits of a data folder of the version before are counted, so that what it held is settled and released here."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.db.migrating import migrate, migrations
from colonnade.schema import STEPS
from tests.conftest import PEPPER
from tests.credits.homes import used
from tests.factories import agency_caller

OLD = 90

_OLD_ROWS = """
insert into agency (agency_id, name, settings, created_at, updated_at)
values ('{agency}', 'Old', '{{"timezone": "Europe/Berlin"}}', now(), now());
insert into workspace (agency_id, id, name, sort_name, slug, created_at, updated_at)
values ('{agency}', '{ws}', 'Old', 'old', 'old', now(), now());
insert into credit_account (agency_id, workspace_id, id, kind, balance, version) values
    ('{agency}', null, 'issued', 'issued', -1000, 1), ('{agency}', null, 'pool', 'pool', 300, 4),
    ('{agency}', '{ws}', 'held:{ws}', 'held', 400, 3), ('{agency}', '{ws}', 'used:{ws}', 'used', 300, 1);
insert into credit_grant (agency_id, id, pool_id, amount, remaining, created_at, updated_at)
values ('{agency}', 'grant_1', 'pool', 1000, 300, now(), now());
insert into credit_hold (agency_id, workspace_id, pool_id, feature, cycle, id, amount, captured, state, reference,
                         key_id, settled_at, created_at, updated_at) values
    ('{agency}', '{ws}', 'pool', 'generation', '{cycle}', 'hold_open', 400, 0, 'open', 'inv_1', 'key_1',
     null, now(), now()),
    ('{agency}', '{ws}', 'pool', 'generation', '{cycle}', 'hold_done', 300, 300, 'settled', 'inv_2', null,
     now(), now(), now());
insert into credit_hold_lot (agency_id, workspace_id, hold_id, grant_id, position, amount) values
    ('{agency}', '{ws}', 'hold_open', 'grant_1', 0, 400), ('{agency}', '{ws}', 'hold_done', 'grant_1', 0, 300);
insert into credit_transfer (agency_id, workspace_id, kind, from_account, to_account, hold_id, rule, actor_id,
                             request_id, id, amount, feature, at) values
    ('{agency}', '{ws}', 'capture', 'held:{ws}', 'used:{ws}', 'hold_done', 'pool', 'x', 'r',
     'chg_1', 200, 'generation', now()),
    ('{agency}', '{ws}', 'capture', 'held:{ws}', 'used:{ws}', 'hold_done', 'pool', 'x', 'r',
     'chg_2', 100, 'publish', now());
"""

_MIGRATION = """
create table migration (number integer primary key, name text not null, sha256 text not null,
                        applied_at timestamptz not null default now())
"""
_APPLIED = "insert into migration (number, name, sha256) values ($1, $2, $3)"
_TALLIES = "select subject, taken, used from credit_tally where agency_id = $1"


@pytest_asyncio.fixture
async def old(server: Address, worker_id: str) -> AsyncIterator[Address]:
    """A database of the version before, without anybody in it."""
    name = f"colonnade_old_{worker_id}"
    address = Address(server.host, server.port, name, server.passwords)
    owner = await asyncpg.connect(**server.arguments("colonnade_owner"))
    await owner.execute(f"create database {name}")
    connection = await asyncpg.connect(**address.arguments("colonnade_owner"))
    async with connection.transaction():
        await connection.execute(_MIGRATION)
        for one in migrations():
            if one.number <= OLD:
                await connection.execute(one.sql)
                await connection.execute(_APPLIED, one.number, one.name, one.sha256)
    await connection.close()
    yield address
    await owner.execute(f"drop database {name} with (force)")
    await owner.close()


async def test_what_was_held_and_used_before_is_counted_and_ends_as_it_would_have(old: Address) -> None:
    agency, ws = new_id("agency"), new_id("ws")
    owner = await asyncpg.connect(**old.arguments("colonnade_owner"))
    async with owner.transaction():
        await owner.execute("select set_config('app.agency_id', $1, true)", agency)
        await owner.execute("select set_config('app.workspace_ids', '*', true)")
        await owner.execute(_OLD_ROWS.format(agency=agency, ws=ws, cycle="2026-02-01"))

    await migrate(owner, STEPS)
    await owner.close()

    database = Database(old, "colonnade_app", PEPPER)
    await database.open()
    caller = agency_caller(agency)
    async with database.transaction(Reach(agency)) as tx:
        before = {row["subject"]: (row["taken"], row["used"]) for row in await tx.fetch(_TALLIES, agency)}
        cycle = await tx.fetchrow("select * from credit_cycle where agency_id = $1", agency)
    async with database.transaction(Reach(agency)) as tx:
        settled = await credits.settle(tx, caller, "hold_open", [used(50), used(50, "publish")])
    async with database.transaction(Reach(agency)) as tx:
        after = {row["subject"]: (row["taken"], row["used"]) for row in await tx.fetch(_TALLIES, agency)}
        left = await credits.available(tx, caller, ws)
    await database.close()

    assert before["agency"] == before[ws] == before["pool"] == (700, 300)
    assert (before["agency#generation"], before["agency#publish"]) == ((600, 200), (100, 100))
    assert (before["key_1"], before["key_1#generation"]) == ((400, 0), (400, 0))
    assert cycle is not None
    assert (cycle["ends_at"].isoformat(), cycle["zone"]) == ("2026-02-28T23:00:00+00:00", "Europe/Berlin")
    assert (settled.captured, settled.released, left) == (100, 300, MilliCredits(600))
    assert after["agency"] == after[ws] == after["pool"] == (400, 400)
    assert after["key_1"] == (100, 100)
