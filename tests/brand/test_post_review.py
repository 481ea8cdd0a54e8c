"""The way of a post through review to being public."""

import asyncio

import pytest

from colonnade.brand import content
from colonnade.brand.content import Post, PostStatus
from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.db.database import Database
from tests.brand.posting import AT, a_post, audited, done, refused
from tests.factories import a_workspace, an_agency


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


async def test_an_approver_sees_what_would_be_published(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    post = await a_post(database, home, workspace.id)

    shown = content.preview(post)
    assert shown["title"] == "Hello world"
    assert shown["outline"] == ["Why", "How"]
    assert shown["workspaceId"] == workspace.id
    assert set(content.EDITABLE) <= set(shown)


async def test_an_approval_with_edits_that_is_repeated_is_one_approval(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)
    edits = {"title": "Approved title", "slug": None}

    approved = await done(database, home, content.approve, post.id, edits=edits)
    again = await done(database, home, content.approve, post.id, edits=edits)

    assert again == approved
    assert await refused(database, home, content.approve, post.id, edits={"title": "Other"}) == "posts.wrong_state"
    assert await audited(database, home, post.id) == ["posts.created", "posts.submitted", "posts.approved"]


async def test_of_two_decisions_at_the_same_moment_one_holds(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    post = await a_post(database, home, workspace.id)
    await done(database, home, content.submit, post.id)

    outcomes = await asyncio.gather(
        done(database, home, content.approve, post.id, edits={"title": "Yes"}),
        done(database, home, content.reject, post.id, reason="No"),
        return_exceptions=True,
    )

    [held] = [outcome for outcome in outcomes if isinstance(outcome, Post)]
    [refusal] = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert refusal.reason == "posts.wrong_state"
    assert await done(database, home, content.get, post.id) == held
