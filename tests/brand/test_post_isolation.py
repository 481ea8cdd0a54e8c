"""Who sees and changes which posts, and what is told of them."""

from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from colonnade.brand import content
from colonnade.brand.content import PostFilter, Turn
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database
from tests.brand.posting import AT, PLAIN, a_post, done, refused
from tests.factories import a_workspace, agency_caller, an_agency, workspace_caller


async def test_an_archived_workspace_is_read_and_not_written(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    async with database.transaction(home.reach) as tx:
        sql = "update workspace set archived_at = now() where agency_id = $1 and id = $2"
        await tx.execute(sql, tx.agency_id, workspace.id)

    reasons = {
        await refused(database, home, content.draft, workspace_id=workspace.id, draft=PLAIN),
        await refused(database, home, content.update, post.id, patch={"title": "No"}),
        await refused(database, home, content.delete, post.id),
        await refused(database, home, content.submit, post.id),
        await refused(database, home, content.mark_published, post.id, url="https://x.example", at=AT),
    }

    assert reasons == {"workspace.archived"}
    assert (await done(database, home, content.get, post.id)).id == post.id


async def test_another_workspace_and_another_agency_see_nothing(database: Database) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    post = await a_post(database, home, mine.id)
    verbs: list[tuple[Any, dict[str, Any]]] = [
        (content.get, {}),
        (content.revisions, {}),
        (content.update, {"patch": {"title": "Mine"}}),
        (content.delete, {}),
        (content.submit, {}),
        (content.mark_published, {"url": "https://x.example", "at": AT}),
    ]

    for caller in (workspace_caller(home, other), stranger.caller, home.caller.within(other.id)):
        for verb, more in verbs:
            with pytest.raises(NotFound):
                async with database.transaction(caller.reach) as tx:
                    await verb(tx, caller, post.id, **more)
        async with database.transaction(caller.reach) as tx:
            found = await content.page(tx, caller, where=PostFilter(), turn=Turn())
            forced = await content.page(tx, caller, where=PostFilter(workspace_id=mine.id), turn=Turn())
        assert (found.posts, found.total) == ([], 0)
        assert (forced.posts, forced.total) == ([], 0)
    caller = workspace_caller(home, other)
    with pytest.raises(NotFound):
        async with database.transaction(caller.reach) as tx:
            await content.draft(tx, caller, workspace_id=mine.id, draft=PLAIN)


async def test_row_security_alone_hides_other_tenants_posts(database: Database) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    await a_post(database, home, mine.id)

    for reach in (stranger.reach, Reach(home.agency_id, (other.id,))):
        async with database.transaction(reach) as tx:
            assert await tx.fetchval("select count(*) from post") == 0
            assert await tx.fetchval("select count(*) from post_revision") == 0
            assert await tx.execute("update post set title = 'x'") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(Reach(home.agency_id, (other.id,))) as tx:
            await tx.execute(
                "insert into post_revision select agency_id, $1, 'rev_x', 'post_x', 1, '', '', '{}', '', '', null, '', "
                "'edited', now() from workspace limit 1",
                mine.id,
            )


@pytest.mark.parametrize(
    "sql",
    [
        "update post_revision set body = ''",
        "delete from post_revision",
        "delete from post",
        "update post set workspace_id = ''",
        "update post set run_id = null",
    ],
)
async def test_revisions_are_append_only_and_posts_cannot_be_moved(
    database: Database, worker_database: Database, sql: str
) -> None:
    home = await an_agency(database)

    for door in (database, worker_database):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with door.transaction(home.reach) as tx:
                await tx.execute(sql)


@pytest.mark.parametrize(
    ("verb", "scope", "more"),
    [
        (content.get, "content:read", {}),
        (content.revisions, "content:read", {}),
        (content.update, "content:write", {"patch": {}}),
        (content.delete, "content:write", {}),
        (content.submit, "content:write", {}),
        (content.withdraw, "content:write", {}),
        (content.approve, "approvals:decide", {}),
        (content.reject, "approvals:decide", {}),
        (content.mark_published, "content:write", {"url": "https://x.example", "at": AT}),
    ],
)
async def test_each_verb_needs_its_scope(database: Database, verb: Any, scope: str, more: dict[str, Any]) -> None:
    home = await an_agency(database)
    lacking = agency_caller(home.agency_id, scopes=AGENCY_SCOPES - {scope})

    with pytest.raises(Refused) as refusal:
        async with database.transaction(lacking.reach) as tx:
            await verb(tx, lacking, new_id("post"), **more)

    assert refusal.value.reason == "keys.scope_missing"
    assert refusal.value.details == {"scope": scope}


async def test_nothing_of_a_text_but_its_title_and_slug_is_in_the_audit_log(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id, replace(PLAIN, body="a long text"))
    await done(database, home, content.update, post.id, patch={"body": "a longer text"})

    async with database.transaction(home.reach) as tx:
        rows = await tx.fetch("select before, after from audit_entry where agency_id = $1", tx.agency_id)

    told = [row["after"] for row in rows if row["after"] and "slug" in row["after"]]
    assert told
    assert not any("long" in str(value) for row in rows for value in row.values())
