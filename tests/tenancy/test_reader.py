import asyncio
from collections.abc import Sequence

import asyncpg
import httpx2
import pytest

from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, workspaces
from colonnade.tenancy.workspaces import WorkspaceReader
from colonnade.tenancy.workspaces import routes as workspace_routes
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller
from tests.serving import a_key, served

ONE_STATEMENT = "select agency_id, scope, id from read_workspaces($1, $2, $3) order by agency_id, scope, id"
CONDITIONS = (
    "w.agency_id = reach.agency and ",
    "l.agency_id = reach.agency and ",
    "where g.agency_id = reach.agency",
    "and (reach.scope = '*' or w.id = any (reach.workspaces))",
)
"""What the function says besides row security."""


async def found_by(reader: WorkspaceReader, asks: Sequence[tuple[Caller, str]]) -> list[str | None]:
    """The ids that came back, asked for all at once; none where it was not found."""

    async def one(caller: Caller, workspace_id: str) -> str | None:
        try:
            return (await reader.read(caller, workspace_id)).workspace.id
        except NotFound:
            return None

    return list(await asyncio.gather(*(one(caller, workspace_id) for caller, workspace_id in asks)))


async def two_agencies(database: Database) -> tuple[list[Home], list[str]]:
    """Two agencies with two workspaces each."""
    homes = [await an_agency(database), await an_agency(database)]
    return homes, [(await a_workspace(database, home, name=name)).id for home in homes for name in ("One", "Two")]


async def test_callers_of_many_agencies_who_ask_at_once_see_their_own_alone(database: Database) -> None:
    (home, other), (mine, sibling, theirs, cousin) = await two_agencies(database)
    async with database.transaction(home.reach) as tx:
        bound = workspace_caller(home, await workspaces.get(tx, home.caller, mine))
    reader = WorkspaceReader(database)
    every = (mine, sibling, theirs, cousin, new_id("ws"))

    seen = await found_by(reader, [(caller, one) for caller in (home.caller, bound, other.caller) for one in every])

    assert seen[0:5] == [mine, sibling, None, None, None]
    assert seen[5:10] == [mine, None, None, None, None]
    assert seen[10:15] == [None, None, theirs, cousin, None]


async def test_all_who_ask_at_once_are_answered_by_two_trips(database: Database) -> None:
    homes, ids = await two_agencies(database)
    trips: list[str] = []

    class Counting(Database):
        async def lookup(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
            trips.append(sql)
            return await database.lookup(sql, *arguments)

    reader = WorkspaceReader(Counting(database.address, database.role, database.pepper))

    seen = await found_by(reader, [(home.caller, one) for _ in range(20) for home in homes for one in ids])

    assert seen[:8] == [*ids[:2], None, None, None, None, *ids[2:]]
    assert len(trips) <= 2


async def test_row_security_alone_keeps_the_reaches_of_one_trip_apart(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    (home, other), ids = await two_agencies(database)
    definition: str = await owner.fetchval("select pg_get_functiondef('read_workspaces'::regproc)")
    for condition in CONDITIONS:
        assert condition in definition
        definition = definition.replace(condition, "")
    await owner.execute(definition.replace("public.read_workspaces", "public.read_without_conditions"))
    await owner.execute("grant execute on function read_without_conditions to colonnade_app")
    agencies_, scopes = [home.agency_id, home.agency_id, other.agency_id], ["*", ids[0], "*"]
    columns = [one for one in agencies_ for _ in ids], [one for one in scopes for _ in ids], ids * 3

    try:
        rows = await database.lookup(ONE_STATEMENT.replace("read_workspaces", "read_without_conditions"), *columns)
    finally:
        await owner.execute("drop function read_without_conditions")

    assert [tuple(row) for row in rows] == sorted(
        [
            (home.agency_id, "*", ids[0]),
            (home.agency_id, "*", ids[1]),
            (home.agency_id, ids[0], ids[0]),
            (other.agency_id, "*", ids[2]),
            (other.agency_id, "*", ids[3]),
        ]
    )


async def test_the_reading_function_leaves_the_scope_of_its_transaction_as_it_was(database: Database) -> None:
    homes, ids = await two_agencies(database)

    async with database.transaction(homes[0].reach) as tx:
        rows = await tx.fetch(ONE_STATEMENT, [homes[1].agency_id], ["*"], [ids[2]])
        seen = await tx.fetch("select id from workspace order by created_at")

    assert [row["id"] for row in rows] == [ids[2]]
    assert {row["id"] for row in seen} == set(ids[:2])


@pytest.mark.parametrize("scope", ["", "*, ", "%", "ws_"])
async def test_a_scope_that_names_no_workspace_reads_none(database: Database, scope: str) -> None:
    homes, ids = await two_agencies(database)

    assert await database.lookup(ONE_STATEMENT, [homes[0].agency_id], [scope], [ids[0]]) == []


async def test_reading_needs_the_scope_for_it(database: Database) -> None:
    homes, ids = await two_agencies(database)
    caller = agency_caller(homes[0].agency_id, scopes=frozenset({"keys:read"}))

    with pytest.raises(Refused, match="workspaces:read"):
        await WorkspaceReader(database).read(caller, ids[0])


async def test_a_database_that_cannot_be_asked_is_told_as_such(database: Database) -> None:
    home = await an_agency(database)
    lone = Database(database.address, database.role, database.pepper)
    await lone.open()
    reader = WorkspaceReader(lone)
    lone.pool.terminate()

    with pytest.raises(Refused) as refused:
        await reader.read(home.caller, new_id("ws"))

    assert refused.value.reason == "service.unavailable"
    await lone.close()


async def test_the_reader_answers_with_the_bytes_of_the_ordinary_path(database: Database) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        patch = {
            "defaultApprovalPolicy": {"publish": "auto"},
            "lockedSettings": ["defaultModel"],
            "creditPool": "agency",
        }
        await agencies.update_settings(tx, home.caller, patch=patch)
    workspace = await a_workspace(
        database,
        home,
        name="Ünïcode & Co",
        primaryDomain="acme.example",
        externalId="crm:1",
        tags=["tier:premium"],
        metadata={"n": 1.5, "deep": {"list": [1, None]}},
        settings={"primaryLocation": "uk", "approvalPolicy": {"outreach_send": "auto"}},
        brand={"voice": "Plain."},
    )
    activity = workspaces.Activity(database)
    activity.touch(home.agency_id, workspace.id)
    await activity.close()
    keys = [await a_key(database, home), await a_key(database, home, workspace.id)]
    asks = [(query, key) for query in ("", "?include=settingSources", "?include=health") for key in keys]

    async def answers(state: dict[str, object]) -> list[httpx2.Response]:
        async with served(database, [workspace_routes.routes], state) as client:
            return [await client.get(f"/v1/workspaces/{workspace.id}{query}", headers=key) for query, key in asks]

    shared = await answers({workspace_routes.READER: WorkspaceReader(database)})
    ordinary = await answers({})

    assert [answer.status_code for answer in shared] == [200] * len(asks)
    assert [answer.content for answer in shared] == [answer.content for answer in ordinary]
    assert {answer.headers["etag"] for answer in [*shared, *ordinary]} == {'"v1"'}
    assert shared[0].json()["lastActiveAt"] is not None


async def test_a_change_is_seen_by_the_very_next_read(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    reader = WorkspaceReader(database)
    seen = [await reader.read(home.caller, workspace.id)]

    async with database.transaction(home.reach) as tx:
        await workspaces.update(tx, home.caller, workspace.id, patch={"name": "Acme Renamed"})
        await agencies.update_settings(tx, home.caller, patch={"defaultModel": "scripted"})
    seen.append(await reader.read(home.caller, workspace.id))

    assert [view.workspace.name for view in seen] == ["Acme", "Acme Renamed"]
    assert [view.in_force.values["defaultModel"] for view in seen] == [None, "scripted"]
    assert [view.workspace.version for view in seen] == [1, 2]


async def test_a_row_too_large_to_be_kept_is_read_like_any_other(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home, tags=["a:b", "c:d"], brand={"detailedDescription": "x" * 9000})
    reader = WorkspaceReader(database)

    views = [await reader.read(home.caller, workspace.id) for _ in range(2)]

    assert [view.workspace for view in views] == [workspace, workspace]


async def test_a_reach_that_holds_anything_but_workspace_ids_is_never_asked_with(database: Database) -> None:
    homes, ids = await two_agencies(database)
    crooked = agency_caller(homes[0].agency_id)
    object.__setattr__(crooked, "reach", Reach(homes[0].agency_id, ("*",)))

    with pytest.raises(ValueError, match="workspace ids only"):
        await WorkspaceReader(database).read(crooked, ids[0])
