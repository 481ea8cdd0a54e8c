"""Bulk actions follow their runs: exact counts under concurrency, real workers, and a thousand workspaces at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.runs import approvals, bulk, invocations
from colonnade.runs.approvals import ApprovalFilter, Ruling
from colonnade.runs.bulk import BulkAction, Counts
from colonnade.runs.invocations import Run, RunState, moves
from colonnade.runs.invocations.model import Ending, run_caller
from tests.factories import workspace_caller
from tests.runs.bulk_homes import COST, Fleet, a_fleet, an_invocation
from tests.runs.run_fixtures import alone, until, working

__all__ = ["alone"]


@pytest.fixture(autouse=True)
def _followed() -> None:
    invocations.on_state_change(bulk.follow)


async def move(database: Database, run: Run, target: RunState) -> None:
    async with database.transaction(run.reach) as tx:
        if target.is_final:
            error = {"code": "UNAVAILABLE", "reason": "model.unavailable", "message": "It does not answer."}
            ending = Ending(target, error=error if target is RunState.FAILED else None)
            assert await moves.end(tx, run_caller(run), run, ending, admitted=run.is_admitted)
        else:
            assert await moves.move(tx, run, target)


async def counted(fleet: Fleet, action: BulkAction) -> Counts:
    """What the items themselves say."""
    states = [item.state for item in (await fleet.items(action)).values()]
    return Counts(total=len(states), **{state.lower(): states.count(state) for state in set(states)})


async def test_fifty_runs_that_move_at_once_are_counted_exactly(database: Database, worker_database: Database) -> None:
    fleet = await a_fleet(database, brands=50)
    action = await fleet.start()
    runs = await fleet.runs(action)

    await asyncio.gather(*(move(worker_database, run, RunState.RUNNING) for run in runs))
    assert (await fleet.get(action)).counts == Counts(total=50, running=50)

    targets = [
        RunState.WAITING_APPROVAL,
        RunState.FAILED,
        RunState.SUCCEEDED,
        RunState.CANCELLED,
        RunState.WAITING_INPUT,
    ]
    await asyncio.gather(*(move(worker_database, run, targets[n % 5]) for n, run in enumerate(runs)))
    middle = await fleet.get(action)
    assert middle.counts == Counts(total=50, waiting=20, failed=10, succeeded=10, cancelled=10)
    assert middle.status == "RUNNING"
    assert middle.ended_at is None

    waiting = [run for run in await fleet.runs(action) if not run.state.is_final]
    await asyncio.gather(*(move(worker_database, run, RunState.FAILED) for run in waiting))
    ended = await fleet.get(action)
    assert ended.counts == Counts(total=50, failed=30, succeeded=10, cancelled=10) == await counted(fleet, action)
    assert ended.status == "PARTLY_FAILED"
    assert ended.ended_at is not None


async def test_a_move_that_is_undone_is_not_counted(database: Database) -> None:
    fleet = await a_fleet(database)
    action = await fleet.start()
    run = (await fleet.runs(action))[0]

    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction(run.reach) as tx:
            assert await moves.move(tx, run, RunState.RUNNING)
            raise ZeroDivisionError

    assert (await fleet.get(action)).counts == Counts(total=2, pending=2)


async def test_an_item_tells_why_its_run_failed_and_what_it_cost(database: Database, worker_database: Database) -> None:
    fleet = await a_fleet(database)
    action = await fleet.start(an_invocation(fleet.ids[0]))
    (run,) = await fleet.runs(action)

    await move(worker_database, run, RunState.FAILED)
    item = (await fleet.items(action))[fleet.ids[0]]

    assert item.state == "FAILED"
    assert item.error is not None
    assert item.error["reason"] == "model.unavailable"
    assert item.credits_used == 0
    assert (await fleet.get(action)).status == "FAILED"


async def test_a_run_that_its_own_workspace_stops_is_counted_too(database: Database) -> None:
    fleet = await a_fleet(database)
    action = await fleet.start()
    run = (await fleet.runs(action))[0]
    key = workspace_caller(fleet.home, await fleet.workspace(run.workspace_id))

    async with database.transaction(key.reach) as tx:
        await invocations.cancel(tx, key, run.id)

    assert (await fleet.get(action)).counts == Counts(total=2, pending=1, cancelled=1)


async def test_runs_that_end_while_all_of_them_are_stopped_deadlock_nobody(
    database: Database, worker_database: Database
) -> None:
    fleet = await a_fleet(database, brands=20)
    action = await fleet.start()
    runs = await fleet.runs(action)
    await asyncio.gather(*(move(worker_database, run, RunState.RUNNING) for run in runs))

    await asyncio.gather(
        *(move(worker_database, run, RunState.SUCCEEDED) for run in runs[:10]),
        *(fleet.cancel(action) for _ in range(3)),
        *(move(worker_database, run, RunState.SUCCEEDED) for run in runs[10:]),
    )

    ended = await fleet.get(action)
    assert ended.counts == Counts(total=20, succeeded=20)
    assert ended.status == "SUCCEEDED"


@pytest_asyncio.fixture
async def worked(address: Address, tmp_path: Path) -> AsyncIterator[None]:
    """A background process carries out what is started."""
    async with working(address, tmp_path):
        yield


async def decide_all(fleet: Fleet, *, approve: bool, expected: int) -> None:
    caller = fleet.home.caller

    async def raised() -> bool:
        async with fleet.database.transaction(fleet.home.reach) as tx:
            found, _, _ = await approvals.page(tx, caller, ApprovalFilter(), limit=100, after_id=None)
        return len(found) == expected

    await until(raised)
    async with fleet.database.transaction(fleet.home.reach) as tx:
        found, _, _ = await approvals.page(tx, caller, ApprovalFilter(), limit=100, after_id=None)
        for approval in found:
            await approvals.decide(tx, caller, approval.id, Ruling(approve=approve))


async def in_status(fleet: Fleet, action: BulkAction, status: str) -> BulkAction:
    async def there() -> BulkAction | None:
        found = await fleet.get(action)
        return found if found.status == status else None

    found: BulkAction = await until(there)
    return found


@pytest.mark.usefixtures("worked")
async def test_a_bulk_action_is_carried_out_and_waits_for_its_approvals(database: Database) -> None:
    fleet = await a_fleet(database, brands=3, granted=2 * COST)
    action = await fleet.start(an_invocation(approval={"required": True}))

    async def waits() -> bool:
        return (await fleet.get(action)).counts.waiting == 2

    await until(waits)
    assert (await fleet.get(action)).status == "RUNNING"
    await decide_all(fleet, approve=True, expected=2)
    ended = await in_status(fleet, action, "PARTLY_FAILED")

    assert ended.counts == Counts(total=3, succeeded=2, failed=1) == await counted(fleet, action)
    assert sorted(item.credits_used for item in (await fleet.items(action)).values()) == [0, COST, COST]


@pytest.mark.usefixtures("worked")
async def test_a_cancelled_bulk_action_stops_its_runs_and_gives_back_what_was_held(database: Database) -> None:
    fleet = await a_fleet(database, brands=3, granted=3 * COST)
    action = await fleet.start(an_invocation(approval={"required": True}))

    async def one_waits() -> bool:
        return (await fleet.get(action)).counts.waiting > 0

    await until(one_waits)
    asked = await fleet.cancel(action)
    ended = await in_status(fleet, action, "CANCELLED")

    assert asked.cancel_requested_at is not None
    assert ended.counts == Counts(total=3, cancelled=3)
    async with database.transaction(fleet.home.reach) as tx:
        held = await tx.fetchval(
            "select sum(balance) from credit_account where agency_id = $1 and id like 'held:%'", tx.agency_id
        )
    assert held == 0


async def statements(fleet: Fleet) -> int:
    """How many statements the acceptance of a run in every workspace takes."""
    asked: list[object] = []
    async with fleet.database.transaction(fleet.home.reach) as tx:
        with tx._connection.query_logger(asked.append):
            await bulk.start(tx, fleet.home.caller, an_invocation())
    return len(asked)


async def test_many_workspaces_are_accepted_by_as_many_statements_as_few(database: Database) -> None:
    few, many = await a_fleet(database, brands=2), await a_fleet(database, brands=40)

    assert await statements(few) == await statements(many)
