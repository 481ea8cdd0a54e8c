"""Posts in the database: writing, revising, reviewing, coming out, and who sees what."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from colonnade.brand import content
from colonnade.brand.content import Draft, Post, PostFilter, PostStatus, Turn
from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller

PLAIN = Draft(title="Hello world", body="# Hello world\n\nText.", outline=["Why", "How"], meta_description="A greeting")
AT = datetime(2026, 2, 1, tzinfo=UTC)


async def a_post(database: Database, home: Home, workspace_id: str, draft: Draft = PLAIN, **more: Any) -> Post:
    async with database.transaction(home.reach) as tx:
        return await content.draft(tx, home.caller, workspace_id=workspace_id, draft=draft, **more)


async def audited(database: Database, home: Home, post_id: str) -> list[str]:
    sql = "select event from audit_entry where agency_id = $1 and resource_id = $2 order by id"
    async with database.transaction(home.reach) as tx:
        return [row["event"] for row in await tx.fetch(sql, tx.agency_id, post_id)]


async def refused(database: Database, home: Home, verb: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refusal:
        async with database.transaction(home.reach) as tx:
            await verb(tx, home.caller, *arguments, **named)
    return refusal.value.reason


async def done(database: Database, home: Home, verb: Any, *arguments: Any, **named: Any) -> Any:
    async with database.transaction(home.reach) as tx:
        return await verb(tx, home.caller, *arguments, **named)


async def test_a_new_post_is_a_draft_with_its_first_revision(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    post = await a_post(database, home, workspace.id, replace(PLAIN, model="claude-sonnet-4-6", keyword="greeting"))
    kept, count = await done(database, home, content.revisions, post.id)

    assert post.status is PostStatus.DRAFT
    assert (post.slug, post.revision, post.version) == ("hello-world", 1, 1)
    assert (post.workspace_id, post.writing.keyword, post.published_url) == (workspace.id, "greeting", None)
    assert count == 1
    assert [(one.number, one.title, one.author, one.reason) for one in kept] == [
        (1, "Hello world", home.caller.actor_id, "written")
    ]
    assert await audited(database, home, post.id) == ["posts.created"]
    assert await done(database, home, content.get, post.id) == post


async def test_a_run_writes_under_its_own_name_and_a_repeated_step_writes_once(
    database: Database, worker_database: Database
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    run = new_id("inv")
    caller = Caller(
        CallerKind.RUN,
        Reach(home.agency_id, (workspace.id,)),
        frozenset({"content:write", "content:read"}),
        run,
        "write_post",
        new_request_id(),
        workspace_id=workspace.id,
    )

    posts = []
    for _ in range(2):
        async with worker_database.transaction(caller.reach) as tx:
            posts.append(
                await content.draft(tx, caller, workspace_id=workspace.id, draft=PLAIN, run_id=run, run_step="write")
            )

    assert posts[0] == posts[1]
    assert posts[0].run_id == run
    assert await audited(database, home, posts[0].id) == ["posts.created"]


async def test_slugs_are_unique_in_a_workspace_and_free_again_after_a_delete(database: Database) -> None:
    home = await an_agency(database)
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")

    first = await a_post(database, home, one.id)
    second = await a_post(database, home, one.id)
    elsewhere = await a_post(database, home, two.id)
    await done(database, home, content.delete, first.id)
    third = await a_post(database, home, one.id)

    assert [post.slug for post in (first, second, elsewhere, third)] == [
        "hello-world",
        "hello-world-2",
        "hello-world",
        "hello-world",
    ]


async def test_posts_of_the_same_title_that_are_written_at_once_all_get_slugs(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    posts = await asyncio.gather(*(a_post(database, home, workspace.id) for _ in range(8)))

    assert len({post.slug for post in posts}) == 8


async def test_every_bad_field_is_named_at_once(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    with pytest.raises(BadFields) as bad:
        await a_post(database, home, workspace.id, Draft("", "x" * 500_001, outline=["ok", ""], slug="Not A Slug"))

    assert {error.pointer for error in bad.value.errors} == {"/title", "/body", "/outline/1", "/slug"}


async def test_what_cannot_be_stored_is_cleaned_away(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    post = await a_post(database, home, workspace.id, Draft("Two\nlines\x00", "a\r\nb\x00\ud800c\td"))

    assert post.title == "Two lines"
    assert post.writing.body == "a\nbc\td"


async def test_an_edit_is_a_new_revision_and_the_old_one_stays(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)

    edited = await done(
        database, home, content.update, post.id, patch={"title": "Better", "metaDescription": None, "slug": None}
    )
    kept, count = await done(database, home, content.revisions, post.id)
    older, _ = await done(database, home, content.revisions, post.id, before=2)

    assert (edited.title, edited.slug, edited.writing.meta_description) == ("Better", "better", "")
    assert edited.writing.body == post.writing.body
    assert (edited.revision, edited.version) == (2, 2)
    assert count == 2
    assert [(one.number, one.title, one.reason) for one in kept] == [
        (2, "Better", "edited"),
        (1, "Hello world", "written"),
    ]
    assert [one.number for one in older] == [1]
    assert await audited(database, home, post.id) == ["posts.created", "posts.updated"]


async def test_a_patch_that_changes_nothing_leaves_no_trace(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)

    same = await done(database, home, content.update, post.id, patch={"title": " Hello  world "})

    assert same == post
    assert await audited(database, home, post.id) == ["posts.created"]


async def test_an_outdated_version_is_refused(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.update, post.id, patch={"title": "A"}, expected_version=1)

    for verb, more in ((content.update, {"patch": {"title": "B"}}), (content.delete, {})):
        reason = await refused(database, home, verb, post.id, expected_version=1, **more)
        assert reason == "request.precondition_failed"


async def test_a_slug_that_another_post_has_is_refused_in_an_edit(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    await a_post(database, home, workspace.id)
    post = await a_post(database, home, workspace.id, replace(PLAIN, title="Other"))

    assert await refused(database, home, content.update, post.id, patch={"slug": "hello-world"}) == "posts.slug_taken"


async def test_a_post_under_review_stands_still(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)

    submitted = await done(database, home, content.submit, post.id)
    again = await done(database, home, content.submit, post.id)

    assert submitted.status is PostStatus.IN_REVIEW
    assert again == submitted
    assert await refused(database, home, content.update, post.id, patch={"title": "No"}) == "posts.in_review"
    assert await refused(database, home, content.delete, post.id) == "posts.in_review"
    publishing = await refused(database, home, content.mark_published, post.id, url="https://x.example", at=AT)
    assert publishing == "posts.wrong_state"
    assert await audited(database, home, post.id) == ["posts.created", "posts.submitted"]


async def test_a_post_that_is_withdrawn_from_review_is_a_draft_again(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)

    withdrawn = await done(database, home, content.withdraw, post.id)
    again = await done(database, home, content.withdraw, post.id)

    assert withdrawn.status is PostStatus.DRAFT
    assert again == withdrawn
    assert await audited(database, home, post.id) == ["posts.created", "posts.submitted", "posts.withdrawn"]


async def test_an_approval_without_edits_keeps_the_revision(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)

    approved = await done(database, home, content.approve, post.id)
    again = await done(database, home, content.approve, post.id)

    assert approved.status is PostStatus.APPROVED
    assert approved.revision == 1
    assert again == approved
    assert await audited(database, home, post.id) == ["posts.created", "posts.submitted", "posts.approved"]


async def test_an_approval_with_edits_is_the_approvers_revision(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)

    approved = await done(
        database, home, content.approve, post.id, edits={"title": "Approved title", "outline": ["One"]}
    )
    kept, _ = await done(database, home, content.revisions, post.id)

    assert approved.status is PostStatus.APPROVED
    assert (approved.title, approved.writing.outline, approved.revision) == ("Approved title", ("One",), 2)
    assert (kept[0].reason, kept[0].author) == ("approved_with_edits", home.caller.actor_id)


async def test_bad_edits_are_named_and_leave_the_post_under_review(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)

    with pytest.raises(BadFields) as bad:
        await done(
            database,
            home,
            content.approve,
            post.id,
            edits={"title": None, "outline": [7], "model": "x", "status": "PUBLISHED", "a/b": 1},
        )
    with pytest.raises(BadFields):
        await done(database, home, content.approve, post.id, edits=["not", "an", "object"])

    assert {error.pointer for error in bad.value.errors} == {"/title", "/outline/0", "/model", "/status", "/a~1b"}
    assert (await done(database, home, content.get, post.id)).status is PostStatus.IN_REVIEW


async def test_a_rejected_post_keeps_the_reason_until_it_is_edited(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)

    rejected = await done(database, home, content.reject, post.id, reason="Too\nloud")
    again = await done(database, home, content.reject, post.id, reason="Other")
    deciding = await refused(database, home, content.approve, post.id)
    edited = await done(database, home, content.update, post.id, patch={"title": "Softer"})

    assert (rejected.status, rejected.rejected_reason) == (PostStatus.REJECTED, "Too loud")
    assert again == rejected
    assert deciding == "posts.wrong_state"
    assert (edited.status, edited.rejected_reason) == (PostStatus.DRAFT, None)


async def test_an_edit_after_the_approval_needs_a_new_approval(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)
    await done(database, home, content.approve, post.id)

    edited = await done(database, home, content.update, post.id, patch={"body": "Quite another text"})

    assert edited.status is PostStatus.DRAFT


async def test_a_published_post_keeps_its_text_and_its_address(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)

    published = await done(database, home, content.mark_published, post.id, url="https://acme.example/hello", at=AT)
    again = await done(database, home, content.mark_published, post.id, url="https://elsewhere.example", at=AT)

    assert published.status is PostStatus.PUBLISHED
    assert (published.published_url, published.published_at) == ("https://acme.example/hello", AT)
    assert published.published_revision == 1
    assert again == published
    assert await refused(database, home, content.update, post.id, patch={"title": "No"}) == "posts.published"
    assert await refused(database, home, content.delete, post.id) == "posts.published"
    assert await refused(database, home, content.submit, post.id) == "posts.published"
    assert await audited(database, home, post.id) == ["posts.created", "posts.published"]


async def test_a_post_that_was_edited_while_it_came_out_tells_which_text_is_public(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.update, post.id, patch={"title": "Later"})

    published = await done(
        database, home, content.mark_published, post.id, url="https://acme.example", at=AT, revision=1
    )

    assert (published.revision, published.published_revision) == (2, 1)


async def test_a_deleted_post_is_gone_and_its_revisions_with_it(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)

    await done(database, home, content.delete, post.id)

    assert await refused(database, home, content.get, post.id) == "resource.not_found"
    assert await refused(database, home, content.revisions, post.id) == "resource.not_found"
    assert await refused(database, home, content.delete, post.id) == "resource.not_found"
    assert (await done(database, home, content.page, where=PostFilter(), turn=Turn())).posts == []
    assert await audited(database, home, post.id) == ["posts.created", "posts.deleted"]


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


@pytest.mark.parametrize("sort", ["-createdAt", "createdAt", "-updatedAt", "updatedAt", "title", "-title"])
async def test_pages_show_every_post_once_in_every_order(database: Database, sort: str) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    titles = ["b", "A", "é", "a", "Z"]
    async with database.transaction(home.reach) as tx:
        made = [
            await content.draft(tx, home.caller, workspace_id=workspace.id, draft=Draft(title, "x")) for title in titles
        ]

    seen: list[Post] = []
    after = None
    while True:
        async with database.transaction(home.reach) as tx:
            found = await content.page(tx, home.caller, where=PostFilter(), turn=Turn(sort, after, limit=2))
        assert found.total == 5
        seen += found.posts
        after = found.next_position
        if after is None:
            break

    assert len(seen) == 5
    assert {post.id for post in seen} == {post.id for post in made}
    if sort.endswith("title"):
        lowered = [post.title.lower() for post in seen]
        assert lowered == sorted(lowered, reverse=sort.startswith("-"))
    else:
        assert [post.id for post in seen] == sorted((p.id for p in made), reverse=sort.startswith("-"))


async def test_a_list_is_narrowed_by_workspace_state_words_and_run(database: Database) -> None:
    home = await an_agency(database)
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    run = new_id("inv")
    first = await a_post(database, home, one.id, replace(PLAIN, title="100% Oats_"), run_id=run)
    second = await a_post(database, home, one.id, replace(PLAIN, keyword="Rye bread"))
    third = await a_post(database, home, two.id)
    await done(database, home, content.submit, second.id)

    async def ids(**where: Any) -> set[str]:
        found = await done(database, home, content.page, where=PostFilter(**where), turn=Turn(counts_all=True))
        assert found.total == len(found.posts)
        return {post.id for post in found.posts}

    assert await ids() == {first.id, second.id, third.id}
    assert await ids(workspace_id=one.id) == {first.id, second.id}
    assert await ids(statuses=(PostStatus.IN_REVIEW,)) == {second.id}
    assert await ids(q="100% oats_") == {first.id}
    assert await ids(q="%") == {first.id}
    assert await ids(q="rye") == {second.id}
    assert await ids(run_id=run) == {first.id}


async def test_an_approver_sees_what_would_be_published(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    post = await a_post(database, home, workspace.id)

    shown = content.preview(post)
    assert shown["title"] == "Hello world"
    assert shown["outline"] == ["Why", "How"]
    assert shown["workspaceId"] == workspace.id
    assert set(content.EDITABLE) <= set(shown)


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
