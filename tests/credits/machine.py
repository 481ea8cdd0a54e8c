"""An agency whose credits are moved by every command there is, in any order, while its books are looked at."""

import asyncio
import threading
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from colonnade import credits
from colonnade.credits import Hold, HoldRequest, charging, expiring
from colonnade.credits.charge_model import CaptureWish, Charge, ChargeWish, HoldWish, Priced, RefundWish
from colonnade.credits.event_model import ToldEvent
from colonnade.credits.settling import CreditTill, open_till
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, keys, workspaces
from tests.conftest import PEPPER
from tests.credits import homes, invariants
from tests.credits.homes import Home, used

T = TypeVar("T")

EXPECTED: Final = {
    *("credits.exhausted", "credits.cap_exceeded", "credits.hold_exceeded", "credits.hold_ended"),
    *("credits.refund_exceeded", "credits.reference_reused", "request.invalid", "resource.not_found"),
}
"""Why a command may be refused."""

PLACES: Final = st.integers(0, 2)
AMOUNTS: Final = st.one_of(st.integers(1, 3_000), st.sampled_from([1, 999, 1_000, 5_000]))
NUMBERS: Final = st.integers(0, 50)
SHARES: Final = st.one_of(st.integers(0, 110), st.just(100))
FEATURES: Final = st.sampled_from(["generation", "publish"])
CYCLES: Final = st.sampled_from(
    [
        {"kind": "month"},
        {"kind": "month", "anchor": 17},
        {"kind": "rolling", "days": 1},
        {"kind": "rolling", "days": 30},
    ]
)


class Loop:
    """A loop in a thread of its own: hypothesis calls its steps one by one, and waits for none."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[T]) -> T:
        """What comes of it."""

        async def wait() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(120)

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Credits(RuleBasedStateMachine):
    """Every step is a command as callers send it, in a transaction of its own or through a till."""

    loop: Loop
    address: Address
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.till: CreditTill = self.loop.run(self._till())
        self.runs: list[Hold] = []
        self.holds: list[Hold] = []
        self.charges: list[str] = []
        self.caps: list[tuple[str, str | None]] = []
        self.before = invariants.Taken({}, {})

    async def _till(self) -> CreditTill:
        return open_till(self.database)

    def teardown(self) -> None:
        self.loop.run(self.till.close())

    @initialize(granted=st.integers(0, 60_000), borrow=st.integers(0, 2_000))
    def begin(self, granted: int, borrow: int) -> None:
        self.loop.run(self._begin(granted, borrow))

    async def _begin(self, granted: int, borrow: int) -> None:
        """Two workspaces: one pays from the agency's pool, the other from its own and borrows."""
        self.home: Home = await homes.a_home(self.database, granted=granted)
        own = {"settings": {"creditPool": "workspace", "borrowLimit": borrow / 1000}}
        async with self.database.transaction(self.home.caller.reach) as tx:
            await workspaces.update(tx, self.home.caller, self.home.workspaces[1], patch=own)
            minted = await keys.mint(tx, self.home.caller, keys.Draft("capped", preset="master"))
        self.key = minted.key.id

    @property
    def caller(self) -> Caller:
        """The capped key, in a request of its own."""
        return replace(self.home.caller, actor_id=self.key, request_id=new_request_id())

    def _attempt(self, work: Awaitable[T]) -> T | None:
        try:
            return self.loop.run(work)
        except Refused as refused:
            if refused.reason not in EXPECTED:
                raise
            return None

    def _place(self, number: int) -> str | None:
        return (None, *self.home.workspaces)[number]

    def _inside(self, number: int) -> str:
        return self.home.workspaces[number % 2]

    @rule(place=PLACES, amount=AMOUNTS, priority=st.integers(0, 2), ends=st.booleans())
    def grant(self, place: int, amount: int, priority: int, ends: bool) -> None:
        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                at = (await tx.now()).replace(year=2999) if ends else None
                place_id, size = self._place(place), MilliCredits(amount)
                await credits.grant(
                    tx, self.caller, amount=size, workspace_id=place_id, expires_at=at, priority=priority
                )

        self._attempt(work())

    @rule(whence=PLACES, whither=PLACES, amount=AMOUNTS)
    def transfer(self, whence: int, whither: int, amount: int) -> None:
        async def work() -> None:
            ends = {"from_workspace_id": self._place(whence), "to_workspace_id": self._place(whither)}
            async with self.database.transaction(self.home.caller.reach) as tx:
                await credits.transfer(tx, self.caller, amount=MilliCredits(amount), **ends)

        self._attempt(work())

    @rule(one=AMOUNTS, other=AMOUNTS)
    def hold_for_runs(self, one: int, other: int) -> None:
        """A run in each of the workspaces, of two features."""

        async def work() -> list[Hold | Refused]:
            parts = {"generation": MilliCredits(one), "publish": MilliCredits(other)}
            wishes = [
                HoldRequest(name, MilliCredits(one + other), "generation", new_id("inv"), "inv_1", parts=parts)
                for name in self.home.workspaces
            ]
            async with self.database.transaction(self.home.caller.reach) as tx:
                return await credits.hold_many(tx, self.caller, wishes)

        for outcome in self._attempt(work()) or []:
            if isinstance(outcome, Hold):
                self.runs.append(outcome)
            else:
                assert outcome.reason in EXPECTED

    @precondition(lambda self: self.runs)
    @rule(number=NUMBERS, one=SHARES, other=SHARES)
    def settle_run(self, number: int, one: int, other: int) -> None:
        """For shares of what was held; now and then for more."""
        held = self.runs[number % len(self.runs)]

        async def work() -> None:
            lines = [used(held.amount * one // 200), used(held.amount * other // 200, "publish"), used(0, "analytics")]
            async with self.database.transaction(self.home.caller.reach) as tx:
                await credits.settle(tx, self.caller, held.id, lines)

        self._attempt(work())

    @precondition(lambda self: self.runs)
    @rule(number=NUMBERS)
    def release_run(self, number: int) -> None:
        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                await credits.release(tx, self.caller, self.runs.pop(number % len(self.runs)).id)

        self._attempt(work())

    @rule(wishes=st.lists(st.tuples(PLACES, AMOUNTS, FEATURES), min_size=1, max_size=4))
    def charge(self, wishes: list[tuple[int, int, str]]) -> None:
        """Some calls at the same moment."""

        async def one(place: int, amount: int, feature: str) -> None:
            wish = ChargeWish(self._inside(place), Priced(feature, MilliCredits(amount)), new_id("evt"))
            made = (await charging.charge(self.till, self.caller, wish)).made
            assert isinstance(made, Charge)
            self.charges.append(made.id)

        async def work() -> None:
            for outcome in await asyncio.gather(*(one(*wish) for wish in wishes), return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, Refused):
                    raise outcome
                assert outcome is None or outcome.reason in EXPECTED, outcome

        self._attempt(work())

    @rule(place=PLACES, amount=AMOUNTS, feature=FEATURES)
    def hold_by_api(self, place: int, amount: int, feature: str) -> None:
        async def work() -> Hold:
            wish = HoldWish(self._inside(place), Priced(feature, MilliCredits(amount)), new_id("evt"))
            made = (await charging.hold(self.till, self.caller, wish)).made
            assert isinstance(made, Hold)
            return made

        made = self._attempt(work())
        if made is not None:
            self.holds.append(made)

    @precondition(lambda self: self.holds)
    @rule(number=NUMBERS, share=SHARES, feature=FEATURES, ends=st.booleans())
    def capture(self, number: int, share: int, feature: str, ends: bool) -> None:
        """In parts; what passes the hold is refused."""
        held = self.holds[number % len(self.holds)]

        async def work() -> Any:
            amount = MilliCredits(held.amount * share // 200)
            wish = CaptureWish(amount, feature=feature, reference=new_id("evt"), release=ends)
            return (await charging.capture(self.till, self.caller, await self._own(held), wish)).made

        made = self._attempt(work())
        if isinstance(made, Charge):
            self.charges.append(made.id)

    @precondition(lambda self: self.holds)
    @rule(number=NUMBERS)
    def release_by_api(self, number: int) -> None:
        async def work() -> None:
            held = self.holds.pop(number % len(self.holds))
            await charging.release(self.till, self.caller, await self._own(held))

        self._attempt(work())

    async def _own(self, held: Hold) -> Hold:
        async with self.database.transaction(self.home.caller.reach, read_only=True) as tx:
            return await charging.own_hold(tx, self.caller, held.id)

    @precondition(lambda self: self.charges)
    @rule(number=NUMBERS, amount=st.one_of(st.none(), st.integers(1, 800)))
    def refund(self, number: int, amount: int | None) -> None:
        async def work() -> None:
            name = self.charges[number % len(self.charges)]
            async with self.database.transaction(self.home.caller.reach, read_only=True) as tx:
                target = await charging.refundable(tx, self.caller, name)
            wish = RefundWish(None if amount is None else MilliCredits(amount))
            await charging.refund(self.till, self.caller, target, wish)

        self._attempt(work())

    @rule(lines=st.lists(st.tuples(PLACES, AMOUNTS, FEATURES), min_size=1, max_size=4))
    def report(self, lines: list[tuple[int, int, str]]) -> None:
        """Work that was done elsewhere; it is kept, whether anything can pay for it or not."""

        async def work() -> None:
            told = [
                ToldEvent(new_id("evt"), "tests", self._inside(place), feature, MilliCredits(amount))
                for place, amount, feature in lines
            ]
            async with self.database.transaction(self.home.caller.reach) as tx:
                outcomes = await credits.report_usage(tx, self.caller, told)
            assert {one.status.value for one in outcomes} <= {"recorded", "unfunded"}

        self._attempt(work())

    @rule(
        level=st.sampled_from(["agency", "workspace", "key"]),
        feature=st.one_of(st.none(), FEATURES),
        most=st.integers(0, 20_000),
    )
    def set_cap(self, level: str, feature: str | None, most: int) -> None:
        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                await credits.set_cap(tx, self.caller, MilliCredits(most), feature=feature, **self._holder(level))

        self._attempt(work())
        self.caps.append((level, feature))

    @precondition(lambda self: self.caps)
    @rule(number=NUMBERS)
    def remove_cap(self, number: int) -> None:
        level, feature = self.caps.pop(number % len(self.caps))

        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                await credits.remove_cap(tx, self.caller, feature=feature, **self._holder(level))

        self._attempt(work())

    def _holder(self, level: str) -> dict[str, str]:
        names = {"workspace": {"workspace_id": self.home.workspaces[0]}, "key": {"key_id": self.key}}
        return names.get(level, {})

    @rule(place=PLACES, pool=st.sampled_from(["agency", "workspace"]), borrow=st.integers(0, 2_000))
    def change_terms(self, place: int, pool: str, borrow: int) -> None:
        async def work() -> None:
            patch = {"settings": {"creditPool": pool, "borrowLimit": borrow / 1000}}
            async with self.database.transaction(self.home.caller.reach) as tx:
                await workspaces.update(tx, self.home.caller, self._inside(place), patch=patch)

        self._attempt(work())

    @rule(cycle=CYCLES, zone=st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]))
    def change_cycle(self, cycle: dict[str, Any], zone: str) -> None:
        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                await agencies.update_settings(tx, self.home.caller, patch={"creditCycle": cycle, "timezone": zone})

        self._attempt(work())

    @rule()
    def end_cycle(self) -> None:
        self.loop.run(homes.let_cycles_end(self.address, self.home))
        self.before = invariants.Taken({}, {})

    @rule(holds=st.booleans())
    def let_time_pass(self, holds: bool) -> None:
        """Grants end, and holds if wanted; the workers' round finds them, or whoever comes first."""
        self.loop.run(homes.let_grants_expire(self.address, self.home))
        if holds:
            self.loop.run(homes.let_holds_expire(self.address, self.home))

    @rule()
    def expire(self) -> None:
        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                await expiring.expire(tx, self.caller)

        self._attempt(work())

    @rule(place=PLACES)
    def close_pool(self, place: int) -> None:
        async def work() -> None:
            async with self.database.transaction(self.home.caller.reach) as tx:
                await credits.close_pool(tx, self.caller, self._inside(place))

        self._attempt(work())

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "home"):
            assert self.loop.run(invariants.broken(self.home)) == []

    @invariant()
    def no_cap_is_passed(self) -> None:
        if hasattr(self, "home"):
            now = self.loop.run(invariants.taken(self.home))
            assert now.passed(self.before) == []
            self.before = now


def a_database(address: Address) -> Database:
    """A door of the machine's own: its steps are run by a loop of its own."""
    return Database(address, "colonnade_app", PEPPER, most_connections=6)
