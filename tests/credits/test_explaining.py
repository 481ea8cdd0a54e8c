"""What is explained is what happens: every combination of caps, pools and borrowing, asked first and then tried."""

import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from colonnade import credits
from colonnade.credits import Explanation, Hold, HoldRequest, Question, charging
from colonnade.credits.charge_model import Charge, RefundWish
from colonnade.credits.settling import CreditTill
from colonnade.ground.core.amounts import MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import keys, workspaces
from tests import factories
from tests.credits.counters import a_till, a_wish
from tests.credits.homes import Home, a_home, used

FEATURE: Final = "generation"

CAPS: Final = ("key#", "key", "workspace#", "workspace", "agency#", "agency")
"""Every level, with `#` where the cap is for the feature alone, in the order in which equal ones are named."""

WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "agency": {"creditPool": "agency"},
    "workspace": {"creditPool": "workspace"},
    "borrowing little": {"creditPool": "workspace", "borrowLimit": 4},
    "borrowing more than there is": {"creditPool": "workspace", "borrowLimit": 4000},
    "never borrowing from itself": {"creditPool": "agency", "borrowLimit": 4},
}
"""Whose credits pay."""

OWN: Final = 30_000
SHARED: Final = 45_000
FUNDS: Final = {
    "agency": SHARED,
    "workspace": OWN,
    "borrowing little": OWN + 4_000,
    "borrowing more than there is": OWN + SHARED,
    "never borrowing from itself": SHARED,
}
"""What is left to the workspace of the pools, once the stage is set."""

TAKEN: Final = {
    "key#": 1_000 + 16_000,
    "key": 1_000 + 2_000 + 16_000 + 32_000,
    "workspace#": 1_000 + 4_000,
    "workspace": 1_000 + 2_000 + 4_000 + 8_000,
    "agency#": 1_000 + 4_000 + 16_000,
    "agency": 1_000 + 2_000 + 4_000 + 8_000 + 16_000 + 32_000,
}
"""What was taken on each level before, by the work of `_a_stage`."""


@dataclass(frozen=True)
class Stage:
    """A workspace that was worked in, and the key that goes on."""

    home: Home
    workspace_id: str
    caller: Caller

    def holder(self, level: str) -> dict[str, str]:
        """Whose cap it is, as the verb takes it."""
        named = {"key": {"key_id": self.caller.actor_id}, "workspace": {"workspace_id": self.workspace_id}}
        return named.get(level, {})


async def _a_stage(database: Database, settings: Mapping[str, Any]) -> Stage:
    """Work of the key and of another, for the feature and for another, here and elsewhere: each a power of two."""
    origin = await factories.an_agency(database)
    first = (await factories.a_workspace(database, origin, name="First", settings=settings)).id
    second = (await factories.a_workspace(database, origin, name="Second", settings={"creditPool": "workspace"})).id
    home = Home(database, origin, (first, second))
    async with database.transaction(home.caller.reach) as tx:
        minted = await keys.mint(tx, home.caller, keys.Draft("goes on", preset="master"))
        for place in (first, second, None):
            await credits.grant(tx, home.caller, amount=MilliCredits(1_000_000), workspace_id=place)
    ours = replace(home.origin, caller=replace(home.caller, actor_id=minted.key.id))
    mine = replace(home, origin=ours)
    for who, place, feature, amount in [
        (mine, first, FEATURE, 1_000),
        (mine, first, "publish", 2_000),
        (home, first, FEATURE, 4_000),
        (home, first, "publish", 8_000),
        (mine, second, FEATURE, 16_000),
        (mine, second, "publish", 32_000),
    ]:
        await _work(who, place, used(amount, feature))
    await _leave(database, home, first, OWN)
    await _leave(database, home, None, SHARED)
    return Stage(mine, first, mine.caller)


async def _work(home: Home, workspace_id: str, line: credits.UsageLine) -> None:
    """A piece of work that uses exactly this, held under its own feature."""
    request = HoldRequest(workspace_id, line.credits, line.feature, new_id("inv"))
    async with home.database.transaction(home.caller.reach) as tx:
        hold = await credits.hold(tx, home.caller, request)
        await credits.settle(tx, home.caller, hold.id, [line])


async def _leave(database: Database, home: Home, workspace_id: str | None, left: int) -> None:
    """Move away what the pool has beyond this."""
    async with database.transaction(home.caller.reach) as tx:
        overview = await credits.balances(tx, home.caller)
        pools = {None: overview.agency, **{pool.workspace_id: pool for pool in overview.workspaces}}
        pool = pools[workspace_id]
        assert pool is not None
        await credits.transfer(
            tx,
            home.caller,
            amount=MilliCredits(pool.available - left),
            from_workspace_id=workspace_id,
            to_workspace_id=home.workspaces[1],
        )


def _combinations() -> Iterator[tuple[str, ...]]:
    for count in range(len(CAPS) + 1):
        yield from itertools.combinations(CAPS, count)


class _Enough(Exception):
    """Nothing of this combination is to stay."""


@contextlib.asynccontextmanager
async def _undone(database: Database, stage: Stage) -> AsyncIterator[Tx]:
    """A transaction of which nothing stays."""
    with contextlib.suppress(_Enough):
        async with database.transaction(stage.caller.reach) as tx:
            yield tx
            raise _Enough


@pytest.mark.parametrize("way", WAYS)
async def test_a_hold_meets_what_was_explained_for_every_combination_of_levels(database: Database, way: str) -> None:
    stage = await _a_stage(database, WAYS[way])
    chance = random.Random(way)
    for chosen in _combinations():
        left = {level: chance.choice([0, 1, 500, 7_000, 7_000, 33_000, 60_000]) for level in chosen}
        async with _undone(database, stage) as tx:
            caps = await _set(tx, stage, left)
            await _try_all(tx, stage, caps, left, FUNDS[way])


@pytest.mark.parametrize("way", WAYS)
async def test_a_charge_meets_what_was_explained_for_every_combination_of_levels(database: Database, way: str) -> None:
    stage = await _a_stage(database, WAYS[way])
    chance = random.Random(f"{way}, charged")
    async with a_till(database) as till:
        for chosen in _combinations():
            left = {level: chance.choice([0, 1, 500, 7_000, 7_000, 33_000, 60_000]) for level in chosen}
            async with database.transaction(stage.caller.reach) as tx:
                caps = await _set(tx, stage, left)
            most = min([*left.values(), FUNDS[way]])
            await _assert_charged_as_explained(till, stage, most + 1)
            made = await _assert_charged_as_explained(till, stage, most)
            assert made is not None
            async with database.transaction(stage.caller.reach) as tx:
                target = await charging.refundable(tx, stage.caller, made.id)
                for level in caps:
                    feature = FEATURE if level.endswith("#") else None
                    await credits.remove_cap(tx, stage.home.caller, feature=feature, **stage.holder(level.rstrip("#")))
            if most:
                await charging.refund(till, stage.caller, target, RefundWish())


async def _assert_charged_as_explained(till: CreditTill, stage: Stage, amount: int) -> Charge | None:
    """What came of a charge, which is what was explained before."""
    async with stage.home.database.transaction(stage.caller.reach, read_only=True) as tx:
        explained = await credits.explain(tx, stage.caller, Question(stage.workspace_id, FEATURE, MilliCredits(amount)))
    try:
        done = await charging.charge(till, stage.caller, a_wish(stage.workspace_id, amount, feature=FEATURE))
    except Refused as refused:
        _assert_same_refusal(explained, refused)
        return None
    assert isinstance(done.made, Charge)
    assert (explained.refused, explained.rule) == (None, done.made.rule)
    own = credits.Source.AGENCY if done.made.pool_id == "pool" else credits.Source.WORKSPACE
    paid = {own: amount - done.made.borrowed, credits.Source.AGENCY: done.made.borrowed or None}
    if own is credits.Source.AGENCY:
        paid = {own: amount}
    assert dict(explained.pays) == {source: part for source, part in paid.items() if part}
    return done.made


async def _set(tx: Tx, stage: Stage, left: Mapping[str, int]) -> dict[str, str]:
    """Caps that leave so much on each level: their ids."""
    found = {}
    for level, rest in left.items():
        status = await credits.set_cap(
            tx,
            stage.home.caller,
            MilliCredits(TAKEN[level] + rest),
            feature=FEATURE if level.endswith("#") else None,
            **stage.holder(level.rstrip("#")),
        )
        assert status.available == rest, level
        found[level] = status.cap.id
    return found


async def _try_all(tx: Tx, stage: Stage, caps: Mapping[str, str], left: Mapping[str, int], funds: int) -> None:
    """Just too much, then all that is left, then one more: asked and tried, against what arithmetic says."""
    most = min([*left.values(), funds])
    stopping = [level for level in CAPS if left.get(level) == most]
    name = caps[stopping[0]] if stopping else None
    for amount, is_allowed in [(most + 1, False), (most, True), (1, False)]:
        explained, outcome = await _asked_and_tried(tx, stage, amount)
        assert (explained.refused is None) == is_allowed == isinstance(outcome, Hold)
        if isinstance(outcome, Refused):
            _assert_same_refusal(explained, outcome)
            assert outcome.reason == ("credits.exhausted" if name is None else "credits.cap_exceeded")
            assert outcome.details["required"] == to_number(amount)
            assert outcome.details["available"] == to_number(most if amount == most + 1 else 0)
            assert name is None or outcome.details["limit"]["id"] == name
    assert {limit.id for limit in explained.limits if limit.kind == "cap"} == set(caps.values())


async def _asked_and_tried(tx: Tx, stage: Stage, amount: int) -> tuple[Explanation, Hold | Refused]:
    question = Question(stage.workspace_id, FEATURE, MilliCredits(amount))
    explained = await credits.explain(tx, stage.caller, question)
    request = HoldRequest(stage.workspace_id, MilliCredits(amount), FEATURE, new_id("inv"))
    (outcome,) = await credits.hold_many(tx, stage.caller, [request])
    if isinstance(outcome, Hold):
        assert sum(explained.pays.values()) == amount
        assert explained.pays.get(credits.Source.AGENCY, 0) == (
            outcome.borrowed if outcome.pool_id != "pool" else outcome.amount
        )
    return explained, outcome


def _assert_same_refusal(explained: Explanation, outcome: Refused) -> None:
    assert explained.refused is not None
    assert (explained.refused.reason, explained.refused.sentence, explained.refused.details) == (
        outcome.reason,
        outcome.sentence,
        outcome.details,
    )
    told = [limit["id"] for limit in outcome.details["limits"]]
    assert sorted(told) == sorted(limit.id for limit in explained.limits if explained.stops(limit))


async def test_a_workspace_that_is_archived_is_explained_as_it_refuses(database: Database) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.archive(tx, home.caller, first)
        explained = await credits.explain(tx, home.caller, Question(first, FEATURE))

    async with a_till(database) as till:
        with pytest.raises(Refused) as refused:
            await charging.charge(till, home.caller, a_wish(first, 10_000))

    assert explained.refused is not None
    assert explained.refused.reason == "workspace.archived"
    assert (explained.refused.reason, explained.refused.sentence) == (refused.value.reason, refused.value.sentence)
    assert (explained.rule, dict(explained.pays)) == (None, {})
