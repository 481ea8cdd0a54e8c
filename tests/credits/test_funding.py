"""Grants, transfers and how the pools stand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from tests.credits.homes import Home, a_home, a_request, account_balances, available, let_grants_expire, used, work


async def _remaining(home: Home) -> dict[str, int]:
    async with home.database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch("select note, remaining from credit_grant where agency_id = $1", home.agency_id)
    return {row["note"]: row["remaining"] for row in rows}


async def test_grants_are_spent_by_priority_then_earliest_expiry_then_age(database: Database) -> None:
    home = await a_home(database)
    soon, late = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(days=9)
    for note, priority, expires_at in [
        *(("last", 1, soon), ("third", 0, None), ("fourth", 0, None), ("second", 0, late), ("first", 0, soon)),
    ]:
        async with database.transaction(home.caller.reach) as tx:
            amount = MilliCredits(1_000)
            await credits.grant(tx, home.caller, amount=amount, expires_at=expires_at, priority=priority, note=note)

    await work(home, home.workspaces[0], used(3_500))

    assert await _remaining(home) == {"first": 0, "second": 0, "third": 0, "fourth": 500, "last": 1_000}


async def test_what_is_not_used_goes_back_to_the_grant_that_was_drawn_last(database: Database) -> None:
    home = await a_home(database)
    for note in ("old", "new"):
        async with database.transaction(home.caller.reach) as tx:
            await credits.grant(tx, home.caller, amount=MilliCredits(1_000), note=note)
    async with database.transaction(home.caller.reach) as tx:
        hold = await credits.hold(tx, home.caller, a_request(home.workspaces[0], 1_600))
        await credits.settle(tx, home.caller, hold.id, [used(700)])

    assert await _remaining(home) == {"old": 300, "new": 1_000}


async def test_an_expired_grant_is_spent_no_more_but_keeps_what_is_held(database: Database, address: Address) -> None:
    home = await a_home(database)
    first, _ = home.workspaces
    async with database.transaction(home.caller.reach) as tx:
        tomorrow = await tx.now() + timedelta(days=1)
        await credits.grant(tx, home.caller, amount=MilliCredits(1_000), expires_at=tomorrow)
        hold = await credits.hold(tx, home.caller, a_request(first, 600))
    await let_grants_expire(address, home)

    assert await available(home, first) == 0
    async with database.transaction(home.caller.reach) as tx:
        (refused,) = await credits.hold_many(tx, home.caller, [a_request(first, 1)])
    async with database.transaction(home.caller.reach) as tx:
        settled = await credits.settle(tx, home.caller, hold.id, [used(600)])

    assert isinstance(refused, Refused)
    assert settled.captured == 600
    assert await account_balances(home) == {"issued": -600, f"used:{first}": 600}


async def test_a_transfer_moves_credits_with_their_expiry_and_no_more_than_there_are(database: Database) -> None:
    home = await a_home(database, granted=1_000, creditPool="workspace")
    first, second = home.workspaces
    async with database.transaction(home.caller.reach) as tx:
        tomorrow = await tx.now() + timedelta(days=1)
        await credits.grant(tx, home.caller, amount=MilliCredits(500), expires_at=tomorrow, note="short")
        await credits.transfer(tx, home.caller, amount=MilliCredits(800), to_workspace_id=first)
        await credits.transfer(
            tx, home.caller, amount=MilliCredits(600), from_workspace_id=first, to_workspace_id=second
        )
        ends = await tx.fetch(
            "select amount from credit_grant where workspace_id = $1 and expires_at = $2", second, tomorrow
        )

    with pytest.raises(Refused) as refusal:
        async with database.transaction(home.caller.reach) as tx:
            await credits.transfer(tx, home.caller, amount=MilliCredits(701), to_workspace_id=first)

    told = refusal.value.details
    assert (told["required"], told["available"], told["cap"], told["source"]) == (0.701, 0.7, None, "agency")
    assert [row["amount"] for row in ends] == [500]
    assert (await available(home, first), await available(home, second)) == (200, 600)


async def test_a_grant_of_nothing_and_one_for_a_foreign_workspace_are_refused(database: Database) -> None:
    home, stranger = await a_home(database), await a_home(database)

    for amount, workspace_id in [(0, None), (-1, None), (1, stranger.workspaces[0]), (1, "ws_nowhere")]:
        with pytest.raises(BadFields):
            async with database.transaction(home.caller.reach) as tx:
                await credits.grant(tx, home.caller, amount=MilliCredits(amount), workspace_id=workspace_id)


async def test_a_key_for_some_workspaces_moves_their_credits_and_not_the_agency_s(database: Database) -> None:
    home = await a_home(database, granted=1_000)
    first, second = home.workspaces
    some = Reach(home.agency_id, (first,))

    async with database.transaction(some) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(5), workspace_id=first)
    for source, target in [(None, first), (first, None)]:
        with pytest.raises(Refused) as refusal:
            async with database.transaction(some) as tx:
                await credits.transfer(
                    tx, home.caller, amount=MilliCredits(1), from_workspace_id=source, to_workspace_id=target
                )
        assert refusal.value.reason == "keys.wrong_kind"
    with pytest.raises(BadFields):
        async with database.transaction(some) as tx:
            await credits.grant(tx, home.caller, amount=MilliCredits(5), workspace_id=second)


async def test_the_overview_tells_what_was_granted_as_used_held_and_available(database: Database) -> None:
    home = await a_home(database, granted=10_000, timezone="Asia/Tokyo")
    first, _ = home.workspaces
    async with database.transaction(home.caller.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(500), workspace_id=first)
        await credits.hold(tx, home.caller, a_request(first, 3_000))
    await work(home, first, used(2_000))

    async with database.transaction(home.caller.reach, read_only=True) as tx:
        overview = await credits.balances(tx, home.caller)

    assert overview.agency == credits.PoolBalance(
        None, MilliCredits(3_000), MilliCredits(2_000), MilliCredits(5_000), None
    )
    assert overview.agency.granted == 10_000
    assert [(pool.workspace_id, pool.available) for pool in overview.workspaces] == [(first, 500)]
    assert overview.cycle.ends_at.hour == 15


async def test_every_movement_is_recorded_once_in_the_audit_log(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    async with database.transaction(home.caller.reach) as tx:
        await credits.transfer(tx, home.caller, amount=MilliCredits(1), to_workspace_id=home.workspaces[0])
    await work(home, home.workspaces[0], used(2_000))

    async with database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch(
            "select event, count(*) from audit_entry where agency_id = $1 and event ~ '^credits' group by 1",
            home.agency_id,
        )

    assert {row["event"]: row["count"] for row in rows} == {
        "credits.granted": 1,
        "credits.transferred": 1,
        "credits.held": 1,
        "credits.settled": 1,
    }


@pytest.mark.parametrize("verb", ["grant", "transfer", "balances", "available", "hold", "settle", "release", "usage"])
async def test_every_verb_asks_for_its_scope_first(database: Database, verb: str) -> None:
    home = await a_home(database)
    nobody = replace(home.caller, scopes=frozenset())
    arguments: dict[str, dict[str, Any]] = {
        "grant": {"amount": 1},
        "transfer": {"amount": 1},
        "balances": {},
        "available": {"workspace_id": "x"},
        "hold": {"request": a_request("x", 1)},
        "settle": {"hold_id": "x", "lines": []},
        "release": {"hold_id": "x"},
        "usage": {"query": credits.UsageQuery(datetime.now(UTC), datetime.now(UTC))},
    }

    with pytest.raises(Refused) as refusal:
        async with database.transaction(home.caller.reach) as tx:
            await getattr(credits, verb)(tx, nobody, **arguments[verb])

    assert refusal.value.reason == "keys.scope_missing"
