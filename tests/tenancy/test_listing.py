from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Filters, Paging, Sort, Workspace
from tests.factories import Home, a_workspace, an_agency


async def listed(database: Database, home: Home, filters: Filters | None = None, **paging: Any) -> list[Workspace]:
    async with database.transaction(home.reach) as tx:
        found = await workspaces.page(tx, home.caller, filters or Filters(), Paging(**paging))
    return list(found.items)


async def many(database: Database, home: Home, count: int) -> list[str]:
    async with database.transaction(home.reach) as tx:
        made = [
            await workspaces.create(tx, home.caller, fields={"name": f"Brand {number % 40:02}"})
            for number in range(count)
        ]
    return [workspace.id for workspace in made]


async def touch(database: Database, home: Home, *ids: str) -> None:
    activity = workspaces.Activity(database)
    for identity in ids:
        activity.touch(home.agency_id, identity)
    await activity.close()


@pytest.mark.parametrize("sort", ["name", "-name", "createdAt", "-createdAt", "lastActiveAt", "-lastActiveAt"])
async def test_a_long_list_is_walked_without_gaps_or_repeats_while_others_are_made(
    database: Database, sort: Sort
) -> None:
    home = await an_agency(database)
    ids = await many(database, home, 130)
    await touch(database, home, *ids[::3])

    seen: list[str] = []
    after = None
    while True:
        async with database.transaction(home.reach, read_only=True) as tx:
            found = await workspaces.page(tx, home.caller, Filters(), Paging(sort=sort, limit=20, after=after))
        seen += [workspace.id for workspace in found.items]
        after = found.next
        if after is None:
            break
        await a_workspace(database, home, name=f"Brand {len(seen) % 40:02}")

    assert len(seen) == len(set(seen))
    assert set(ids) <= set(seen)


async def test_the_order_is_the_one_that_was_asked_for(database: Database) -> None:
    home = await an_agency(database)
    names = ["beta", "Älpha", "Gamma", "alpine"]
    ids = {name: (await a_workspace(database, home, name=name)).id for name in names}
    await touch(database, home, ids["Gamma"])
    await touch(database, home, ids["beta"])

    assert [w.name for w in await listed(database, home, sort="name")] == ["Älpha", "alpine", "beta", "Gamma"]
    assert [w.name for w in await listed(database, home)] == names[::-1]
    by_activity = [w.name for w in await listed(database, home, sort="-lastActiveAt")]
    assert by_activity[:2] == ["beta", "Gamma"]


async def test_filters_narrow_a_list_together(database: Database) -> None:
    home = await an_agency(database)
    one = await a_workspace(
        database, home, name="Fjällräven", primaryDomain="fjallraven.com", tags=["tier:premium", "industry:retail"]
    )
    two = await a_workspace(database, home, name="100% Oatly_", primaryDomain="oatly.com", tags=["tier:premium"])
    async with database.transaction(home.reach) as tx:
        await workspaces.archive(tx, home.caller, two.id)

    for filters, expected in (
        (Filters(tags=("tier:premium",)), {one.id, two.id}),
        (Filters(tags=("tier:premium", "industry:retail")), {one.id}),
        (Filters(active=True), {one.id}),
        (Filters(active=False), {two.id}),
        (Filters(q="FJALL"), {one.id}),
        (Filters(q="oatly.c"), {two.id}),
        (Filters(q="0%"), {two.id}),
        (Filters(q="%"), {two.id}),
        (Filters(q="_"), {two.id}),
        (Filters(ids=(one.id,)), {one.id}),
        (Filters(ids=()), set()),
        (Filters(tags=("tier:premium",), active=False, q="fj"), set()),
    ):
        assert {workspace.id for workspace in await listed(database, home, filters)} == expected


async def test_a_key_that_reaches_some_workspaces_lists_those(database: Database) -> None:
    home = await an_agency(database)
    ids = await many(database, home, 5)

    async with database.transaction(Reach(home.agency_id, tuple(ids[:2]))) as tx:
        found = await workspaces.page(tx, home.caller, Filters(), Paging())

    assert {workspace.id for workspace in found.items} == set(ids[:2])
    assert found.total == 2


async def test_the_total_is_exact_up_to_a_thousand_and_beyond_for_who_asks(database: Database) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        await tx.execute(
            "insert into workspace (agency_id, id, name, sort_name, slug, created_at, updated_at)"
            " select $1, 'ws_' || n, 'B' || n, 'b' || n, 'b' || n, now(), now() from generate_series(1, 1001) n",
            home.agency_id,
        )
        assert (await workspaces.page(tx, home.caller, Filters(), Paging(limit=1))).total is None
        assert (await workspaces.page(tx, home.caller, Filters(), Paging(limit=1, counts_all=True))).total == 1001
        assert (await workspaces.page(tx, home.caller, Filters(q="b1001"), Paging(limit=1))).total == 1


BLOCKS: list[Callable[[Tx, list[str]], Awaitable[Any]]] = [
    workspaces.in_force,
    workspaces.last_active_block,
    workspaces.health_block,
]


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_block_for_many_workspaces_costs_as_many_statements_as_for_one(
    database: Database, block: Callable[[Tx, list[str]], Awaitable[Any]]
) -> None:
    home = await an_agency(database)
    ids = await many(database, home, 30)

    async def statements(some: list[str]) -> int:
        asked: list[Any] = []
        async with database.transaction(home.reach) as tx:
            with tx._connection.query_logger(asked.append):
                assert set(await block(tx, some)) == set(some)
        return len(asked)

    assert await statements(ids) == await statements(ids[:1]) <= 2


async def test_activity_moves_forward_is_told_and_passes_over_what_is_not_there(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    mine, theirs = await a_workspace(database, home), await a_workspace(database, other)
    activity = workspaces.Activity(database)
    for agency_id, workspace_id in (
        (home.agency_id, mine.id),
        (other.agency_id, theirs.id),
        (home.agency_id, theirs.id),
        (home.agency_id, mine.id),
    ):
        activity.touch(agency_id, workspace_id)
    await activity.close()

    async with database.transaction(home.reach) as tx:
        told = await workspaces.last_active_block(tx, [mine.id, theirs.id])
        again = await workspaces.get(tx, home.caller, mine.id)

    assert told[theirs.id] is None
    assert str(told[mine.id]).endswith("Z")
    assert again == mine
