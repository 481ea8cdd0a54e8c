"""Searches of any kind beside a filter written in Python: the same workspaces, in the same order, page by page."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Filters, Paging, Workspace, searching
from colonnade.tenancy.workspaces.naming import folded
from tests.factories import Home, an_agency

_WORDS = ("Ember", "Ém", "Harbor", "har", "a=", "!archived", "x1", "=t:a")
_TAGS = ("t:a", "t:b", "k:1", "k:2", "other:long")
_COUNT = 60
_NAMED = 10

_ADD = """
insert into workspace (agency_id, id, name, sort_name, slug, external_id, tags, archived_at, created_at, updated_at)
select $1, b.id, b.name, b.sort_name, b.slug, b.external_id, string_to_array(b.tags, ','),
       case when b.is_archived then now() end, now() - make_interval(mins => b.age), now()
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::integer[])
     as b (id, name, sort_name, slug, external_id, tags, is_archived, age)
"""

_brand = st.tuples(
    st.lists(st.sampled_from(_WORDS), min_size=1, max_size=3).map(" ".join),
    st.lists(st.sampled_from(_TAGS), max_size=4, unique=True),
    st.booleans(),
    st.integers(0, 5),
)
_filters = st.builds(
    Filters,
    tags=st.lists(st.sampled_from([*_TAGS, "", "t", "none:here"]), max_size=3).map(tuple),
    active=st.sampled_from([None, True, False]),
    q=st.none() | st.sampled_from([*_WORDS, "e", "HARB", "bor ", "EM-7", "rb", "mb", "=", "ember harbor", "har", " "]),
)
_paging = st.builds(
    Paging, sort=st.sampled_from(["name", "-name", "createdAt", "-createdAt"]), limit=st.integers(1, 30)
)
_a_property = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def _fill(database: Database, home: Home, brands: Sequence[tuple[str, list[str], bool, int]]) -> list[Workspace]:
    made = [(new_id("ws"), number, brand) for number, brand in enumerate(brands)]
    columns: list[list[Any]] = [
        [one for one, _, _ in made],
        [brand[0] for _, _, brand in made],
        [folded(brand[0]) for _, _, brand in made],
        [f"slug-{number}" for _, number, _ in made],
        [f"EM-{number}" if number % 3 else None for _, number, _ in made],
        [",".join(brand[1]) for _, _, brand in made],
        [brand[2] for _, _, brand in made],
        [brand[3] for _, _, brand in made],
    ]
    async with database.transaction(home.reach) as tx:
        await tx.execute(_ADD, tx.agency_id, *columns)
    return list((await _pages(database, home, Filters(), Paging(limit=100)))[0])


async def _pages(
    database: Database, home: Home, filters: Filters, paging: Paging
) -> tuple[list[Workspace], set[int | None]]:
    shown: list[Workspace] = []
    totals: set[int | None] = set()
    after = None
    async with database.transaction(home.reach, read_only=True) as tx:
        while True:
            page = await workspaces.page(tx, home.caller, filters, Paging(paging.sort, paging.limit, after))
            shown.extend(page.items)
            totals.add(page.total)
            after = page.next
            if after is None:
                return shown, totals
            assert len(page.items) == paging.limit


def _passes(workspace: Workspace, filters: Filters) -> bool:
    if not set(filters.tags) <= set(workspace.tags):
        return False
    if filters.active is not None and (workspace.archived_at is None) is not filters.active:
        return False
    if filters.text is None:
        return True
    name, domain, slug, external = searching.spellings(filters.text)
    is_in_name = name in folded(workspace.name) or domain in (workspace.primary_domain or "")
    return is_in_name or slug in workspace.slug or external in (workspace.external_id or "").lower()


def _expected(everything: Sequence[Workspace], filters: Filters, sort: str) -> list[str]:
    def place(workspace: Workspace) -> tuple[Any, str]:
        is_by_name = sort.endswith("name")
        return (folded(workspace.name).encode() if is_by_name else workspace.created_at), workspace.id

    passing = [one for one in everything if _passes(one, filters)]
    return [one.id for one in sorted(passing, key=place, reverse=sort.startswith("-"))]


@pytest.mark.parametrize("bounds", ["as they are", "small"])
@given(
    brands=st.lists(_brand, min_size=_COUNT // 2, max_size=_COUNT),
    asked=st.lists(st.tuples(_filters, _paging), min_size=8, max_size=8),
)
@_a_property
async def test_a_search_finds_what_a_filter_finds(
    database: Database,
    bounds: str,
    brands: list[tuple[str, list[str], bool, int]],
    asked: list[tuple[Filters, Paging]],
) -> None:
    home = await an_agency(database)
    everything = await _fill(database, home, brands)
    assert len(everything) == len(brands)

    with pytest.MonkeyPatch.context() as patch:
        if bounds == "small":
            # So that what is common in a large agency is so in this one, and all ways are taken.
            patch.setattr(searching, "FEW", 2)
            patch.setattr(searching, "_RARE", 12)
            patch.setattr(searching, "NAMED", _NAMED)
            patch.setattr(workspaces.pages, "FEW", 2)
            patch.setattr(workspaces.pages, "_SORTED", 0)
        for filters, paging in asked:
            shown, totals = await _pages(database, home, filters, paging)
            expected = _expected(everything, filters, paging.sort)
            assert [one.id for one in shown] == expected, (filters, paging)
            is_counted = totals == {len(expected)} or (
                bounds == "small" and len(expected) > _NAMED and totals == {None}
            )
            assert is_counted, (filters, paging, totals)
