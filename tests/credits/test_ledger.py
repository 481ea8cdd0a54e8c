"""The ledger keeps its promises after any sequence of commands, and under many at once."""

import asyncio
from dataclasses import dataclass

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade import credits
from colonnade.credits import Hold
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database, Tx
from tests.credits.homes import Home, a_home, a_request, account_balances, let_grants_expire, used

_BROKEN = """
with mine as (select * from credit_account where agency_id = $1),
entry as (select account_id, amount, balance_after, account_version,
                 sum(amount) over (partition by account_id order by account_version) as summed,
                 row_number() over (partition by account_id order by account_version) as counted
          from ledger_entry where agency_id = $1),
account as (select account_id, sum(amount) as balance, count(*) as version from entry group by account_id),
hold as (select workspace_id, sum(amount) as held from credit_hold where agency_id = $1 and state = 'open' group by 1),
lot as (select pool_id, sum(remaining) as remaining from credit_grant where agency_id = $1 group by pool_id),
event as (select workspace_id, sum(credits) as used from usage_event where agency_id = $1 group by workspace_id),
daily as (select workspace_id, sum(credits) as used from usage_daily where agency_id = $1 group by workspace_id),
lotted as (select h.id, h.amount, sum(l.amount) as drawn from credit_hold h
           left join credit_hold_lot l on l.agency_id = h.agency_id and l.hold_id = h.id
           where h.agency_id = $1 group by h.id, h.amount)
select 'the sum of all balances is not zero' as broken from mine having sum(balance) <> 0
union all select id || ' differs from its entries' from mine left join account on account_id = id
    where mine.balance <> coalesce(account.balance, 0) or mine.version <> coalesce(account.version, 0)
union all select account_id || ' has a gap' from entry where balance_after <> summed or account_version <> counted
union all select id || ' differs from its lots' from mine left join lot on pool_id = id
    where kind = 'pool' and balance <> coalesce(remaining, 0)
union all select id || ' differs from the open holds' from mine left join hold using (workspace_id)
    where kind = 'held' and balance <> coalesce(held, 0)
union all select id || ' differs from the usage' from mine
    left join event using (workspace_id) left join daily using (workspace_id)
    where kind = 'used' and (balance <> coalesce(event.used, 0) or balance <> coalesce(daily.used, 0))
union all select id || ' differs from what it drew' from lotted where amount <> coalesce(drawn, 0)
union all select 'a transfer lacks an entry' where (select count(*) from entry)
    <> 2 * (select count(*) from credit_transfer where agency_id = $1)
"""


@dataclass(frozen=True)
class Step:
    """One command of a sequence; what its numbers mean is the command's to say."""

    verb: str
    place: int
    amount: int
    priority: int


STEPS = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(
            ["grant", "lasting grant", "transfer", "hold", "hold", "settle", "settle", "release", "expire"]
        ),
        place=st.integers(0, 2),
        amount=st.integers(0, 5_000),
        priority=st.integers(0, 2),
    ),
    max_size=20,
)


async def _broken(home: Home) -> list[str]:
    async with home.database.transaction(home.caller.reach) as tx:
        return [row["broken"] for row in await tx.fetch(_BROKEN, home.agency_id)]


class Sequence:
    """Runs steps against one agency, each in a transaction of its own, as callers do."""

    def __init__(self, home: Home, address: Address) -> None:
        self.home = home
        self.address = address
        self.holds: list[Hold] = []
        self.reasons: set[str] = set()

    async def run(self, step: Step) -> None:
        if step.verb == "expire":
            await let_grants_expire(self.address, self.home)
            return
        try:
            async with self.home.database.transaction(self.home.caller.reach) as tx:
                await getattr(self, f"_{step.verb.split()[-1]}")(tx, step)
        except Refused as refused:
            self.reasons.add(refused.reason)

    def _place(self, number: int) -> str | None:
        return (None, *self.home.workspaces)[number % 3]

    async def _grant(self, tx: Tx, step: Step) -> None:
        at = None if step.verb == "grant" else (await tx.now()).replace(year=2999)
        amount, place = MilliCredits(step.amount), self._place(step.place)
        await credits.grant(
            tx, self.home.caller, amount=amount, workspace_id=place, expires_at=at, priority=step.priority
        )

    async def _transfer(self, tx: Tx, step: Step) -> None:
        source, target = self._place(step.place), self._place(step.place + step.priority)
        amount = MilliCredits(step.amount)
        await credits.transfer(tx, self.home.caller, amount=amount, from_workspace_id=source, to_workspace_id=target)

    async def _hold(self, tx: Tx, step: Step) -> None:
        requests = [a_request(name, step.amount) for name in self.home.workspaces]
        outcomes = await credits.hold_many(tx, self.home.caller, requests)
        self.holds += [outcome for outcome in outcomes if isinstance(outcome, Hold)]

    async def _settle(self, tx: Tx, step: Step) -> None:
        if self.holds:
            hold = self.holds[step.place % len(self.holds)]
            lines = [used(step.amount // 2), used(step.amount // 3, "publish"), used(0, "analytics")]
            await credits.settle(tx, self.home.run_in(hold.workspace_id), hold.id, lines)

    async def _release(self, tx: Tx, step: Step) -> None:
        if self.holds:
            await credits.release(tx, self.home.caller, self.holds[step.place % len(self.holds)].id)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, own_pools=st.booleans())
async def test_any_sequence_of_commands_keeps_the_books_balanced(
    database: Database, address: Address, steps: list[Step], own_pools: bool
) -> None:
    home = await a_home(database, granted=6_000, creditPool="workspace" if own_pools else "agency")
    sequence = Sequence(home, address)

    for step in steps:
        await sequence.run(step)
        assert await _broken(home) == []

    assert sequence.reasons <= {"credits.exhausted", "credits.hold_exceeded", "request.invalid"}


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
    assert await _broken(home) == []


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

    assert await _broken(home) == []


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


@pytest.mark.parametrize("table", ["credit_transfer", "ledger_entry", "usage_event", "credit_hold_lot"])
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
