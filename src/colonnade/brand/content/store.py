"""How posts are kept: SQL in, nouns out. No decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from colonnade.brand.content.model import Move, Post, PostFilter, PostStatus, Revision, RevisionReason, Writing
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Record, Tx

# Every text names the agency and, through the reach of the transaction, the workspaces.
_HERE: Final = "agency_id = $1 and ($2::text[] is null or workspace_id = any($2))"

_POST: Final = """id, workspace_id, run_id, title, slug, outline, body, meta_description, model, keyword, topic, status,
    revision, version, published_url, published_at, published_revision, rejected_reason, created_at, updated_at"""


class Order(NamedTuple):
    """One sort order of the list: the expression, its type, and which way."""

    expression: str
    type: str
    is_descending: bool


ORDERS: Final[Mapping[str, Order]] = {
    "-createdAt": Order("created_at", "timestamptz", True),
    "createdAt": Order("created_at", "timestamptz", False),
    "-updatedAt": Order("updated_at", "timestamptz", True),
    "updatedAt": Order("updated_at", "timestamptz", False),
    "title": Order('lower(title) collate "C"', "text", False),
    "-title": Order('lower(title) collate "C"', "text", True),
}
"""Every order that the list of posts can have."""


@dataclass(frozen=True, slots=True)
class NewPost:
    """A post that is about to be kept for the first time."""

    workspace_id: str
    writing: Writing
    run_id: str | None
    run_step: str | None


class Placed(NamedTuple):
    """A post in a list, with the value that it is sorted by."""

    post: Post
    position: str


def _writing(row: Record) -> Writing:
    return Writing(
        title=row["title"],
        slug=row["slug"],
        outline=tuple(row["outline"]),
        body=row["body"],
        meta_description=row["meta_description"],
        model=row["model"],
        keyword=row["keyword"],
        topic=row["topic"],
    )


def _post(row: Record) -> Post:
    return Post(
        id=row["id"],
        workspace_id=row["workspace_id"],
        run_id=row["run_id"],
        writing=_writing(row),
        status=PostStatus(row["status"]),
        revision=row["revision"],
        version=row["version"],
        published_url=row["published_url"],
        published_at=row["published_at"],
        published_revision=row["published_revision"],
        rejected_reason=row["rejected_reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _revision(row: Record) -> Revision:
    return Revision(
        id=row["id"],
        post_id=row["post_id"],
        workspace_id=row["workspace_id"],
        number=row["number"],
        title=row["title"],
        slug=row["slug"],
        outline=tuple(row["outline"]),
        body=row["body"],
        meta_description=row["meta_description"],
        model=row["model"],
        author=row["author"],
        reason=row["reason"],
        at=row["at"],
    )


def _reach(tx: Tx) -> list[str] | None:
    return None if tx.reach.workspace_ids is None else list(tx.reach.workspace_ids)


SLUGS: Final = """
select slug from post
where agency_id = $1 and workspace_id = $2 and deleted_at is null and (slug = $3 or starts_with(slug, $3 || '-'))
"""


async def slugs_like(tx: Tx, workspace_id: str, slug: str) -> frozenset[str]:
    """The slugs in use that begin like this one."""
    rows = await tx.fetch(SLUGS, tx.agency_id, workspace_id, slug)
    return frozenset(row["slug"] for row in rows)


ADD: Final = f"""
insert into post (agency_id, workspace_id, id, run_id, run_step, title, slug, outline, body, meta_description, model,
                  keyword, topic, status, revision, version, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'DRAFT', 1, 1, now(), now())
on conflict do nothing
returning {_POST}
"""


async def add(tx: Tx, new: NewPost) -> Post | None:
    """The new post, or none when its slug or its step was taken in the meantime."""
    text = new.writing
    row = await tx.fetchrow(
        ADD,
        tx.agency_id,
        new.workspace_id,
        new_id("post"),
        new.run_id,
        new.run_step,
        *(text.title, text.slug, list(text.outline), text.body, text.meta_description),
        *(text.model, text.keyword, text.topic),
    )
    return None if row is None else _post(row)


FIND: Final = f"select {_POST} from post where {_HERE} and id = $3 and deleted_at is null"


async def find(tx: Tx, post_id: str) -> Post | None:
    """The post, if it is within reach and not deleted."""
    row = await tx.fetchrow(FIND, tx.agency_id, _reach(tx), post_id)
    return None if row is None else _post(row)


LOCK: Final = f"{FIND} for update"


async def lock(tx: Tx, post_id: str) -> Post | None:
    """The same, held against other writers until the transaction ends."""
    row = await tx.fetchrow(LOCK, tx.agency_id, _reach(tx), post_id)
    return None if row is None else _post(row)


FIND_STEP: Final = f"""
select {_POST} from post where agency_id = $1 and workspace_id = $2 and run_id = $3 and run_step = $4
"""


async def find_of_step(tx: Tx, new: NewPost) -> Post | None:
    """What this step of this run has written before; a post that was deleted since counts too."""
    row = await tx.fetchrow(FIND_STEP, tx.agency_id, new.workspace_id, new.run_id, new.run_step)
    return None if row is None else _post(row)


PUBLISHED_IN_FILES: Final = """
select id, published_url from post
where agency_id = $1 and workspace_id = $2 and starts_with(published_url, 'file:') and ($3::text is null or id > $3)
order by id limit $4
"""


async def published_in_files(tx: Tx, workspace_id: str, after: str | None, most: int) -> list[tuple[str, str]]:
    """Ids and addresses of the workspace's posts that came out as files, deleted ones too, behind the given one."""
    rows = await tx.fetch(PUBLISHED_IN_FILES, tx.agency_id, workspace_id, after, most)
    return [(row["id"], row["published_url"]) for row in rows]


REVISE: Final = f"""
update post
set title = $4, slug = $5, outline = $6, body = $7, meta_description = $8, model = $9, keyword = $10, topic = $11,
    status = $12, revision = revision + 1, version = version + 1, rejected_reason = null, updated_at = now()
where agency_id = $1 and workspace_id = $2 and id = $3 and deleted_at is null and status = any($13)
returning {_POST}
"""


async def revise(tx: Tx, post: Post, text: Writing, move: Move) -> Post:
    """The post with its next text and the state that the move leads to; the caller holds its lock."""
    try:
        row = await tx.fetchone(
            REVISE,
            *(tx.agency_id, post.workspace_id, post.id),
            *(text.title, text.slug, list(text.outline), text.body, text.meta_description),
            *(text.model, text.keyword, text.topic),
            move.target.value,
            [status.value for status in move.sources],
        )
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    return _post(row)


def _taken(error: asyncpg.UniqueViolationError) -> Exception:
    # asyncpg fills the attributes of its errors from the server's message, which its types do not tell.
    if getattr(error, "constraint_name", None) == "post_slug":
        return Refused("posts.slug_taken", "Another post of the workspace has this slug; choose another.")
    return error


MOVE: Final = f"""
update post
set status = $4, rejected_reason = $6, version = version + 1, updated_at = now()
where agency_id = $1 and workspace_id = $2 and id = $3 and deleted_at is null and status = any($5)
returning {_POST}
"""


async def move(tx: Tx, post: Post, step: Move, *, rejected_reason: str | None = None) -> Post:
    """The post in the state that the move leads to; the caller holds its lock."""
    sources = [status.value for status in step.sources]
    row = await tx.fetchone(MOVE, tx.agency_id, post.workspace_id, post.id, step.target.value, sources, rejected_reason)
    return _post(row)


PUBLISH: Final = f"""
update post
set status = $4, published_url = $6, published_at = $7, published_revision = $8, version = version + 1,
    updated_at = now()
where agency_id = $1 and workspace_id = $2 and id = $3 and deleted_at is null and status = any($5)
returning {_POST}
"""


@dataclass(frozen=True, slots=True)
class Appearance:
    """Where, when and in which revision a post came out."""

    url: str
    at: datetime
    revision: int


async def publish(tx: Tx, post: Post, step: Move, appearance: Appearance) -> Post:
    """The post as published; the caller holds its lock."""
    row = await tx.fetchone(
        PUBLISH,
        *(tx.agency_id, post.workspace_id, post.id),
        step.target.value,
        [status.value for status in step.sources],
        *(appearance.url, appearance.at, appearance.revision),
    )
    return _post(row)


DELETE: Final = """
update post set deleted_at = now(), updated_at = now(), version = version + 1
where agency_id = $1 and workspace_id = $2 and id = $3 and deleted_at is null
"""


async def delete(tx: Tx, post: Post) -> None:
    """Out of sight; its revisions stay as the record of what was written."""
    await tx.execute(DELETE, tx.agency_id, post.workspace_id, post.id)


ADD_REVISION: Final = """
insert into post_revision (agency_id, workspace_id, id, post_id, number, title, slug, outline, body, meta_description,
                           model, author, reason, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, now())
"""


async def add_revision(tx: Tx, post: Post, author: str, reason: RevisionReason) -> None:
    """Keep the post's present text for ever."""
    text = post.writing
    await tx.execute(
        ADD_REVISION,
        *(tx.agency_id, post.workspace_id, new_id("rev"), post.id, post.revision),
        *(text.title, text.slug, list(text.outline), text.body, text.meta_description, text.model),
        *(author, reason),
    )


REVISIONS: Final = f"""
select id, post_id, workspace_id, number, title, slug, outline, body, meta_description, model, author, reason, at
from post_revision
where {_HERE} and post_id = $3 and ($4::integer is null or number < $4)
order by number desc
limit $5
"""


async def revisions(tx: Tx, post_id: str, before: int | None, limit: int) -> list[Revision]:
    """The texts of a post, the newest first, below this number."""
    return [_revision(row) for row in await tx.fetch(REVISIONS, tx.agency_id, _reach(tx), post_id, before, limit)]


_WANTED: Final = f"""
{_HERE} and deleted_at is null
and ($3::text is null or workspace_id = $3)
and ($4::text[] is null or status = any($4))
and ($5::text is null or strpos(lower(title), lower($5)) > 0 or strpos(slug, lower($5)) > 0
     or strpos(lower(coalesce(keyword, '')), lower($5)) > 0)
and ($6::text is null or run_id = $6)
"""


def _wanted(tx: Tx, where: PostFilter) -> tuple[Any, ...]:
    statuses = [status.value for status in where.statuses] or None
    return (tx.agency_id, _reach(tx), where.workspace_id, statuses, where.q, where.run_id)


def _page_text(order: Order) -> str:
    sign, way = ("<", "desc") if order.is_descending else (">", "asc")
    return f"""
select {_POST}, ({order.expression})::text as position from post
where {_WANTED}
and ($7::text is null or ({order.expression}, id) {sign} ($7::text::{order.type}, $8::text))
order by {order.expression} {way}, id {way}
limit $9
"""


PAGES: Final = {name: _page_text(order) for name, order in ORDERS.items()}


async def page(tx: Tx, where: PostFilter, sort: str, after: tuple[str | None, str | None], limit: int) -> list[Placed]:
    """Posts in this order after this position."""
    rows = await tx.fetch(PAGES[sort], *_wanted(tx, where), *after, limit)
    return [Placed(_post(row), row["position"]) for row in rows]


COUNT: Final = f"select count(*) from (select from post where {_WANTED} limit $7) counted"


async def count(tx: Tx, where: PostFilter, most: int | None) -> int:
    """How many there are, without counting further than `most`."""
    counted: int = await tx.fetchval(COUNT, *_wanted(tx, where), most)
    return counted
