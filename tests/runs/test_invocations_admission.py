"""Admission: exact limits, fairness between agencies, one admission at a time."""

import asyncio
from collections import Counter

from colonnade.ground.db.database import Database
from colonnade.runs.invocations import Run
from colonnade.runs.invocations.admission import admit
from colonnade.runs.invocations.jobs import Limits
from tests.factories import a_workspace
from tests.runs.run_fixtures import Bench, a_bench, alone

__all__ = ["alone"]

ADMITTED = "select workspace_id from run where agency_id = $1 and admitted_at is not null order by admitted_at, id"


async def admitted(bench: Bench) -> Counter[str]:
    """How many runs of each workspace were admitted."""
    async with bench.database.transaction(bench.home.reach) as tx:
        return Counter(row["workspace_id"] for row in await tx.fetch(ADMITTED, bench.home.agency_id))


async def start_many(bench: Bench, count: int, **fields: object) -> list[Run]:
    return [await bench.start(input={"publish": False}, **fields) for _ in range(count)]


async def test_no_agency_and_no_workspace_has_more_runs_than_its_limit(
    database: Database, worker_database: Database
) -> None:
    bench = await a_bench(database, granted="1000")
    second = await a_workspace(database, bench.home, name="Second")
    third = await a_workspace(database, bench.home, name="Third")
    await start_many(bench, 6)
    await start_many(bench, 6, workspace_id=second.id)
    await start_many(bench, 6, workspace_id=third.id)
    limits = Limits(per_agency=5, per_workspace=2)

    await asyncio.gather(*(admit(worker_database, limits) for _ in range(4)))
    await admit(worker_database, limits)

    counts = await admitted(bench)
    assert counts.total() == 5
    assert max(counts.values()) == 2


async def test_an_agency_with_many_runs_does_not_keep_another_ones_waiting(
    database: Database, worker_database: Database
) -> None:
    busy, modest = [await a_bench(database, granted="1000") for _ in range(2)]
    await start_many(busy, 20)
    await start_many(modest, 2)

    await admit(worker_database, Limits(per_agency=4, per_workspace=4))

    assert (await admitted(busy)).total() == 4
    assert (await admitted(modest)).total() == 2


async def test_the_oldest_runs_of_a_workspace_come_first(database: Database, worker_database: Database) -> None:
    bench = await a_bench(database, granted="1000")
    runs = await start_many(bench, 4)
    await admit(worker_database, Limits(per_agency=2, per_workspace=2))
    assert [(await bench.run(run.id)).is_admitted for run in runs] == [True, True, False, False]


async def test_a_run_that_shall_stop_is_not_admitted(database: Database, worker_database: Database) -> None:
    bench = await a_bench(database)
    run = await bench.start()
    await bench.cancel(run.id)
    await admit(worker_database, Limits(per_agency=4, per_workspace=4))
    assert not (await bench.run(run.id)).is_admitted


async def test_an_admitted_run_has_its_task_in_the_same_transaction(
    database: Database, worker_database: Database
) -> None:
    bench = await a_bench(database)
    run = await bench.start()
    await admit(worker_database, Limits(per_agency=4, per_workspace=4))

    found = await bench.run(run.id)
    async with worker_database.pool.acquire() as connection:
        headers = await connection.fetchval(
            "select headers from absurd.t_interactive where task_id = $1", found.task_id
        )
    assert headers == {"agency": bench.home.agency_id, "workspace": bench.workspace.id}
