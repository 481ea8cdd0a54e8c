import asyncpg
import pytest

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, audit, people, workspaces
from tests.factories import a_workspace, agency_caller, an_agency, workspace_caller

TENANT_TABLES = ("agency", "member", "workspace", "workspace_activity", "audit_entry")


async def test_another_agency_sees_nothing_of_a_workspace(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    workspace = await a_workspace(database, home)

    async with database.transaction(other.reach) as tx:
        for call in (
            workspaces.get(tx, other.caller, workspace.id),
            workspaces.ensure_open(tx, workspace.id),
            workspaces.brand(tx, workspace.id),
            workspaces.update(tx, other.caller, workspace.id, patch={"name": "Mine"}),
            workspaces.archive(tx, other.caller, workspace.id),
            workspaces.restore(tx, other.caller, workspace.id),
        ):
            with pytest.raises(NotFound):
                await call
        found = await workspaces.page(tx, other.caller, workspaces.Filters(), workspaces.Paging())
        assert (found.items, found.total) == ((), 0)
        assert await workspaces.effective(tx, other.caller, [workspace.id]) == {}
        assert not await workspaces.exists(tx, workspace.id)
        entries, _ = await audit.page(tx, other.caller, audit.Filters(resource_id=workspace.id), limit=10)
        assert entries == []
        assert await people.find_member(tx, home.owner_id) is None


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_row_security_alone_shows_only_ones_own_agency(database: Database, table: str) -> None:
    home, other = await an_agency(database), await an_agency(database)
    for each in (home, other):
        workspace = await a_workspace(database, each)
        activity = workspaces.Activity(database)
        activity.touch(each.agency_id, workspace.id)
        await activity.close()

    async with database.transaction(home.reach) as tx:
        seen = {row["agency_id"] for row in await tx.fetch(f"select agency_id from {table}")}

    assert seen == {home.agency_id}


async def test_a_workspace_caller_sees_its_own_row_alone_even_without_a_condition(database: Database) -> None:
    home = await an_agency(database)
    mine, theirs = await a_workspace(database, home, name="Mine"), await a_workspace(database, home, name="Theirs")
    caller = workspace_caller(home, mine)

    async with database.transaction(caller.reach) as tx:
        assert [row["id"] for row in await tx.fetch("select id from workspace")] == [mine.id]
        assert await tx.fetchval("select count(*) from member") == 0
        assert {row["workspace_id"] for row in await tx.fetch("select workspace_id from audit_entry")} == {mine.id}
        found = await workspaces.page(tx, caller, workspaces.Filters(), workspaces.Paging())
        assert [workspace.id for workspace in found.items] == [mine.id]
        with pytest.raises(NotFound):
            await workspaces.get(tx, caller, theirs.id)
        assert set(await workspaces.effective(tx, caller, [mine.id, theirs.id])) == {mine.id}


async def test_a_workspace_caller_reads_what_it_inherits_and_cannot_change_it(database: Database) -> None:
    home = await an_agency(database)
    mine = await a_workspace(database, home)
    caller = workspace_caller(home, mine)

    async with database.transaction(caller.reach) as tx:
        assert (await agencies.in_force(tx)).id == home.agency_id
        assert await tx.execute("update agency set name = 'Mine'") == 0
        with pytest.raises(Refused):
            await agencies.update(tx, agency_caller(home.agency_id, scopes=caller.scopes), patch={"name": "Mine"})


async def test_a_key_that_reaches_some_workspaces_makes_no_others(database: Database) -> None:
    home = await an_agency(database)
    mine = await a_workspace(database, home)

    async with database.transaction(Reach(home.agency_id, (mine.id,))) as tx:
        with pytest.raises(Refused) as refused:
            await workspaces.create(tx, home.caller, fields={"name": "Another"})

    assert refused.value.reason == "keys.wrong_kind"


async def test_a_row_cannot_be_written_into_another_agency(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(home.reach) as tx:
            await tx.execute(
                "insert into workspace (agency_id, id, name, sort_name, slug, created_at, updated_at)"
                " values ($1, 'ws_x', 'X', 'x', 'x', now(), now())",
                other.agency_id,
            )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with database.transaction(home.reach) as tx:
            await tx.execute(
                "insert into workspace (agency_id, id, name, sort_name, slug, owner_id, created_at, updated_at)"
                " values ($1, 'ws_x', 'X', 'x', 'x', $2, now(), now())",
                home.agency_id,
                other.owner_id,
            )


@pytest.mark.parametrize("change", ["update audit_entry set event = 'x'", "delete from audit_entry", "truncate outbox"])
async def test_neither_servers_nor_workers_can_change_what_was_recorded(
    database: Database, worker_database: Database, change: str
) -> None:
    home = await an_agency(database)

    for role in (database, worker_database):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with role.transaction(home.reach) as tx:
                await tx.execute(change)


async def test_persons_are_reached_through_functions_that_answer_only_about_ones_own_people(
    database: Database,
) -> None:
    home, other = await an_agency(database), await an_agency(database)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(home.reach) as tx:
            await tx.fetch("select * from person")
    async with database.transaction(home.reach) as tx:
        owner = await people.owner(tx)
        assert owner is not None
        assert set(await people.persons(tx, [owner.person_id])) == {owner.person_id}
    async with database.transaction(other.reach) as tx:
        assert await people.persons(tx, [owner.person_id]) == {}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("slug", "theirs", "workspace.slug_taken"),
        ("externalId", "crm-1", "workspace.external_id_taken"),
        ("primaryDomain", "theirs.com", "workspace.duplicate_domain"),
    ],
)
async def test_a_workspace_caller_learns_that_a_name_is_taken_and_not_by_whom(
    database: Database, field: str, value: str, reason: str
) -> None:
    home = await an_agency(database)
    mine = await a_workspace(database, home, name="Mine")
    await a_workspace(database, home, name="Theirs", externalId="crm-1", primaryDomain="theirs.com")
    caller = workspace_caller(home, mine)

    with pytest.raises(Refused) as refused:
        async with database.transaction(caller.reach) as tx:
            await workspaces.update(tx, caller, mine.id, patch={field: value})

    assert (refused.value.reason, refused.value.details) == (reason, {})


async def test_a_workspace_caller_cannot_hand_its_row_to_another_scope(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    mine = await a_workspace(database, home)
    caller = workspace_caller(home, mine)

    for column, value in (("agency_id", other.agency_id), ("id", new_id("ws"))):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction(caller.reach) as tx:
                await tx.execute(f"update workspace set {column} = $1", value)
