"""Searching workspaces: every part of every name is found, and row security lets the search use its index."""

import json

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Filters, Paging, searching
from colonnade.tenancy.workspaces.naming import folded
from tests.factories import Home, a_workspace, an_agency, workspace_caller

MANY = """
insert into workspace (agency_id, id, name, sort_name, slug, primary_domain, tags, brand, created_at, updated_at)
select $1, n.id, 'Brand ' || n.number, 'brand ' || n.number, 'brand-' || n.number, 'brand-' || n.number || '.example',
       array['tier:' || n.number % 3, 'group:' || n.number % 400], '{"voice": "Calm."}', now(), now()
from unnest($2::text[]) with ordinality as n (id, number)
"""


async def names(database: Database, home: Home, q: str | None, *tags: str) -> list[str]:
    async with database.transaction(home.reach, read_only=True) as tx:
        page = await workspaces.page(tx, home.caller, Filters(q=q, tags=tags), Paging(sort="name"))
    assert page.total == len(page.items)
    return [workspace.name for workspace in page.items]


async def many(database: Database, home: Home, count: int) -> None:
    async with database.transaction(home.reach) as tx:
        await tx.execute(MANY, tx.agency_id, [new_id("ws") for _ in range(count)])


@pytest.mark.parametrize(
    "q",
    [
        "jäll",
        "JALL",
        "fjallraven.co",
        "räven ab",
        "n a",
        "ab",
        "b",
        "crm-7",
        "CRM-77",
        "outdoor-l",
        " fjäll ",
        "w-f",
        "´",
    ],
)
async def test_any_part_of_name_domain_slug_or_external_id_finds_a_workspace(database: Database, q: str) -> None:
    home = await an_agency(database)
    await a_workspace(
        database,
        home,
        name="Fjällräven AB ´",
        primaryDomain="fjallraven.com",
        slug="outdoor-lw-fj",
        externalId="CRM-77",
    )
    await a_workspace(database, home, name="Zzz")

    expected = [] if q == "´" else ["Fjällräven AB ´"]
    assert await names(database, home, q) == expected


async def test_what_no_workspace_holds_is_not_found(database: Database) -> None:
    home = await an_agency(database)
    await a_workspace(database, home, name="Acme", tags=["tier:one"])

    assert await names(database, home, "acmee") == []
    assert await names(database, home, "tier:one") == [], "a tag is no part of a name"
    assert await names(database, home, "=tier:one") == []
    assert await names(database, home, None, "tier:one") == ["Acme"]
    assert await names(database, home, None, "tier:on") == []
    assert await names(database, home, None, "tier:one", "tier:two") == []


async def test_a_workspace_is_found_by_what_it_is_called_now(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home, name="Before", slug="first", tags=["tier:one"])
    async with database.transaction(home.reach) as tx:
        patch = {"name": "Afterwards", "slug": "later", "tags": ["tier:two"], "externalId": "x-9"}
        await workspaces.update(tx, home.caller, workspace.id, patch=patch)

    assert await names(database, home, "before") == await names(database, home, "irst") == []
    assert await names(database, home, None, "tier:one") == []
    assert await names(database, home, "terwar") == await names(database, home, "X-9") == ["Afterwards"]
    assert await names(database, home, None, "tier:two") == ["Afterwards"]


async def test_a_search_stays_within_reach(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    mine = await a_workspace(database, home, name="Acme one")
    await a_workspace(database, home, name="Acme two")
    await a_workspace(database, other, name="Acme three")
    caller = workspace_caller(home, mine)
    async with database.transaction(caller.reach, read_only=True) as tx:
        page = await workspaces.page(tx, caller, Filters(q="acme"), Paging())

    assert [workspace.id for workspace in page.items] == [mine.id]


@given(name=st.text("aäÄbß -'%_\\", min_size=1, max_size=8), q=st.text("aäÄbß -'%_\\", min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_index_loses_nothing(database: Database, name: str, q: str) -> None:
    if not name.strip() or not q.strip():
        return
    home = await an_agency(database)
    workspace = await a_workspace(database, home, name=f"x{name}")
    spelling, *_ = searching.spellings(q)
    is_held = spelling in folded(workspace.name) or q.strip().lower() in workspace.slug

    assert (await names(database, home, q) == [workspace.name]) is is_held


@pytest.mark.parametrize(
    ("q", "numbers"), [("brand 777", [777]), ("rand 15", [15, *range(150, 160)]), ("888.ex", [888])]
)
async def test_among_many_the_few_are_found(database: Database, q: str, numbers: list[int]) -> None:
    home = await an_agency(database)
    await many(database, home, 1200)

    assert set(await names(database, home, q)) == {f"Brand {number}" for number in numbers}


async def test_what_is_common_is_counted_as_far_as_lists_count(database: Database) -> None:
    home = await an_agency(database)
    await many(database, home, 1200)
    async with database.transaction(home.reach, read_only=True) as tx:
        page = await workspaces.page(tx, home.caller, Filters(q="brand"), Paging(limit=10))
        exact = await workspaces.page(tx, home.caller, Filters(q="brand"), Paging(limit=10, counts_all=True))
        tagged = await workspaces.page(tx, home.caller, Filters(tags=("tier:1", "group:7")), Paging(limit=10))

    assert (page.total, len(page.items)) == (None, 10)
    assert exact.total == 1200
    assert tagged.total == len(tagged.items) == 1


async def test_row_security_lets_the_search_use_its_index(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await an_agency(database)
    await many(database, home, 3000)
    await owner.execute("analyze workspace_gram")
    async with database.transaction(home.reach, read_only=True) as tx:
        told = await tx.fetchval(
            f"explain (format json) {searching.RAREST}",
            tx.agency_id,
            None,
            ["d 7", "77"],
            ["d 7\x01", "77\U0010ffff"],
            100,
        )

    plan = json.dumps(json.loads(told) if isinstance(told, str) else told)
    assert "workspace_gram_pkey" in plan
    conditions = plan.split('"Index Cond": ')[1:]
    assert conditions
    assert all("gram >=" in one and "gram <" in one for one in conditions), plan
