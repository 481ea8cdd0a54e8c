"""Stopping runs in every state they can be in, and what becomes of their credits, approvals and posts."""

import asyncio
from pathlib import Path

import pytest

from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.runs import invocations
from colonnade.runs.invocations import RunState
from colonnade.runs.invocations.admission import admit, cancel_requested
from colonnade.runs.invocations.jobs import Limits
from tests.factories import a_workspace, workspace_caller
from tests.fakes.chat_server import ChatServer
from tests.runs.run_fixtures import Bench, alone, asking, bench, provider, until, working

__all__ = ["alone", "bench", "provider"]

UNTOUCHED = {"pool": 100_000, "issued": -100_000}
MANY = Limits(1000, 1000)


async def test_a_run_that_nobody_works_on_ends_at_once_and_frees_its_credits(bench: Bench) -> None:
    run = await bench.start()
    assert (await bench.balances())["pool"] == 89_000

    cancelled = await bench.cancel(run.id)

    assert (cancelled.state, cancelled.credits_used) == (RunState.CANCELLED, 0)
    assert await bench.balances() == UNTOUCHED
    assert await bench.events(run.id) == [("state", "PENDING"), ("state", "CANCELLED")]


async def test_an_admitted_run_that_no_worker_has_taken_is_stopped_by_the_next_round(
    bench: Bench, worker_database: Database
) -> None:
    run = await bench.start()
    await admit(worker_database, MANY)

    requested = await bench.cancel(run.id)
    again = await bench.cancel(run.id)
    assert requested.state is again.state is RunState.PENDING
    assert requested.cancel_requested_at == again.cancel_requested_at is not None
    await cancel_requested(worker_database)

    assert (await bench.run(run.id)).state is RunState.CANCELLED
    assert await bench.balances() == UNTOUCHED
    assert (
        await bench.fetchval(
            "select count(*) from audit_entry where agency_id = $1 and resource_id = $2 and event like 'runs.cancel%'",
            run.id,
        )
        == 2
    )


async def test_a_waiting_run_is_charged_for_what_it_used_and_takes_its_approval_and_its_post_along(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path):
        run = await bench.start()
        await bench.in_state(run.id, RunState.WAITING_APPROVAL)
        approval = await bench.approval_of(run.id)
        await bench.cancel(run.id)
        ended = await bench.in_state(run.id, RunState.CANCELLED)

    assert (ended.credits_used, ended.cancelled_by) == (10_000, bench.caller.actor_id)
    assert await bench.balances() == {"pool": 90_000, "issued": -100_000, f"used:{bench.workspace.id}": 10_000}
    assert await bench.fetchval("select status from approval where agency_id = $1 and id = $2", approval.id) == (
        "CANCELLED"
    )
    assert await bench.fetchval("select status from post where agency_id = $1 and run_id = $2", run.id) == "DRAFT"


async def test_a_run_at_work_stops_where_it_stands(
    bench: Bench, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    provider.plan = ["silence"]
    async with working(address, tmp_path, models=asking(provider)):
        run = await bench.start()
        await until(lambda: is_asked(provider))
        await bench.cancel(run.id)
        await bench.in_state(run.id, RunState.CANCELLED)

    assert await bench.steps(run.id) == ["context"]
    assert len(provider.asked) == 1
    assert await bench.balances() == UNTOUCHED


async def is_asked(provider: ChatServer) -> bool:
    return bool(provider.asked)


@pytest.mark.parametrize("approve", [True, False])
async def test_a_run_that_has_ended_cannot_be_cancelled(
    bench: Bench, address: Address, tmp_path: Path, approve: bool
) -> None:
    async with working(address, tmp_path):
        run = await bench.start()
        await bench.in_state(run.id, RunState.WAITING_APPROVAL)
        await bench.decide(run.id, approve=approve)
        await bench.in_state(run.id, RunState.SUCCEEDED, RunState.CANCELLED)

    with pytest.raises(Refused) as caught:
        await bench.cancel(run.id)
    assert caught.value.reason == "runs.finished"


async def test_a_key_of_another_workspace_finds_nothing_to_cancel(bench: Bench, database: Database) -> None:
    run = await bench.start()
    other = workspace_caller(bench.home, await a_workspace(database, bench.home, name="Other"))
    with pytest.raises(NotFound):
        async with database.transaction(other.reach) as tx:
            await invocations.cancel(tx, other, run.id)


async def test_cancelling_and_admitting_at_the_same_moment_leaves_one_end(
    bench: Bench, worker_database: Database
) -> None:
    runs = [await bench.start(workspace_id=bench.workspace.id) for _ in range(8)]

    await asyncio.gather(*(bench.cancel(run.id) for run in runs), admit(worker_database, MANY))
    await cancel_requested(worker_database)

    async def all_ended() -> bool:
        await cancel_requested(worker_database)
        return all([(await bench.run(run.id)).state is RunState.CANCELLED for run in runs])

    await until(all_ended)
    assert await bench.balances() == UNTOUCHED
