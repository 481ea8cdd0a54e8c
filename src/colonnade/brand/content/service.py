"""What can be done with posts. One verb, one transaction, one audit record; a run uses the same verbs as people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from colonnade.brand.content import store
from colonnade.brand.content.model import (
    DELETABLE,
    EDITABLE,
    PATCHABLE,
    Draft,
    Move,
    Post,
    PostFilter,
    PostStatus,
    Revision,
    RevisionReason,
    Writing,
    edited,
    ensure_move,
    free_slug,
    one_line,
    refusal_of,
    with_slug,
    written,
)
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit, workspaces

COUNTED_MOST: Final = 1000
REASON_MOST: Final = 2000
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class PostPage:
    """Some posts of a list; where it goes on (none at the end); how many there are (none: more than we count)."""

    posts: Sequence[Post]
    next_position: tuple[str, str] | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Turn:
    """Which part of a list: its order, the position after which it goes on, how many, and whether to count them all."""

    sort: str = "-createdAt"
    after: Sequence[str] | None = None
    limit: int = 50
    counts_all: bool = False


async def draft(
    tx: Tx, caller: Caller, *, workspace_id: str, draft: Draft, run_id: str | None = None, run_step: str | None = None
) -> Post:
    """Write a new post. A slug that is taken gets `-2`, `-3`, … at its end.

    A step of a run that asks again gets the post that it wrote before, and nothing is recorded twice.
    """
    caller.require("content:write")
    await workspaces.ensure_open(tx, workspace_id)
    new = store.NewPost(workspace_id, written(draft), run_id, run_step)
    if run_step is not None and (before := await store.find_of_step(tx, new)):
        return before
    post = await _add(tx, new)
    await store.add_revision(tx, post, caller.actor_id, "written")
    await _record(tx, caller, "posts.created", post, after=_told(post))
    return post


async def _add(tx: Tx, new: store.NewPost) -> Post:
    wanted = new.writing.slug
    for _ in range(_TRIES):
        slug = free_slug(wanted, await store.slugs_like(tx, new.workspace_id, wanted))
        post = await store.add(
            tx, store.NewPost(new.workspace_id, with_slug(new.writing, slug), new.run_id, new.run_step)
        )
        if post is not None:
            return post
    raise Refused("posts.slug_taken", "Many posts with this slug are being written right now; try again.")


async def get(tx: Tx, caller: Caller, post_id: str) -> Post:
    """The post as it stands."""
    caller.require("content:read")
    return _found(await store.find(tx, post_id))


async def page(tx: Tx, caller: Caller, *, where: PostFilter, turn: Turn) -> PostPage:
    """Posts of one workspace, or of all that the caller reaches, in a stable order."""
    caller.require("content:read")
    after = (turn.after[0], turn.after[1]) if turn.after else (None, None)
    found = await store.page(tx, where, turn.sort, after, turn.limit + 1)
    shown = found[: turn.limit]
    last = (shown[-1].position, shown[-1].post.id) if len(found) > turn.limit else None
    counted = await store.count(tx, where, None if turn.counts_all else COUNTED_MOST + 1)
    total = counted if turn.counts_all or counted <= COUNTED_MOST else None
    return PostPage([placed.post for placed in shown], last, total)


async def revisions(
    tx: Tx, caller: Caller, post_id: str, *, before: int | None = None, limit: int = 50
) -> tuple[Sequence[Revision], int]:
    """Every text that the post has had, the newest first, and how many there are in all."""
    caller.require("content:read")
    post = _found(await store.find(tx, post_id))
    return await store.revisions(tx, post.id, before, limit), post.revision


async def update(
    tx: Tx, caller: Caller, post_id: str, *, patch: Mapping[str, Any], expected_version: int | None = None
) -> Post:
    """Change a post by a merge patch (RFC 7396) and keep the new text as its next revision.

    An approved or rejected post is a draft again, for nobody has approved the new text. Refused while the post waits
    for an approval and once it is published. A patch that changes nothing is no revision.
    """
    caller.require("content:write")
    post = await _locked(tx, post_id)
    if expected_version is not None and post.version != expected_version:
        raise Refused("request.precondition_failed", "The post has changed since you read it; read it again.")
    move = ensure_move(post, "edit")
    text = edited(post.writing, patch, PATCHABLE)
    if text == post.writing:
        return post
    revised = await _revise(tx, caller, post, text, move, "edited")
    await _record(tx, caller, "posts.updated", revised, before=_told(post), after=_told(revised))
    return revised


async def delete(tx: Tx, caller: Caller, post_id: str, *, expected_version: int | None = None) -> None:
    """Delete a post that is not public and not under review; its slug is free again."""
    caller.require("content:write")
    post = await _locked(tx, post_id)
    if expected_version is not None and post.version != expected_version:
        raise Refused("request.precondition_failed", "The post has changed since you read it; read it again.")
    if post.status not in DELETABLE:
        raise refusal_of(post, "delete")
    await store.delete(tx, post)
    await _record(tx, caller, "posts.deleted", post, before=_told(post))


async def submit(tx: Tx, caller: Caller, post_id: str) -> Post:
    """Put a draft before an approver; until the decision its text stands still. Submitting twice is submitting once."""
    caller.require("content:write")
    return await _moved(tx, caller, post_id, "submit", "posts.submitted")


async def withdraw(tx: Tx, caller: Caller, post_id: str) -> Post:
    """Take a post back from review undecided, as when its run was cancelled. Doing it twice is doing it once."""
    caller.require("content:write")
    return await _moved(tx, caller, post_id, "withdraw", "posts.withdrawn")


async def approve(tx: Tx, caller: Caller, post_id: str, *, edits: Mapping[str, Any] | None = None) -> Post:
    """Approve what was shown, or what the edits (a merge patch over its texts) make of it: then that is a new revision.

    Approving again with the same edits changes nothing.
    """
    caller.require("approvals:decide")
    post = await _locked(tx, post_id)
    text = post.writing if edits is None else edited(post.writing, edits, EDITABLE)
    if post.status is PostStatus.APPROVED and text == post.writing:
        return post
    move = ensure_move(post, "approve")
    if text == post.writing:
        approved = await store.move(tx, post, move)
    else:
        approved = await _revise(tx, caller, post, text, move, "approved_with_edits")
    await _record(tx, caller, "posts.approved", approved, before=_told(post), after=_told(approved))
    return approved


async def reject(tx: Tx, caller: Caller, post_id: str, *, reason: str | None = None) -> Post:
    """Turn down what was shown, with a reason for whoever writes next. Rejecting twice keeps the first reason."""
    caller.require("approvals:decide")
    post = await _locked(tx, post_id)
    if post.status is PostStatus.REJECTED:
        return post
    why = _reason(reason)
    rejected = await store.move(tx, post, ensure_move(post, "reject"), rejected_reason=why)
    await _record(tx, caller, "posts.rejected", rejected, before=_told(post), after={**_told(rejected), "reason": why})
    return rejected


async def mark_published(
    tx: Tx, caller: Caller, post_id: str, *, url: str, at: datetime, revision: int | None = None
) -> Post:
    """Keep that the post came out at this address, and in which revision (the present one, if none is told).

    Told again, the first time stands.
    """
    caller.require("content:write")
    post = await _locked(tx, post_id)
    if post.status is PostStatus.PUBLISHED:
        return post
    appearance = store.Appearance(url, at, revision or post.revision)
    published = await store.publish(tx, post, ensure_move(post, "publish"), appearance)
    after = {**_told(published), "publishedUrl": url, "publishedAt": format_instant(at)}
    await _record(tx, caller, "posts.published", published, before=_told(post), after=after)
    return published


async def _moved(tx: Tx, caller: Caller, post_id: str, name: str, event: str) -> Post:
    post = await _locked(tx, post_id)
    if name == "submit" and post.status is PostStatus.IN_REVIEW:
        return post
    if name == "withdraw" and post.status is PostStatus.DRAFT:
        return post
    moved = await store.move(tx, post, ensure_move(post, name))
    await _record(tx, caller, event, moved, before=_told(post), after=_told(moved))
    return moved


async def _locked(tx: Tx, post_id: str) -> Post:
    post = _found(await store.lock(tx, post_id))
    await workspaces.ensure_open(tx, post.workspace_id)
    return post


async def _revise(tx: Tx, caller: Caller, post: Post, text: Writing, move: Move, reason: RevisionReason) -> Post:
    revised = await store.revise(tx, post, text, move)
    await store.add_revision(tx, revised, caller.actor_id, reason)
    return revised


def _found(post: Post | None) -> Post:
    if post is None:
        raise NotFound("post")
    return post


def _reason(text: str | None) -> str | None:
    if text is not None and len(text) > REASON_MOST:
        raise BadField("/reason", f"must have at most {REASON_MOST} characters")
    return None if text is None else one_line(text) or None


def _told(post: Post) -> dict[str, Any]:
    # The audit log names the revision; the texts themselves lie in the revisions, once.
    return {"title": post.title, "slug": post.slug, "status": post.status.value, "revision": post.revision}


async def _record(
    tx: Tx,
    caller: Caller,
    event: str,
    post: Post,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    await audit.record(
        tx,
        caller,
        event,
        post.id,
        workspace_id=post.workspace_id,
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
    )
