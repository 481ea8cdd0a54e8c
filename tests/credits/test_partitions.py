"""Usage by months: made ahead, dropped whole, with nothing lost that is to be kept."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from colonnade import credits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from tests.credits.homes import Home, a_home

_MONTHS = """
select c.relname::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'usage_event'::regclass order by 1
"""
_LIES_IN = "select tableoid::regclass::text from usage_event where agency_id = $1 and id = $2"
_EVENT = """
insert into usage_event (agency_id, workspace_id, at, id, feature, cycle, credits, quantity)
values ($1, $2, $3, $4, 'generation', current_date, 5, 1)
"""
_DAY = """
insert into usage_daily (agency_id, day, workspace_id, feature, credits, events) values ($1, $2, $3, 'generation', 5, 1)
"""
_ID = """
insert into usage_event_id (agency_id, workspace_id, source, id, at) values ($1, $2, 'crm', $3, now() - $4::interval)
"""


def month_at(months: int) -> date:
    """The first day of the month that lies so many months from the running one, in UTC."""
    today = datetime.now(UTC).date()
    years, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    return date(years, month + 1, 1)


def table_at(months: int) -> str:
    return f"usage_event_{month_at(months):%Y_%m}"


async def an_event(home: Home, months: int) -> str:
    """An event of the middle of that month."""
    identity = new_id("evt")
    at = datetime.combine(month_at(months), datetime.min.time(), UTC) + timedelta(days=14)
    async with home.database.transaction(home.caller.reach) as tx:
        await tx.execute(_EVENT, home.agency_id, home.workspaces[0], at, identity)
    return identity


async def lies_in(home: Home, event_id: str) -> str | None:
    async with home.database.transaction(home.caller.reach) as tx:
        found: str | None = await tx.fetchval(_LIES_IN, home.agency_id, event_id)
    return found


async def kept(database: Database, ahead: int, keep: int) -> list[str]:
    """What changes until all is as it should be."""
    changes = []
    while month := (await database.lookup("select keep_usage_months($1, $2)", ahead, keep))[0][0]:
        changes.append(month)
    return changes


async def months(owner: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    return {row["name"] for row in await owner.fetch(_MONTHS)}


async def test_every_month_that_events_may_be_of_is_there_from_the_beginning(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await a_home(database, workspaces=1)

    assert {table_at(number) for number in range(-13, 3)} <= await months(owner)
    for number in (-13, -1, 0, 2):
        assert await lies_in(home, await an_event(home, number)) == table_at(number)


async def test_a_month_that_is_made_late_takes_over_what_came_before_it(
    database: Database, worker_database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    homes = [await a_home(database, workspaces=1) for _ in range(2)]
    await kept(worker_database, 5, 25)
    early = [await an_event(home, 6) for home in homes]
    assert [await lies_in(home, event) for home, event in zip(homes, early, strict=True)] == ["usage_event_rest"] * 2

    changes = await kept(worker_database, 6, 25)

    assert changes == [table_at(6)]
    assert [await lies_in(home, event) for home, event in zip(homes, early, strict=True)] == [table_at(6)] * 2
    assert await lies_in(homes[0], await an_event(homes[0], 6)) == table_at(6)
    await owner.execute(f"drop table {table_at(6)}")


async def test_whole_months_beyond_those_that_are_kept_go_and_their_days_stay(
    database: Database, worker_database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await a_home(database, workspaces=1)
    await kept(worker_database, 2, 25)
    for number in (-27, -26, -25):
        await owner.execute("select add_usage_month($1)", month_at(number))
    events = {number: await an_event(home, number) for number in (-27, -26, -25, -13)}
    async with database.transaction(home.caller.reach) as tx:
        await tx.execute(_DAY, home.agency_id, month_at(-27), home.workspaces[0])

    changes = await kept(worker_database, 2, 25)

    assert changes == [table_at(-27), table_at(-26)]
    assert {number: await lies_in(home, event) for number, event in events.items()} == {
        **dict.fromkeys((-27, -26), None),
        **{number: table_at(number) for number in (-25, -13)},
    }
    async with database.transaction(home.caller.reach) as tx:
        assert await tx.fetchval("select sum(credits) from usage_daily where agency_id = $1", home.agency_id) == 5


async def test_a_worker_cannot_drop_months_that_events_may_still_be_of(
    worker_database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await kept(worker_database, 2, 0)

    assert {table_at(number) for number in range(-13, 3)} <= await months(owner)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker_database.lookup(f"drop table {table_at(0)}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker_database.lookup("select add_usage_month('2001-01-01')")


async def test_months_are_kept_one_after_the_other_until_nothing_is_due(worker_database: Database) -> None:
    while await credits.keep_usage_months(worker_database, 25):
        continue

    assert await credits.keep_usage_months(worker_database, 25) == 0


async def test_a_month_is_left_for_the_next_round_while_somebody_reads_it(
    database: Database, worker_database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await a_home(database, workspaces=1)
    await kept(worker_database, 2, 25)
    await owner.execute("select add_usage_month($1)", month_at(-30))
    event = await an_event(home, -30)
    async with database.transaction(home.caller.reach) as tx:
        await tx.fetchval(_LIES_IN, home.agency_id, event)

        assert await credits.keep_usage_months(worker_database, 25) == 0

    assert await lies_in(home, event) == table_at(-30)
    assert await kept(worker_database, 2, 25) == [table_at(-30)]


async def test_of_many_workers_one_keeps_the_months(
    worker_database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await kept(worker_database, 2, 25)
    await owner.execute("select add_usage_month($1)", month_at(-29))

    done = await asyncio.gather(*(credits.keep_usage_months(worker_database, 25) for _ in range(5)))

    assert sum(done) == 1
    assert table_at(-29) not in await months(owner)


async def test_an_id_is_forgotten_thirteen_months_after_it_was_told(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database, workspaces=1)
    async with database.transaction(home.caller.reach) as tx:
        for name, days in (("old", 400), ("young", 390)):
            await tx.execute(_ID, home.agency_id, home.workspaces[0], name, timedelta(days=days))

    while await credits.forget_event_ids(worker_database, 1):
        continue

    async with database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch("select id from usage_event_id where agency_id = $1", home.agency_id)
    assert [row["id"] for row in rows] == ["young"]
