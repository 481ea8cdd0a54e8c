"""Workspaces while they live: when they were last active, and what archiving does to runs that wait."""

import functools
from pathlib import Path

import pytest

from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.runs.invocations import RunState
from colonnade.tenancy import workspaces
from colonnade.tenancy.audit.jobs import announce
from colonnade.worker import note_life
from tests.brand.posting import a_post
from tests.factories import Home, a_workspace, an_agency
from tests.runs.run_fixtures import a_bench, alone, working

__all__ = ["alone"]


async def last_active(database: Database, home: Home, workspace_id: str) -> str | None:
    async with database.transaction(home.reach) as tx:
        return (await workspaces.last_active_block(tx, [workspace_id]))[workspace_id]


async def announced(worker: Database) -> None:
    activity = workspaces.Activity(worker)
    while await announce(worker, "worker of the tests", {}, functools.partial(note_life, activity)):
        continue
    await activity.close()


async def test_a_post_makes_its_workspace_active_and_being_made_does_not(
    database: Database, worker_database: Database
) -> None:
    home = await an_agency(database)
    quiet, busy = await a_workspace(database, home), await a_workspace(database, home)
    await announced(worker_database)
    await a_post(database, home, busy.id)
    await announced(worker_database)

    assert await last_active(database, home, busy.id) is not None
    assert await last_active(database, home, quiet.id) is None


async def test_a_run_that_waits_goes_on_after_its_workspace_was_archived_and_restored(
    database: Database, address: Address, tmp_path: Path
) -> None:
    bench = await a_bench(database)
    async with working(address, tmp_path):
        run = await bench.start()
        await bench.in_state(run.id, RunState.WAITING_APPROVAL)
        async with database.transaction(bench.home.reach) as tx:
            await workspaces.archive(tx, bench.home.caller, bench.workspace.id)

        with pytest.raises(Refused) as refusal:
            await bench.decide(run.id, approve=True)
        assert refusal.value.reason == "workspace.archived"
        assert (await bench.run(run.id)).state is RunState.WAITING_APPROVAL

        async with database.transaction(bench.home.reach) as tx:
            await workspaces.restore(tx, bench.home.caller, bench.workspace.id)
        await bench.decide(run.id, approve=True)
        ended = await bench.in_state(run.id, RunState.SUCCEEDED, RunState.FAILED)
    assert ended.state is RunState.SUCCEEDED


async def test_an_owner_is_a_member_of_this_agency(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    assert (await a_workspace(database, home)).owner_id == home.owner_id
    assert (await a_workspace(database, home, name="B", ownerId=home.owner_id)).owner_id == home.owner_id
    for strange in (other.owner_id, "mem_nobody"):
        with pytest.raises(BadField) as refusal:
            await a_workspace(database, home, name="C", ownerId=strange)
        assert [error.pointer for error in refusal.value.errors] == ["/ownerId"]
