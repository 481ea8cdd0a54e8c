"""The till by itself: how orders gather, how they are refused, and what becomes of them when something fails."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import pytest

from colonnade.credits.till import Till, TillOptions
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database, Tx


@dataclass(frozen=True)
class Wish:
    agency_id: str
    number: int
    asked_by: str | None = "/v1/credits/charges?reference=it"


class Desk:
    """Settles orders by giving their numbers back, and remembers what it was asked to do together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.fail_with: list[Exception] = []
        self.poison: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def settle(self, tx: Tx, wishes: Sequence[Wish]) -> Sequence[int | Exception]:
        assert await tx.fetchval("select app_agency()") == wishes[0].agency_id
        self.batches.append([wish.number for wish in wishes])
        await self.gate.wait()
        if self.fail_with:
            raise self.fail_with.pop(0)
        if self.poison & {wish.number for wish in wishes}:
            raise ZeroDivisionError("the poison")
        return [ValueError("odd") if wish.number % 2 else wish.number for wish in wishes]


async def _asked(till: Till[Wish, int], agency_id: str, *numbers: int) -> list[int | BaseException]:
    return await asyncio.gather(*(till.ask(Wish(agency_id, one)) for one in numbers), return_exceptions=True)


async def _until_begun(desk: Desk) -> None:
    while not desk.batches:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)


async def test_orders_that_come_together_are_settled_together_each_with_its_own_outcome(database: Database) -> None:
    desk = Desk()
    till = Till(database, desk.settle)

    outcomes = await _asked(till, new_id("agency"), 0, 1, 2)

    assert desk.batches == [[0, 1, 2]]
    assert (outcomes[0], outcomes[2]) == (0, 2)
    assert isinstance(outcomes[1], ValueError)


async def test_what_comes_while_a_flush_is_under_way_goes_with_the_next_one(database: Database) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle, TillOptions(most_at_once=3))
    desk.gate.clear()

    first = asyncio.create_task(till.ask(Wish(agency, 0)))
    await _until_begun(desk)
    rest = asyncio.gather(*(till.ask(Wish(agency, number)) for number in (2, 4, 6, 8)))
    await asyncio.sleep(0)
    desk.gate.set()

    assert [await first, *await rest] == [0, 2, 4, 6, 8]
    assert desk.batches == [[0], [2, 4, 6], [8]]


async def test_agencies_do_not_wait_for_each_other(database: Database) -> None:
    desk, slow = Desk(), new_id("agency")
    desk.gate.clear()

    async def settle(tx: Tx, wishes: Sequence[Wish]) -> Sequence[int | Exception]:
        return await desk.settle(tx, wishes) if tx.agency_id == slow else [wish.number for wish in wishes]

    till = Till(database, settle)
    stuck = asyncio.create_task(till.ask(Wish(slow, 0)))
    await _until_begun(desk)
    assert await till.ask(Wish(new_id("agency"), 2)) == 2

    desk.gate.set()
    assert await stuck == 0


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(database: Database) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle, TillOptions(most_at_once=1, most_waiting=2))
    desk.gate.clear()
    first = asyncio.create_task(till.ask(Wish(agency, 0)))
    await _until_begun(desk)
    rest = [asyncio.create_task(till.ask(Wish(agency, number))) for number in (2, 4)]
    await asyncio.sleep(0)

    with pytest.raises(Refused) as refused:
        await till.ask(Wish(agency, 6))

    assert (refused.value.reason, refused.value.headers["Retry-After"]) == ("credits.busy", "1")
    desk.gate.set()
    assert [await one for one in (first, *rest)] == [0, 2, 4]


async def test_who_waits_too_long_learns_where_to_ask(database: Database) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle, TillOptions(deadline_seconds=0.05))
    desk.gate.clear()

    with pytest.raises(Refused) as refused:
        await till.ask(Wish(agency, 0))

    assert refused.value.reason == "credits.outcome_unknown"
    assert refused.value.details == {"ask": "/v1/credits/charges?reference=it"}
    desk.gate.set()
    await till.close()


async def test_an_order_whose_caller_has_gone_before_its_turn_never_happens(database: Database) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle)
    desk.gate.clear()
    first = asyncio.create_task(till.ask(Wish(agency, 0)))
    await _until_begun(desk)
    gone = asyncio.create_task(till.ask(Wish(agency, 2)))
    await asyncio.sleep(0)
    gone.cancel()
    desk.gate.set()

    assert await first == 0
    assert await till.ask(Wish(agency, 4)) == 4
    assert desk.batches == [[0], [4]]


async def test_an_order_that_cannot_be_settled_fails_alone(database: Database) -> None:
    desk = Desk()
    desk.poison = {2}

    outcomes = await _asked(Till(database, desk.settle), new_id("agency"), 0, 2, 4)

    assert (outcomes[0], outcomes[2]) == (0, 4)
    assert isinstance(outcomes[1], ZeroDivisionError)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting up"),
        ConnectionResetError(),
        asyncpg.UniqueViolationError("somebody was quicker"),
        asyncpg.DeadlockDetectedError("in a circle"),
    ],
    ids=["gone", "starting", "reset", "reference", "deadlock"],
)
async def test_a_flush_that_failed_with_the_database_is_made_again(database: Database, error: Exception) -> None:
    desk = Desk()
    desk.fail_with = [error]
    till = Till(database, desk.settle)

    assert await _asked(till, new_id("agency"), 0, 2) == [0, 2]
    assert desk.batches == [[0, 2], [0, 2]]
    assert till.state().failing_seconds == 0


async def test_a_till_that_closes_settles_what_waits_and_takes_no_more(database: Database) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle, TillOptions(most_at_once=1))
    waiting = [asyncio.create_task(till.ask(Wish(agency, number))) for number in (0, 2)]
    await asyncio.sleep(0)

    await till.close()

    assert [await one for one in waiting] == [0, 2]
    with pytest.raises(Refused, match=r"credits\.busy"):
        await till.ask(Wish(agency, 4))


async def test_a_till_that_is_closed_in_the_middle_of_a_failure_tells_that_the_outcome_is_unknown(
    database: Database,
) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle, TillOptions(deadline_seconds=0.1))
    desk.gate.clear()
    waiting = asyncio.create_task(till.ask(Wish(agency, 0)))
    await _until_begun(desk)

    await till.close()

    with pytest.raises(Refused, match=r"credits\.outcome_unknown"):
        await waiting


async def test_a_till_tells_how_it_stands(database: Database) -> None:
    desk, agency = Desk(), new_id("agency")
    till = Till(database, desk.settle)
    desk.gate.clear()
    waiting = asyncio.create_task(till.ask(Wish(agency, 0)))
    await _until_begun(desk)

    assert till.state().waiting == 1
    assert till.state().oldest_seconds > 0
    desk.gate.set()
    await waiting

    state = till.state()
    assert (state.waiting, state.oldest_seconds, state.flushes, state.orders) == (0, 0, 1, 1)
