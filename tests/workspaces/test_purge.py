"""Erasing a workspace for good: when it may be asked for, what goes, what stays, and that a kill costs nothing."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from colonnade import credits
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.runs import invocations
from colonnade.runs.invocations.admission import cancel_requested
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Filters, Paging
from colonnade.tenancy.workspaces.jobs import purge_due
from colonnade.worker import purge_steps
from tests.factories import a_workspace, an_agency
from tests.workspaces.full_workspace import INSIDE, Full, a_full_workspace

AGE = "update workspace set archived_at = archived_at - interval '30 days' where agency_id = $1 and id = $2"


@pytest_asyncio.fixture
async def full(database: Database, worker_database: Database, tmp_path: Path) -> Full:
    return await a_full_workspace(database, worker_database, tmp_path)


async def test_all_that_lies_inside_goes_and_the_neighbour_keeps_everything(full: Full) -> None:
    beside = {table: await full.count(table, full.beside.id) for table in INSIDE}
    assert all([await full.count(table) for table in INSIDE])

    await full.archive()
    await full.purge()
    await full.work()

    assert {table: await full.count(table) for table in INSIDE} == dict.fromkeys(INSIDE, 0)
    assert {table: await full.count(table, full.beside.id) for table in INSIDE} == beside
    row = await full.row()
    assert (row["name"], row["external_id"], row["primary_domain"], row["owner_id"]) == (
        "purged workspace",
        None,
        None,
        None,
    )
    assert (row["settings"], row["brand"], row["metadata"], row["tags"]) == ({}, {}, {}, [])
    assert row["purged_at"] is not None


async def test_a_tombstone_is_found_by_nobody_and_its_names_are_free(full: Full) -> None:
    await full.archive()
    await full.purge()
    await full.work()

    async with full.database.transaction(full.home.reach) as tx:
        for q in (None, "acme", "purged"):
            page = await workspaces.page(tx, full.home.caller, Filters(q=q), Paging())
            assert full.workspace.id not in [workspace.id for workspace in page.items]
        with pytest.raises(NotFound):
            await workspaces.get(tx, full.home.caller, full.workspace.id)
        assert await workspaces.known(tx, [full.workspace.id]) == []
    reader = workspaces.WorkspaceReader(full.database)
    with pytest.raises(NotFound):
        await reader.read(full.home.caller, full.workspace.id)
    again = await a_workspace(full.database, full.home, name="Acme PM", slug=full.workspace.slug, externalId="crm-1")
    assert again.slug == full.workspace.slug


async def test_the_credits_of_its_pool_go_back_to_the_agency_and_the_ledger_stays(full: Full) -> None:
    await full.archive()
    await full.purge()
    await full.work()

    async with full.database.transaction(full.home.reach) as tx:
        overview = await credits.balances(tx, full.home.caller)
        assert overview.agency is not None
        assert overview.agency.available == 300_000
        sql = "select kind, amount from credit_transfer where agency_id = $1 and workspace_id = $2 order by id"
        moved = [tuple(row) for row in await tx.fetch(sql, tx.agency_id, full.workspace.id)]
    assert moved[0] == ("grant", 300_000)
    assert moved[-1] == ("transfer", 300_000)
    assert {kind for kind, _ in moved[1:-1]} == {"hold", "release"}
    assert await full.count("ledger_entry") > 0


async def test_runs_that_wait_are_stopped_and_those_at_work_are_not_touched(full: Full) -> None:
    await full.archive()
    admit = "update run set state = 'RUNNING', admitted_at = now() where agency_id = $1 and id = $2"
    async with full.worker.transaction(full.home.reach) as tx:
        await tx.execute(admit, tx.agency_id, full.run_id)

    with pytest.raises(Refused) as refusal:
        await full.purge()

    assert refusal.value.reason == "workspace.at_work"
    assert refusal.value.details["invocationIds"] == [full.run_id]


async def test_the_rows_wait_until_every_run_has_ended(full: Full) -> None:
    await full.archive()
    await full.purge()
    await purge_due(full.worker, purge_steps(full.folder))

    async with full.database.transaction(full.home.reach) as tx:
        run = await invocations.get(tx, full.home.caller, full.run_id)
    assert run.cancel_requested_at is not None
    assert await full.count("post") == 2

    await cancel_requested(full.worker)
    assert await purge_due(full.worker, purge_steps(full.folder)) >= 1
    assert await full.count("post") == 0


async def test_its_published_pages_go_and_anothers_stay(full: Full) -> None:
    pages = full.folder / full.home.agency_id
    assert len(list(pages.rglob("index.html"))) == 4

    await full.archive()
    await full.purge()
    await full.work()

    left = list(pages.rglob("index.*"))
    assert len(left) == 4
    assert {path.parent.parent.name for path in left} == {full.beside.slug}
    assert not (pages / full.workspace.slug).exists()


async def test_its_audit_entries_stay_without_what_they_held(full: Full) -> None:
    before = await full.count("audit_entry")
    await full.archive()
    await full.purge()
    await full.work()

    sql = "select event, before, after from audit_entry where agency_id = $1 and workspace_id = $2 order by id"
    async with full.database.transaction(full.home.reach) as tx:
        entries = await tx.fetch(sql, tx.agency_id, full.workspace.id)
    assert len(entries) > before
    told = [row for row in entries if row["event"] != "audit.payloads_erased"]
    assert all(row["before"] is None and row["after"] is None for row in told)
    assert told[-1]["event"] == "workspaces.purged"
    assert all("Acme" not in str(row["after"]) for row in entries)


async def test_nothing_of_the_brand_is_left_in_any_table(full: Full) -> None:
    await full.archive()
    await full.purge()
    await full.work()

    async with full.worker.transaction(full.home.reach) as tx:
        tables = await tx.fetch(
            """select c.table_name::text as name from information_schema.columns c
               where c.table_schema = 'public' and c.column_name = 'agency_id'
                 and has_table_privilege(format('%I.%I', c.table_schema, c.table_name), 'select') order by 1"""
        )
        for table in tables:
            rows = await tx.fetch(f'select t::text as row from "{table["name"]}" t where agency_id = $1', tx.agency_id)
            assert [row["row"] for row in rows if "Acme PM" in row["row"] or "crm-1" in row["row"]] == [], table["name"]


@pytest.mark.parametrize(
    ("is_archived", "is_old", "confirm", "outcome"),
    [
        (False, False, "Acme PM", "workspace.not_archived"),
        (True, False, "", "workspace.purge_too_early"),
        (True, False, "acme pm", "request.invalid"),
        (True, True, "another", "request.invalid"),
        (True, True, "", None),
        (True, False, "Acme PM", None),
    ],
)
async def test_a_purge_wants_rest_or_the_name(
    full: Full, is_archived: bool, is_old: bool, confirm: str, outcome: str | None
) -> None:
    if is_archived:
        await full.archive()
    if is_old:
        async with full.worker.transaction(full.home.reach) as tx:
            await tx.execute(AGE, tx.agency_id, full.workspace.id)

    if outcome is None:
        assert (await full.purge(confirm)).purging_at is not None
        return
    with pytest.raises(Refused) as refusal:
        await full.purge(confirm)
    assert refusal.value.reason == outcome
    if outcome == "request.invalid":
        assert isinstance(refusal.value, BadField)
        assert [error.pointer for error in refusal.value.errors] == ["/confirm"]


async def test_asking_twice_is_asking_once_and_nothing_brings_it_back(full: Full) -> None:
    await full.archive()
    first = await full.purge()
    again = await full.purge()

    assert again == first
    async with full.database.transaction(full.home.reach) as tx:
        with pytest.raises(Refused) as refusal:
            await workspaces.restore(tx, full.home.caller, full.workspace.id)
        sql = "select count(*) from audit_entry where agency_id = $1 and event = 'workspaces.purge_requested'"
        assert await tx.fetchval(sql, tx.agency_id) == 1
    assert refusal.value.reason == "workspace.purging"


async def test_its_keys_end_with_the_wish_and_not_with_the_work(full: Full) -> None:
    await full.archive()
    await full.purge()

    async with full.database.transaction(full.home.reach) as tx:
        sql = "select revoked_at is not null from api_key where agency_id = $1 and workspace_id = $2"
        assert [row[0] for row in await tx.fetch(sql, tx.agency_id, full.workspace.id)] == [True]


async def erased(full: Full, reach: Reach) -> int:
    async with full.worker.transaction(reach) as tx:
        return int(await tx.fetchval("select purge_rows($1, 1000)", full.workspace.id))


async def test_only_rows_of_a_workspace_that_is_being_purged_can_be_erased(full: Full) -> None:
    other = await an_agency(full.database)
    assert await erased(full, full.home.reach) == 0
    await full.archive()
    assert await erased(full, full.home.reach) == 0
    await full.purge()

    assert await erased(full, other.reach) == 0
    assert await erased(full, Reach(full.home.agency_id, (full.workspace.id,))) == 0
    assert await full.count("post") == 2
    assert await erased(full, full.home.reach) > 0


@pytest.mark.parametrize("batches", [1, 5, 12])
async def test_a_purge_that_was_broken_off_goes_on_where_it_was(full: Full, batches: int) -> None:
    await full.archive()
    await full.purge()
    await purge_due(full.worker, purge_steps(full.folder)[:1])
    await cancel_requested(full.worker)
    for _ in range(batches):
        async with full.worker.transaction(full.home.reach) as tx:
            await tx.fetchval("select purge_rows($1, 1)", full.workspace.id)

    await full.work(at_once=3)

    assert {table: await full.count(table) for table in INSIDE} == dict.fromkeys(INSIDE, 0)
    assert (await full.row())["purged_at"] is not None


async def test_many_workers_at_once_bury_a_workspace_once(full: Full) -> None:
    await full.archive()
    await full.purge()
    await purge_due(full.worker, purge_steps(full.folder))
    await cancel_requested(full.worker)

    await asyncio.gather(*(purge_due(full.worker, purge_steps(full.folder), at_once=5) for _ in range(4)))
    await full.work()

    sql = "select count(*) from audit_entry where agency_id = $1 and event = $2"
    async with full.database.transaction(full.home.reach) as tx:
        assert await tx.fetchval(sql, tx.agency_id, "workspaces.purged") == 1
        moved = await tx.fetchval(
            "select count(*) from credit_transfer where agency_id = $1 and kind = 'transfer'", tx.agency_id
        )
    assert moved == 1
