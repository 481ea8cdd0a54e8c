import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys
from colonnade.tenancy.keys import Draft, Limiter, Taken
from tests.conftest import PEPPER
from tests.factories import an_agency

FLOOD = Path(__file__).with_name("keys_flood.py")


@pytest_asyncio.fixture
async def limiter(database: Database) -> AsyncIterator[Limiter]:
    limiter = Limiter(database)
    yield limiter
    await limiter.close()


async def flood(address: Address, subject: str) -> list[tuple[bool, int]]:
    """What 500 calls of a process of its own were told, 16 at a time."""
    told = {
        "database": address.database,
        "subject": subject,
        "requests": 100,
        "window_seconds": 60,
        "calls": 500,
        "callers": 16,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(FLOOD), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(json.dumps(told).encode())
    assert process.returncode == 0
    return [(granted, remaining) for granted, remaining in json.loads(output)]


async def test_two_processes_together_grant_exactly_the_limit(address: Address, database: Database) -> None:
    subject = new_id("key")

    answers = [answer for told in await asyncio.gather(*(flood(address, subject) for _ in "ab")) for answer in told]

    assert len(answers) == 1000
    granted = [remaining for is_granted, remaining in answers if is_granted]
    assert sorted(granted, reverse=True) == list(range(99, -1, -1))
    assert {remaining for is_granted, remaining in answers if not is_granted} == {0}


async def test_what_remains_counts_down_one_by_one(limiter: Limiter) -> None:
    subject = new_id("key")

    told = [await limiter.take(subject, 3, 60) for _ in range(5)]

    assert [taken.granted for taken in told] == [True, True, True, False, False]
    assert [taken.remaining for taken in told] == [2, 1, 0, 0, 0]
    assert all(taken.limit == 3 and 1 <= taken.resets_in_seconds <= 60 for taken in told)


async def test_calls_of_the_same_moment_each_learn_their_own_result(limiter: Limiter) -> None:
    one, other = new_id("key"), new_id("key")

    told = await asyncio.gather(*(limiter.take(subject, 5, 60) for _ in range(8) for subject in (one, other)))

    for answers in (told[::2], told[1::2]):
        assert [taken.granted for taken in answers] == [True] * 5 + [False] * 3
        assert [taken.remaining for taken in answers] == [4, 3, 2, 1, 0, 0, 0, 0]


async def test_a_window_opens_again_with_the_first_call_after_its_end(limiter: Limiter) -> None:
    subject = new_id("key")
    assert [(await limiter.take(subject, 2, 1)).granted for _ in range(3)] == [True, True, False]

    await asyncio.sleep(1.05)

    taken = await limiter.take(subject, 2, 1)
    assert (taken.granted, taken.remaining, taken.resets_in_seconds) == (True, 1, 1)


async def test_a_changed_limit_counts_in_the_running_window(limiter: Limiter) -> None:
    subject = new_id("key")
    for _ in range(5):
        await limiter.take(subject, 10, 60)

    lowered = await limiter.take(subject, 3, 60)
    raised = await limiter.take(subject, 10, 60)

    assert (lowered.granted, lowered.remaining) == (False, 0)
    assert (raised.granted, raised.remaining) == (True, 4)


@pytest.mark.parametrize(("requests", "granted"), [(0, False), (-7, False), (2**31 - 1, True), (10**30, True)])
async def test_extreme_limits_are_safe(limiter: Limiter, requests: int, granted: bool) -> None:
    subject = new_id("key")

    told = [await limiter.take(subject, requests, window) for window in (1, 60, 10**12, 0, -5)]

    assert {taken.granted for taken in told} == {granted}
    assert all(taken.remaining >= 0 and taken.resets_in_seconds >= 1 for taken in told)


async def test_the_call_learns_of_a_revocation_that_came_before_it(database: Database, limiter: Limiter) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        key = (await keys.mint(tx, home.caller, Draft("a key", preset="master"))).key
    before = await limiter.take(key.id, 10, 60)
    async with database.transaction(home.reach) as tx:
        ended = await keys.revoke(tx, home.caller, key.id)

    after = await limiter.take(key.id, 10, 60)

    assert (before.revoked_at, before.key_version) == (None, 1)
    assert (after.revoked_at, after.key_version) == (ended.revoked_at, 2)


async def test_anonymous_calls_are_counted_by_address(limiter: Limiter) -> None:
    async def calls(*addresses: str | None) -> list[Taken]:
        return list(await asyncio.gather(*(limiter.anonymous(address) for address in addresses)))

    same = await calls(*["203.0.113.77", "::ffff:203.0.113.77"] * 16)
    other = await calls("203.0.113.78")
    network = await calls("2001:db8:0:7::1", "2001:db8:0:7::2", "2001:db8:0:8::1")
    await calls(None, "no address")

    assert sum(taken.granted for taken in same) == 30
    assert other[0].remaining == 29
    assert [taken.remaining for taken in network] == [29, 28, 29]


async def test_a_limiter_without_a_database_refuses_and_grants_nothing(address: Address) -> None:
    database = Database(address, "colonnade_app", PEPPER)
    await database.open()
    limiter = Limiter(database)
    await database.pool.close()

    with pytest.raises(Refused) as refusal:
        await limiter.take(new_id("key"), 10, 60)

    assert refusal.value.reason == "service.unavailable"
    await limiter.close()
