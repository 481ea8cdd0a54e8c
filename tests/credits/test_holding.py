"""Holding credits and settling holds, on the real database."""

import contextlib

import pytest

from colonnade import credits
from colonnade.credits import Hold, HoldState
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Database
from tests.credits.homes import Home, a_home, a_request, account_balances, available, used


async def _held(home: Home, workspace_id: str, amount: int) -> Hold:
    async with home.database.transaction(home.caller.reach) as tx:
        return await credits.hold(tx, home.caller, a_request(workspace_id, amount, run_id="inv_1"))


async def test_a_hold_sets_credits_aside_until_it_is_settled(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    first, _ = home.workspaces

    hold = await _held(home, first, 4_000)

    assert hold.state is HoldState.OPEN
    assert await available(home, first) == 6_000
    assert await account_balances(home) == {"issued": -10_000, "pool": 6_000, f"held:{first}": 4_000}


async def test_one_of_many_that_lacks_credits_fails_alone(database: Database) -> None:
    home = await a_home(database, workspaces=3, granted=10_000)
    requests = [a_request(name, amount) for name, amount in zip(home.workspaces, (6_000, 5_000, 4_000), strict=True)]

    async with database.transaction(home.caller.reach) as tx:
        first, second, third = await credits.hold_many(tx, home.caller, requests)

    assert isinstance(first, Hold)
    assert isinstance(third, Hold)
    assert isinstance(second, Refused)
    assert second.reason == "credits.exhausted"
    assert {name: second.details[name] for name in ("required", "available", "cap", "source")} == {
        "required": 5,
        "available": 4,
        "cap": None,
        "source": "agency",
    }
    assert await available(home, home.workspaces[0]) == 0


async def test_a_single_hold_without_credits_is_refused(database: Database) -> None:
    home = await a_home(database)

    with pytest.raises(Refused) as refusal:
        await _held(home, home.workspaces[0], 1)

    assert refusal.value.reason == "credits.exhausted"


async def test_a_hold_of_nothing_needs_no_credits(database: Database) -> None:
    home = await a_home(database)

    hold = await _held(home, home.workspaces[0], 0)
    async with database.transaction(home.caller.reach) as tx:
        settled = await credits.settle(tx, home.caller, hold.id, [used(0, "webhook_delivery")])

    assert (settled.captured, settled.released) == (0, 0)
    assert await account_balances(home) == {}


async def test_a_workspace_with_its_own_pool_does_not_touch_the_agency_s(database: Database) -> None:
    home = await a_home(database, granted=10_000, creditPool="workspace")
    first, second = home.workspaces
    async with database.transaction(home.caller.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(3_000), workspace_id=first)

        held, refused = await credits.hold_many(tx, home.caller, [a_request(first, 3_000), a_request(second, 1)])

    assert isinstance(held, Hold)
    assert isinstance(refused, Refused)
    assert refused.details["source"] == "workspace"
    assert (await account_balances(home))["pool"] == 10_000


async def test_the_same_reference_is_the_same_hold_and_never_another(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    first, second = home.workspaces
    request = a_request(first, 4_000)
    async with database.transaction(home.caller.reach) as tx:
        one, twin = await credits.hold_many(tx, home.caller, [request, request])
    other = a_request(second, 4_000, reference=request.reference)

    async with database.transaction(home.caller.reach) as tx:
        again, refused = await credits.hold_many(tx, home.caller, [request, other])

    assert isinstance(one, Hold)
    assert isinstance(again, Hold)
    assert one == twin
    assert again.id == one.id
    assert isinstance(refused, Refused)
    assert refused.reason == "credits.reference_reused"
    assert await available(home, first) == 6_000


async def test_settling_charges_what_was_used_and_returns_the_rest(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    first, _ = home.workspaces
    hold = await _held(home, first, 4_000)
    run = home.run_in(first)
    lines = [
        used(2_000, "generation", quantity=2, model="m"),
        used(1_000, "publish"),
        used(0, "webhook_delivery"),
    ]

    async with database.transaction(run.reach) as tx:
        settled = await credits.settle(tx, run, hold.id, lines)

    assert (settled.captured, settled.released) == (3_000, 1_000)
    assert await account_balances(home) == {"issued": -10_000, "pool": 7_000, f"used:{first}": 3_000}
    assert await available(home, first) == 7_000


async def test_a_worker_s_transaction_of_one_workspace_holds_and_settles(
    worker_database: Database, database: Database
) -> None:
    home = await a_home(database, granted=10_000)
    run = home.run_in(home.workspaces[0])

    async with worker_database.transaction(run.reach) as tx:
        hold = await credits.hold(tx, run, a_request(home.workspaces[0], 4_000))
        settled = await credits.settle(tx, run, hold.id, [used(4_000, "generation")])

    assert settled.released == 0
    assert await available(home, home.workspaces[0]) == 6_000


async def test_settling_twice_charges_once_and_tells_the_first_settlement(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    first, _ = home.workspaces
    hold = await _held(home, first, 4_000)
    async with database.transaction(home.caller.reach) as tx:
        once = await credits.settle(tx, home.caller, hold.id, [used(1_000, "generation")])

    async with database.transaction(home.caller.reach) as tx:
        twice = await credits.settle(tx, home.caller, hold.id, [used(4_000, "generation")])
        released = await credits.release(tx, home.caller, hold.id)

    assert once == twice == released
    assert (await account_balances(home))[f"used:{first}"] == 1_000


async def test_more_than_was_held_is_refused_and_nothing_is_charged(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    hold = await _held(home, home.workspaces[0], 1_000)

    with pytest.raises(Refused) as refusal:
        async with database.transaction(home.caller.reach) as tx:
            await credits.settle(tx, home.caller, hold.id, [used(1_001, "generation")])

    assert refusal.value.reason == "credits.hold_exceeded"
    assert (await account_balances(home))[f"held:{home.workspaces[0]}"] == 1_000


async def test_a_hold_outside_the_caller_s_reach_is_not_found(database: Database) -> None:
    home, stranger = await a_home(database, granted=10_000), await a_home(database)
    first, second = home.workspaces
    hold = await _held(home, first, 1_000)

    for caller in (home.key_of(second), stranger.caller):
        with pytest.raises(NotFound):
            async with database.transaction(caller.reach) as tx:
                await credits.settle(tx, caller, hold.id, [])


async def test_nobody_holds_for_a_workspace_out_of_reach(database: Database) -> None:
    home, stranger = await a_home(database, granted=10_000), await a_home(database)
    first, second = home.workspaces
    key = home.key_of(first)

    async with database.transaction(key.reach) as tx:
        requests = [a_request(first, 1), a_request(second, 1), a_request(stranger.workspaces[0], 1)]
        outcomes = await credits.hold_many(tx, key, requests)

    assert isinstance(outcomes[0], Hold)
    assert [type(outcome) for outcome in outcomes[1:]] == [NotFound, NotFound]


async def test_a_batch_of_holds_takes_no_more_statements_than_one(database: Database) -> None:
    home = await a_home(database, workspaces=31, granted=1_000_000)
    counts: list[int] = []

    for names in (home.workspaces[:1], home.workspaces[1:]):
        async with database.transaction(home.caller.reach) as tx:
            seen: list[object] = []
            with tx._connection.query_logger(seen.append):
                outcomes = await credits.hold_many(tx, home.caller, [a_request(name, 1_000) for name in names])
            counts.append(len(seen))
        assert all(isinstance(outcome, Hold) for outcome in outcomes)

    assert counts[0] == counts[1]


async def test_a_settlement_undone_by_a_savepoint_leaves_the_hold_open_and_the_reach_narrow(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    first, _ = home.workspaces
    run = home.run_in(first)
    hold = await _held(home, first, 4_000)

    async with database.transaction(run.reach) as tx:
        with contextlib.suppress(ZeroDivisionError):
            async with tx.savepoint():
                await credits.settle(tx, run, hold.id, [used(1_000)])
                raise ZeroDivisionError
        assert await tx.fetchval("select count(*) from credit_account where workspace_id is null") == 0
        settled = await credits.settle(tx, run, hold.id, [used(2_000)])

    assert settled.captured == 2_000
    assert (await account_balances(home))[f"used:{first}"] == 2_000
