"""The ledger keeps its promises under many at once, and to whoever would change it."""

import asyncio

import asyncpg
import pytest

from colonnade import credits
from colonnade.credits import Hold
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from tests.credits.counters import a_till, a_wish, tried
from tests.credits.homes import a_home, a_request, account_balances, used
from tests.credits.invariants import broken, taken


async def test_two_hundred_holds_at_once_take_exactly_what_is_there(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database, workspaces=4, granted=100_000)

    connections = asyncio.Semaphore(20)  # as many as each door has, so nobody waits for one

    async def try_one(number: int) -> bool:
        door = (database, worker_database)[number % 2]
        caller = home.run_in(home.workspaces[number % 4])
        async with connections, door.transaction(caller.reach) as tx:
            (outcome,) = await credits.hold_many(tx, caller, [a_request(home.workspaces[number % 4], 1_000)])
        return isinstance(outcome, Hold)

    outcomes = await asyncio.gather(*(try_one(number) for number in range(200)))

    assert sum(outcomes) == 100
    assert "pool" not in await account_balances(home)
    assert await broken(home) == []


async def test_holding_and_settling_at_once_never_lock_each_other_out(database: Database) -> None:
    home = await a_home(database, workspaces=3, granted=1_000_000)

    async def work_once(number: int) -> None:
        name = home.workspaces[number % 3]
        caller = home.run_in(name)
        async with database.transaction(home.caller.reach) as tx:
            order = home.workspaces if number % 2 else home.workspaces[::-1]
            outcomes = await credits.hold_many(tx, home.caller, [a_request(other, 100) for other in order])
        for hold in outcomes:
            assert isinstance(hold, Hold)
            async with database.transaction(caller.within(hold.workspace_id).reach) as tx:
                await credits.settle(tx, caller, hold.id, [used(60 + 40 * (number % 2))])

    await asyncio.gather(*(work_once(number) for number in range(16)))

    assert await broken(home) == []


async def test_runs_charges_and_caps_at_once_stand_in_nobody_s_way_and_pass_no_limit(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database, workspaces=3, granted=400_000, creditPool="workspace")
    connections = asyncio.Semaphore(8)
    async with database.transaction(home.caller.reach) as tx:
        await credits.set_cap(tx, home.caller, MilliCredits(150_000))
        for name in home.workspaces:
            await workspaces.update(tx, home.caller, name, patch={"settings": {"borrowLimit": 70}})
            await credits.grant(tx, home.caller, amount=MilliCredits(10_000), workspace_id=name)

    async def run_once(number: int) -> None:
        name = home.workspaces[number % 3]
        door, run = (database, worker_database)[number % 2], home.run_in(home.workspaces[number % 3])
        async with connections, door.transaction(run.reach) as tx:
            (hold,) = await credits.hold_many(tx, run, [a_request(name, 3_000)])
        if isinstance(hold, Hold):
            async with connections, door.transaction(run.reach) as tx:
                await credits.settle(tx, run, hold.id, [used(1_000 * (number % 4))])

    async with a_till(database) as one, a_till(worker_database) as other:
        wishes = [a_wish(home.workspaces[number % 3], 1_000 + number) for number in range(60)]
        await asyncio.gather(
            *(run_once(number) for number in range(60)),
            tried(one, home, wishes[:40]),
            tried(other, home, wishes[20:]),
        )

    now = await taken(home)
    assert await broken(home) == []
    assert [subject for subject, most in now.most.items() if now.taken.get(subject, 0) > most] == []
    assert now.taken["agency"] > 100_000


async def test_the_same_reference_at_once_is_held_once(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    request = a_request(home.workspaces[0], 1_000)

    async def try_it() -> str:
        async with database.transaction(home.caller.reach) as tx:
            return (await credits.hold(tx, home.caller, request)).id

    ids = await asyncio.gather(*(try_it() for _ in range(10)))

    assert len(set(ids)) == 1
    assert (await account_balances(home))["pool"] == 9_000


async def test_the_same_settlement_at_once_is_charged_once(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    run = home.run_in(home.workspaces[0])
    async with database.transaction(run.reach) as tx:
        hold = await credits.hold(tx, run, a_request(home.workspaces[0], 1_000))

    async def try_it() -> credits.Settled:
        async with database.transaction(run.reach) as tx:
            return await credits.settle(tx, run, hold.id, [used(700)])

    settled = await asyncio.gather(*(try_it() for _ in range(10)))

    assert len(set(settled)) == 1
    assert (await account_balances(home))[f"used:{home.workspaces[0]}"] == 700


@pytest.mark.parametrize("table", ["credit_transfer", "ledger_entry", "usage_event", "credit_hold_lot", "credit_cycle"])
@pytest.mark.parametrize("change", ["delete from {}", "update {} set agency_id = agency_id", "truncate {}"])
async def test_what_was_written_can_be_neither_changed_nor_removed(
    database: Database, worker_database: Database, table: str, change: str
) -> None:
    home = await a_home(database)

    for door in (database, worker_database):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with door.transaction(home.caller.reach) as tx:
                await tx.execute(change.format(table))


async def test_the_database_itself_refuses_a_pool_below_zero(database: Database) -> None:
    home = await a_home(database, granted=1_000)

    with pytest.raises(asyncpg.CheckViolationError):
        async with database.transaction(home.caller.reach) as tx:
            await tx.execute(
                "update credit_account set balance = -1 where agency_id = $1 and id = 'pool'", home.agency_id
            )


TABLES = (
    "credit_account",
    "credit_transfer",
    "ledger_entry",
    "credit_grant",
    "credit_hold",
    "credit_hold_lot",
    "credit_tally",
    "usage_event",
    "usage_daily",
)


@pytest.mark.parametrize("table", TABLES)
async def test_neither_another_agency_nor_another_workspace_sees_a_row(database: Database, table: str) -> None:
    home, stranger = await a_home(database, granted=9_000, creditPool="workspace"), await a_home(database)
    first, second = home.workspaces
    async with database.transaction(home.caller.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(1_000), workspace_id=first)
        hold = await credits.hold(tx, home.caller, a_request(first, 1_000))
        await credits.settle(tx, home.caller, hold.id, [used(500)])

    async def seen(caller: Caller) -> int:
        async with database.transaction(caller.reach) as tx:
            return int(await tx.fetchval(f"select count(*) from {table} where workspace_id = $1", first))

    assert await seen(home.caller) > 0
    assert await seen(home.key_of(first)) > 0
    assert await seen(home.key_of(second)) == 0
    assert await seen(stranger.caller) == 0


async def test_a_workspace_key_sees_nothing_of_the_agency_s_own_pool(database: Database) -> None:
    home = await a_home(database, granted=9_000)
    key = home.key_of(home.workspaces[0])

    async with database.transaction(key.reach) as tx:
        assert await tx.fetchval("select count(*) from credit_account") == 0
        assert await tx.fetchval("select count(*) from credit_grant") == 0
        assert (await credits.balances(tx, key)).agency is None
