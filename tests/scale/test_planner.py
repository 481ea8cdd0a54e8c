"""What keeps plans good in large agencies: what the planner is told, and what it makes of it."""

from typing import Any

import asyncpg
import pytest

from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from colonnade.tenancy.keys import store as keys_store
from colonnade.tenancy.keys.model import EXPIRING_DAYS
from tests.factories import Home, a_workspace, an_agency

KEPT = {"credits_open", "door_key", "rate_take", "note_key_uses", "read_workspaces"}

_TOLD = """
select c.relname::text as name, coalesce(a.attoptions::text, '') as options
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'agency_id' and a.attnum = 1
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
"""

_BRANDS = """
insert into workspace (agency_id, id, name, sort_name, slug, created_at, updated_at)
select $1, 'ws_' || n, 'B' || n, 'b' || n, 'b' || n, now(), now() from generate_series(1, 2000) n
"""
_KEYS = """
insert into api_key (agency_id, workspace_id, id, scope, name, hint, scopes, mode, created_by, created_at, updated_at)
select $1, 'ws_' || n, 'key_' || n, 'workspace', 'K', 'abcd', array['workspaces:read'], 'live', 'x', now(), now()
from generate_series(1, 2000) n
"""


async def test_the_planner_is_told_of_large_agencies_for_every_table(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    told = {row["name"]: row["options"] for row in await owner.fetch(_TOLD)}

    assert {name for name, options in told.items() if options != "{n_distinct=10}"} == set()


async def test_functions_behind_every_call_keep_one_plan(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    rows = await owner.fetch(
        "select proname::text as name from pg_proc where 'plan_cache_mode=force_generic_plan' = any (proconfig)"
    )

    assert {row["name"] for row in rows} == KEPT


async def test_a_workspace_has_its_row_of_activity_from_the_beginning_and_tells_of_none(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    async with database.transaction(home.reach) as tx:
        found = await tx.fetchval("select count(*) from workspace_activity where agency_id = $1", home.agency_id)
        told = await workspaces.last_active_block(tx, [workspace.id])

    assert found == 1
    assert told == {workspace.id: None}


async def _large(database: Database, owner: Any) -> Home:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        await tx.execute(_BRANDS, home.agency_id)
        await tx.execute(_KEYS, home.agency_id)
    await owner.execute("analyze workspace; analyze workspace_activity; analyze api_key; analyze api_key_use")
    return home


@pytest.mark.parametrize("sort", ["name", "-createdAt", "lastActiveAt", "-lastActiveAt"])
async def test_a_list_walks_along_an_index_and_sorts_nothing(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]", sort: Any
) -> None:
    home = await _large(database, owner)
    asked: list[Any] = []
    async with database.transaction(home.reach, read_only=True) as tx:
        with tx._connection.query_logger(asked.append):
            await workspaces.page(tx, home.caller, workspaces.Filters(), workspaces.Paging(sort=sort, limit=10))
            await tx.now()  # what was asked is told a moment later
        listed = next(one for one in asked if "order by" in one.query)
        plan = await tx.fetch(f"explain (costs off) {listed.query}", *listed.args)

    text = "\n".join(row[0] for row in plan)
    assert "Index" in text
    assert "Sort Key" not in text


async def test_keys_of_the_agency_are_found_beside_those_of_all_its_workspaces(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await _large(database, owner)
    async with database.transaction(home.reach, read_only=True) as tx:
        plan = await tx.fetch(
            f"explain (analyze, costs off, timing off) {keys_store.PAGE}",
            *(home.agency_id, None, None, None, None, None, None, None, EXPIRING_DAYS, 11),
        )

    text = "\n".join(row[0] for row in plan)
    removed = [int(line.rpartition(" ")[2]) for line in text.splitlines() if "Rows Removed by Filter" in line]
    assert sum(removed) < 100, text
