"""Members: roles and where they count, owners, leaving, and what becomes of what somebody leaves behind."""

import asyncio
from typing import Any

import asyncpg
import pytest

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.core.scopes import PRESETS
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, audit, people, workspaces
from colonnade.tenancy.people import Assignment, Change, Filters, Paging
from tests.factories import Home, a_workspace, agency_caller, an_agency
from tests.tenancy.membership import a_member, an_email, estate, signed_in, the_owner


async def changed(database: Database, home: Home, caller: Caller, member_id: str, **wish: Any) -> people.Member:
    async with database.transaction(home.reach) as tx:
        return await people.change(tx, caller, member_id, Change(**wish), estate())


async def removed(database: Database, home: Home, caller: Caller, member_id: str) -> people.Settled:
    async with database.transaction(home.reach) as tx:
        return await people.remove(tx, caller, member_id, estate())


async def owners(database: Database, home: Home) -> list[str]:
    async with database.transaction(home.reach) as tx:
        return [one.id for one in await people.owners(tx)]


async def reason_of(attempt: Any) -> str:
    with pytest.raises(Refused) as refused:
        await attempt
    return refused.value.reason


async def test_the_last_owner_neither_leaves_nor_is_removed_nor_lowered(database: Database) -> None:
    home = await an_agency(database)
    owner = the_owner(home)

    async def leave() -> None:
        async with database.transaction(home.reach) as tx:
            await people.leave(tx, owner, estate())

    assert await reason_of(leave()) == "members.last_owner"
    assert await reason_of(removed(database, home, owner, home.owner_id)) == "members.last_owner"
    assert await reason_of(changed(database, home, owner, home.owner_id, role="admin")) == "members.last_owner"
    assert await owners(database, home) == [home.owner_id]


@pytest.mark.parametrize("by", ["removing", "lowering", "leaving", "handing over and leaving"])
async def test_of_two_owners_who_go_at_once_one_stays(database: Database, by: str) -> None:
    for _ in range(5):
        home = await an_agency(database)
        other = (await a_member(database, home, "owner")).id
        third = (await a_member(database, home, "admin")).id

        async def go(mine: str, theirs: str, third: str = third, home: Home = home) -> None:
            caller = signed_in(home, mine)
            async with database.transaction(home.reach) as tx:
                if by == "removing":
                    await people.remove(tx, caller, theirs, estate())
                elif by == "lowering":
                    await people.change(tx, caller, theirs, Change(role="viewer"), estate())
                elif by == "leaving":
                    await people.leave(tx, caller, estate())
                else:
                    await people.hand_over(tx, caller, third, estate(), leave=True)

        both = (go(home.owner_id, other), go(other, home.owner_id))
        outcomes = await asyncio.gather(*both, return_exceptions=True)

        assert all(one is None or isinstance(one, Refused) for one in outcomes), outcomes
        assert len(await owners(database, home)) == 1


async def test_only_an_owner_who_is_signed_in_makes_and_unmakes_owners(database: Database) -> None:
    home = await an_agency(database)
    second = await a_member(database, home, "owner")
    admin = await a_member(database, home, "admin")
    for caller in (home.caller, signed_in(home, admin.id, "admin")):
        assert await reason_of(changed(database, home, caller, second.id, role="admin")) == "members.owners_only"
        assert await reason_of(removed(database, home, caller, second.id)) == "members.owners_only"
        assert await reason_of(changed(database, home, caller, admin.id, role="owner")) == "members.owners_only"

    assert (await changed(database, home, the_owner(home), admin.id, role="owner")).role == "owner"
    assert (await changed(database, home, the_owner(home), second.id, role="viewer")).role == "viewer"


async def test_who_was_an_owner_a_moment_ago_makes_no_owners(database: Database) -> None:
    home = await an_agency(database)
    second = await a_member(database, home, "owner")
    stale = signed_in(home, second.id, "owner")
    await changed(database, home, the_owner(home), second.id, role="admin")

    assert await reason_of(changed(database, home, stale, second.id, role="owner")) == "members.owners_only"


async def test_nobody_gives_a_role_whose_scopes_they_lack(database: Database) -> None:
    home = await an_agency(database)
    member = await a_member(database, home, "viewer")
    workspace = await a_workspace(database, home)
    management = agency_caller(home.agency_id, scopes=PRESETS["management"])

    for wish in ({"role": "manager"}, {"workspaces": [Assignment(workspace.id, "manager")]}):
        attempt = changed(database, home, management, member.id, **wish)
        assert await reason_of(attempt) == "keys.scope_not_held"


async def test_a_list_of_workspaces_replaces_what_was_assigned(database: Database) -> None:
    home = await an_agency(database)
    member = await a_member(database, home)
    first, second, third = [await a_workspace(database, home, name=f"W{number}") for number in range(3)]
    owner = the_owner(home)
    await changed(
        database, home, owner, member.id, workspaces=[Assignment(first.id, "viewer"), Assignment(second.id, "viewer")]
    )

    wanted = [Assignment(second.id, "manager"), Assignment(third.id, "viewer")]
    after = await changed(database, home, owner, member.id, workspaces=wanted)
    again = await changed(database, home, owner, member.id, workspaces=wanted)

    assert (after.workspaces, after.version, again.version) == ("assigned", 3, 3)
    async with database.transaction(home.reach) as tx:
        found = (await people.assignments(tx, home.caller, member.id, limit=10))[0]
    assert {(one.workspace_id, one.role) for one in found} == {(second.id, "manager"), (third.id, "viewer")}
    everywhere = await changed(database, home, owner, member.id, workspaces="all")
    assert (everywhere.workspaces, everywhere.version) == ("all", 4)


async def test_a_stale_version_changes_nothing(database: Database) -> None:
    home = await an_agency(database)
    member = await a_member(database, home)
    await changed(database, home, the_owner(home), member.id, role="viewer")

    async def attempt(verb: Any, *wish: Any) -> None:
        async with database.transaction(home.reach) as tx:
            await verb(tx, the_owner(home), member.id, *wish, estate(), expected_version=1)

    for verb, wish in ((people.change, [Change(role="admin")]), (people.remove, [])):
        assert await reason_of(attempt(verb, *wish)) == "request.precondition_failed"


async def test_workspaces_of_who_leaves_fall_to_who_removes_or_to_an_owner(database: Database) -> None:
    home = await an_agency(database)
    admin = await a_member(database, home, "admin")
    leavers = [await a_member(database, home, "admin") for _ in range(3)]
    made = [await a_workspace(database, home, ownerId=one.id, name=f"of {one.id}") for one in leavers]

    by_member = await removed(database, home, signed_in(home, admin.id, "admin"), leavers[0].id)
    by_key = await removed(database, home, home.caller, leavers[1].id)
    async with database.transaction(home.reach) as tx:
        by_oneself = await people.leave(tx, signed_in(home, leavers[2].id, "admin"), estate())

    assert [one.new_owner_id for one in (by_member, by_key, by_oneself)] == [admin.id, home.owner_id, home.owner_id]
    async with database.transaction(home.reach) as tx:
        now = [(await workspaces.get(tx, home.caller, one.id)).owner_id for one in made]
        entries, _ = await audit.page(tx, home.caller, audit.Filters(resource_id=leavers[0].id), limit=1)
    assert now == [admin.id, home.owner_id, home.owner_id]
    assert entries[0].event == "members.removed"
    assert entries[0].after is not None
    assert (entries[0].after["workspacesHandedOver"], entries[0].after["workspacesGoTo"]) == (1, admin.id)


async def test_a_member_who_comes_back_is_a_new_member(database: Database) -> None:
    home = await an_agency(database)
    email = an_email()
    before = await a_member(database, home, email=email)
    workspace = await a_workspace(database, home)
    await changed(database, home, the_owner(home), before.id, workspaces=[Assignment(workspace.id, "manager")])
    await removed(database, home, the_owner(home), before.id)

    after = await a_member(database, home, "viewer", email=email)

    assert after.id != before.id
    assert after.person_id == before.person_id
    async with database.transaction(home.reach) as tx:
        assert (await people.assignments(tx, home.caller, after.id, limit=10))[0] == []


async def test_an_owner_hands_the_agency_over_and_becomes_an_admin(database: Database) -> None:
    home = await an_agency(database)
    heir = await a_member(database, home, "viewer")

    async with database.transaction(home.reach) as tx:
        owner = await people.hand_over(tx, the_owner(home), heir.id, estate())
    async with database.transaction(home.reach) as tx:
        before = await people.find_member(tx, home.owner_id)

    assert (owner.id, owner.role) == (heir.id, "owner")
    assert before is not None
    assert before.role == "admin"
    assert await owners(database, home) == [heir.id]


async def test_no_key_and_no_admin_hands_the_agency_over(database: Database) -> None:
    home = await an_agency(database)
    heir = await a_member(database, home, "admin")

    for caller in (home.caller, signed_in(home, heir.id, "admin")):
        with pytest.raises(Refused) as refused:
            async with database.transaction(home.reach) as tx:
                await people.hand_over(tx, caller, heir.id, estate())
        assert refused.value.reason == "members.owners_only"
    for nobody in (home.owner_id, "mem_unknown", (await a_member(database, await an_agency(database))).id):
        with pytest.raises(BadFields) as bad:
            async with database.transaction(home.reach) as tx:
                await people.hand_over(tx, the_owner(home), nobody, estate())
        assert [error.pointer for error in bad.value.errors] == ["/toMemberId"]


async def test_the_operator_hands_an_agency_over_whole(database: Database) -> None:
    home = await an_agency(database)
    second, heir = await a_member(database, home, "owner"), await a_member(database, home, "manager")

    async with database.transaction(home.reach) as tx:
        await people.hand_over(tx, agencies.entering(home.agency_id), heir.id, estate())

    assert await owners(database, home) == [heir.id]
    async with database.transaction(home.reach) as tx:
        lowered = [await people.find_member(tx, one) for one in (home.owner_id, second.id)]
    assert [one.role for one in lowered if one] == ["admin", "admin"]


async def test_members_of_two_thousand_are_paged_and_never_loaded_whole(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    await _crowd(database, home, 2_000)

    seen: list[str] = []
    paging: Paging | None = Paging(limit=100)
    while paging is not None:
        async with database.transaction(home.reach, read_only=True) as tx:
            found = await workspaces.colleagues(tx, home.caller, workspace.id, Filters(), paging)
        assert len(found.items) <= 100
        seen += [one.member_id for one in found.items]
        paging = None if found.next is None else Paging(limit=100, after=found.next)
    async with database.transaction(home.reach, read_only=True) as tx:
        some = await people.page(tx, home.caller, Filters(), Paging(limit=1))
        every = await people.page(tx, home.caller, Filters(), Paging(limit=1, counts_all=True))
        searched = await people.page(tx, home.caller, Filters(q="crowd 1999 "), Paging())

    assert len(seen) == len(set(seen)) == 2_001
    assert (some.total, every.total) == (None, 2_001)
    assert [one.name for one in searched.items] == ["Crowd 1999 x"]


async def _crowd(database: Database, home: Home, size: int) -> None:
    async with database.transaction(home.reach) as tx:
        await tx.execute(
            """with one as (select n, lpad(n::text, 26 - length($2), '0') || $2 as tail from generate_series(1, $3) n),
                    made as (select n, ensure_person('person_' || tail, n || '@crowd-' || $2 || '.example',
                                                     'Crowd ' || n || ' x') as id, tail from one)
               insert into member (agency_id, id, person_id, role, created_at, updated_at)
               select $1, 'mem_' || tail, id, 'viewer', now() + n * interval '1 millisecond', now() from made""",
            home.agency_id,
            home.agency_id[-12:],
            size,
        )
