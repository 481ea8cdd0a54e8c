"""A purge that is killed in its middle: another process ends it, nothing is moved or told twice."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.runs.invocations.admission import cancel_requested
from colonnade.tenancy.workspaces.jobs import purge_due
from colonnade.worker import purge_steps
from tests.runs.run_fixtures import until
from tests.workspaces.full_workspace import INSIDE, Full, a_full_workspace

POSTS = """
insert into post (agency_id, workspace_id, id, title, slug, outline, body, meta_description, status, revision, version,
                  created_at, updated_at)
select $1, $2, 'post_01arz3ndektsv4rrf' || lpad(n::text, 8, '0'), 'T', 's-' || n, '{}', 'b', '', 'DRAFT', 1, 1,
       now(), now()
from generate_series(1, 2000) n
"""


@contextlib.asynccontextmanager
async def purging(address: Address, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    wish = {"cluster": os.environ["COLONNADE_TEST_FOLDER"], "database": address.database, "folder": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.workspaces.purge_process", json.dumps(wish)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def some_gone(full: Full, before: int) -> bool:
    return await full.count("post") < before - 50


async def test_a_purge_that_is_killed_is_ended_by_another_process(
    database: Database, worker_database: Database, address: Address, tmp_path: Path
) -> None:
    full = await a_full_workspace(database, worker_database, tmp_path)
    async with worker_database.transaction(full.home.reach) as tx:
        await tx.execute(POSTS, tx.agency_id, full.workspace.id)
    await full.archive()
    await full.purge()
    await purge_due(worker_database, purge_steps(tmp_path)[:1])
    await cancel_requested(worker_database)

    async with purging(address, tmp_path) as process:
        await until(lambda: some_gone(full, 2002))
        process.kill()
        await process.wait()
    left = await full.count("post")
    assert 0 < left < 2002
    assert (await full.row())["purged_at"] is None

    await full.work()

    assert {table: await full.count(table) for table in INSIDE} == dict.fromkeys(INSIDE, 0)
    told = "select count(*) from audit_entry where agency_id = $1 and event = 'workspaces.purged'"
    moved = "select coalesce(sum(amount), 0) from credit_transfer where agency_id = $1 and kind = 'transfer'"
    async with database.transaction(full.home.reach) as tx:
        assert await tx.fetchval(told, tx.agency_id) == 1
        assert await tx.fetchval(moved, tx.agency_id) == 300_000
