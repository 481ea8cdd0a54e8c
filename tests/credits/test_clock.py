"""What time does to credits: grants and callers' holds end by a worker, and cycles are there before they begin."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from colonnade import credits
from colonnade.credits import HoldRequest
from colonnade.credits.expiring import expire
from colonnade.credits.jobs import AHEAD, begin_cycles, expire_due
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from tests.credits.homes import (
    Home,
    a_home,
    account_balances,
    available,
    let_cycles_end,
    let_grants_expire,
    let_holds_expire,
    used,
    work,
)
from tests.credits.invariants import broken
from tests.factories import a_workspace
from tests.runs.run_fixtures import PATIENCE_SECONDS, working


async def _soon(database: Database) -> Any:
    return (await database.lookup("select now() as at"))[0]["at"] + timedelta(hours=1)


async def _a_grant(home: Home, amount: int, workspace_id: str | None = None, **fields: Any) -> str:
    async with home.database.transaction(home.caller.reach) as tx:
        granted = await credits.grant(
            tx,
            home.caller,
            amount=MilliCredits(amount),
            workspace_id=workspace_id,
            expires_at=await _soon(home.database),
            **fields,
        )
    return granted.id


async def _a_hold(home: Home, workspace_id: str, amount: int, run_id: str | None = None) -> str:
    until = await _soon(home.database)
    request = HoldRequest(workspace_id, MilliCredits(amount), "generation", new_id("inv"), run_id, until)
    async with home.database.transaction(home.caller.reach) as tx:
        return (await credits.hold(tx, home.caller, request)).id


async def _moves(home: Home, *kinds: str) -> list[tuple[str, str, str, int, str]]:
    """The movements of these kinds: the kind, whence, whereto, how much, by which rule."""
    async with home.database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch(
            """select t.kind, t.from_account, t.to_account, t.amount, t.rule from credit_transfer t
               where t.agency_id = $1 and t.kind = any ($2::text[]) order by t.id""",
            home.agency_id,
            list(kinds),
        )
        sums = await tx.fetchval("select sum(amount) from ledger_entry where agency_id = $1", home.agency_id)
    assert sums == 0
    return [tuple(row.values()) for row in rows]


async def _events(home: Home, *events: str) -> list[tuple[str, str, str]]:
    async with home.database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch(
            """select event, resource_id, actor_id from audit_entry
               where agency_id = $1 and event = any ($2::text[]) order by id""",
            home.agency_id,
            list(events),
        )
    return [tuple(row.values()) for row in rows]


async def test_grants_whose_time_is_over_end_as_entries_of_the_ledger(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database, granted=500)
    first, _ = home.workspaces
    ours, theirs = await _a_grant(home, 1_000), await _a_grant(home, 2_000, first)
    await work(home, first, used(300))
    await let_grants_expire(address, home)

    while await expire_due(worker_database):
        continue

    expired = [("pool", "issued", 700, "grant expired"), (f"pool:{first}", "issued", 2_000, "grant expired")]
    assert await _moves(home, "expire") == [("expire", *one) for one in expired]
    assert {resource for _, resource, _ in await _events(home, "credits.expired")} == {ours, theirs}
    assert {actor for _, _, actor in await _events(home, "credits.expired")} == {"house"}
    assert await account_balances(home) == {"issued": -800, "pool": 500, f"used:{first}": 300}
    assert await expire_due(worker_database) == 0


async def test_what_is_held_of_a_grant_that_ends_stays_held_and_ends_when_it_comes_back(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    await _a_grant(home, 1_000)
    run_hold = await _a_hold(home, first, 400, run_id=new_id("inv"))
    await let_grants_expire(address, home)

    while await expire_due(worker_database):
        continue
    assert await account_balances(home) == {"issued": -400, f"held:{first}": 400}
    async with database.transaction(home.caller.reach) as tx:
        await credits.settle(tx, home.caller, run_hold, [used(150)])
    while await expire_due(worker_database):
        continue

    assert await account_balances(home) == {"issued": -150, f"used:{first}": 150}
    assert [amount for _, _, _, amount, _ in await _moves(home, "expire")] == [600, 250]


async def test_a_callers_hold_goes_back_when_its_time_is_over_and_a_runs_hold_does_not(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database, granted=1_000)
    first, second = home.workspaces
    ours = await _a_hold(home, first, 300)
    await _a_hold(home, second, 200, run_id=new_id("inv"))
    await let_holds_expire(address, home)
    assert await available(home, first) == 500

    while await expire_due(worker_database):
        continue

    assert await available(home, first) == 800
    assert await _moves(home, "release") == [("release", f"held:{first}", "pool", 300, "hold expired")]
    assert await _events(home, "credits.released") == [("credits.released", ours, "house")]
    async with database.transaction(home.caller.reach) as tx:
        tally = await tx.fetchval(
            "select taken from credit_tally where agency_id = $1 and subject = 'agency'", home.agency_id
        )
    assert tally == 200


async def test_a_hold_of_a_grant_that_ended_as_well_leaves_nothing_behind(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    await _a_grant(home, 1_000)
    await _a_hold(home, first, 300)
    await let_grants_expire(address, home)
    await let_holds_expire(address, home)

    while await expire_due(worker_database):
        continue

    assert await account_balances(home) == {}


async def test_several_workers_end_a_grant_once(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database)
    await _a_grant(home, 1_000)
    await let_grants_expire(address, home)

    await asyncio.gather(*(expire_due(worker_database) for _ in range(4)))

    assert [amount for _, _, _, amount, _ in await _moves(home, "expire")] == [1_000]
    assert len(await _events(home, "credits.expired")) == 1


async def test_a_grant_that_a_hold_comes_upon_first_is_told_as_well(database: Database, address: Address) -> None:
    home = await a_home(database, granted=500)
    first, _ = home.workspaces
    grant_id = await _a_grant(home, 1_000)
    await let_grants_expire(address, home)

    await work(home, first, used(100))

    assert await _events(home, "credits.expired") == [("credits.expired", grant_id, "house")]


async def _cycles(home: Home) -> list[tuple[Any, Any]]:
    async with home.database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch(
            "select starts_at, ends_at from credit_cycle where agency_id = $1 order by starts_at", home.agency_id
        )
    return [tuple(row.values()) for row in rows]


async def test_the_next_cycle_is_there_before_the_last_one_ends_and_begins_at_its_end(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database, granted=500)
    await work(home, home.workspaces[0], used(100))
    assert len(await _cycles(home)) == 1
    await let_cycles_end(address, home, after=AHEAD / 2)

    await asyncio.gather(*(begin_cycles(worker_database) for _ in range(3)))

    last, following = await _cycles(home)
    assert following[0] == last[1]
    assert following[1] - following[0] >= timedelta(days=1)
    await begin_cycles(worker_database)
    assert len(await _cycles(home)) == 2


async def test_an_agency_that_rests_gets_the_cycle_of_now_and_none_of_those_between(
    database: Database, worker_database: Database, address: Address
) -> None:
    home = await a_home(database, granted=500)
    await work(home, home.workspaces[0], used(100))
    await let_cycles_end(address, home, after=-timedelta(days=400))

    await begin_cycles(worker_database)

    _, current = await _cycles(home)
    now = (await database.lookup("select now() as at"))[0]["at"]
    assert current[0] <= now < current[1]


async def test_holds_that_end_together_give_back_to_the_one_grant_that_is_over(
    database: Database, address: Address
) -> None:
    home = await a_home(database)
    first, second = home.workspaces
    await _a_grant(home, 5_000)
    await _a_hold(home, first, 2_000)
    await _a_hold(home, second, 3_000)
    await let_grants_expire(address, home)
    await let_holds_expire(address, home)

    async with database.transaction(home.caller.reach) as tx:
        await expire(tx, home.caller)

    assert await broken(home) == []
    assert (await account_balances(home)).get(f"held:{first}") is None


async def test_a_worker_that_runs_ends_what_is_over_and_mails_what_an_alert_tells(
    database: Database, address: Address, tmp_path: Path
) -> None:
    home = await a_home(database, granted=500)
    name = f"Brand {new_id('ws')[-8:]}"
    first = (await a_workspace(database, home.origin, name=name)).id
    await _a_grant(home, 1_000, first)
    await _a_hold(home, first, 300)
    async with database.transaction(home.caller.reach) as tx:
        await credits.create_alert(tx, home.caller, threshold_percent=1, channels=["mail"], workspace_id=first)
    await let_grants_expire(address, home)
    await let_holds_expire(address, home)
    assert (await database.lookup("select * from credits_lag()"))[0]["due"] >= 2

    async with working(address, tmp_path):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await account_balances(home) != {"issued": -500, "pool": 500}:
                await asyncio.sleep(0.05)
            await work(home, first, used(100))
            while not [mail for mail in _mails(tmp_path) if f"Subject: {name} has used 20 % of its credits" in mail]:
                await asyncio.sleep(0.05)


def _mails(folder: Path) -> list[str]:
    return [path.read_text("utf-8") for path in (folder / "mail").glob("*.eml")]
