"""Posts in the database: writing, revising, deleting, listing."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from colonnade.brand import content
from colonnade.brand.content import Draft, Post, PostFilter, PostStatus, Turn
from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.refusals import BadFields
from colonnade.ground.db.database import Database
from tests.brand.posting import PLAIN, a_post, audited, done, refused
from tests.factories import a_workspace, an_agency


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
