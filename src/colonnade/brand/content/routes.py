"""How HTTP says posts: shapes in and out, one route per verb."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.brand import content
from colonnade.brand.content import Draft, Post, PostFilter, PostStatus, Revision, Turn
from colonnade.brand.content.model import (
    BODY_MOST,
    DESCRIPTION_MOST,
    LABEL_MOST,
    OUTLINE_MOST,
    SLUG_MOST,
    TITLE_MOST,
)
from colonnade.ground.web import (
    Body,
    Instant,
    PageOf,
    Place,
    Shown,
    Who,
    access,
    call_of,
    entity_tag,
    examples,
    router,
)

Title = Annotated[str, Field(min_length=1, max_length=TITLE_MOST)]
Slug = Annotated[str, Field(max_length=SLUG_MOST, description="Words of a-z and 0-9 joined by hyphens.")]
Outline = Annotated[list[Title], Field(max_length=OUTLINE_MOST, description="The headings, in order.")]
Markdown = Annotated[str, Field(max_length=BODY_MOST, description="Markdown; raw HTML is shown as text.")]
Description = Annotated[str, Field(max_length=DESCRIPTION_MOST)]
Label = Annotated[str, Field(max_length=LABEL_MOST)]
Sort = Literal["-createdAt", "createdAt", "-updatedAt", "updatedAt", "title", "-title"]

routes = router("Posts")


class WritePost(Body):
    """A new post."""

    model_config = examples(
        {
            "title": "How to plan a sprint that survives Monday",
            "body": "## Begin with capacity\n\nCount hours before you count points.",
            "outline": ["Begin with capacity"],
            "metaDescription": "Plan from capacity, not from hope.",
            "keyword": "sprint planning",
        }
    )
    title: Title
    body: Markdown
    outline: Outline | None = None
    meta_description: Description | None = None
    slug: Slug | None = Field(None, description="Absent: made from the title. Taken: `-2`, `-3`, … is added.")
    model: Label | None = Field(None, description="The model that wrote it, if one did.")
    keyword: Label | None = None
    topic: Label | None = None

    def draft(self) -> Draft:
        """What is to be written."""
        return Draft(
            title=self.title,
            body=self.body,
            outline=self.outline or (),
            meta_description=self.meta_description or "",
            slug=self.slug,
            model=self.model,
            keyword=self.keyword,
            topic=self.topic,
        )


class ChangePost(Body):
    """A merge patch (RFC 7396) of a post; null takes an optional field away, and makes a new slug from the title."""

    model_config = examples({"title": "Sprint planning that survives Monday", "slug": None})
    title: Title | None = None
    body: Markdown | None = None
    outline: Outline | None = None
    meta_description: Description | None = None
    slug: Slug | None = None
    model: Label | None = None
    keyword: Label | None = None
    topic: Label | None = None


class PostShown(Shown):
    """A post."""

    id: str
    workspace_id: str
    invocation_id: str | None = Field(description="The run that wrote it, if one did.")
    title: str
    slug: str
    outline: Sequence[str]
    body: str
    meta_description: str
    model: str | None
    keyword: str | None
    topic: str | None
    status: PostStatus
    revision: int = Field(description="The number of the present text.")
    published_url: str | None = Field(description="`file:` for pages in the data folder, else what the receiver named.")
    published_at: Instant | None
    published_revision: int | None = Field(description="The number of the text that is public.")
    rejected_reason: str | None
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, post: Post) -> "PostShown":
        """The post as callers read it."""
        text = post.writing
        return cls(
            id=post.id,
            workspace_id=post.workspace_id,
            invocation_id=post.run_id,
            title=text.title,
            slug=text.slug,
            outline=text.outline,
            body=text.body,
            meta_description=text.meta_description,
            model=text.model,
            keyword=text.keyword,
            topic=text.topic,
            status=post.status,
            revision=post.revision,
            published_url=post.published_url,
            published_at=post.published_at,
            published_revision=post.published_revision,
            rejected_reason=post.rejected_reason,
            created_at=post.created_at,
            updated_at=post.updated_at,
        )


class RevisionShown(Shown):
    """One text that a post has had; it never changes."""

    id: str
    post_id: str
    workspace_id: str
    revision: int
    title: str
    slug: str
    outline: Sequence[str]
    body: str
    meta_description: str
    model: str | None
    author: str = Field(description="The key, member or invocation that wrote it.")
    reason: Literal["written", "edited", "approved_with_edits"]
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, revision: Revision) -> "RevisionShown":
        """The revision as callers read it."""
        return cls(
            id=revision.id,
            post_id=revision.post_id,
            workspace_id=revision.workspace_id,
            revision=revision.number,
            title=revision.title,
            slug=revision.slug,
            outline=revision.outline,
            body=revision.body,
            meta_description=revision.meta_description,
            model=revision.model,
            author=revision.author,
            reason=revision.reason,
            created_at=revision.at,
            updated_at=revision.at,
        )


class ListPosts(Body):
    """Which posts, in which order."""

    scope: Literal["workspace", "agency"] = "workspace"
    status: list[PostStatus] = Field(default_factory=list, description="May stand several times.")
    q: str | None = Field(None, max_length=200, description="Words in the title, the slug or the keyword.")
    invocation_id: str | None = Field(None, max_length=100)
    sort: Sort = "-createdAt"
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None


class ListRevisions(Body):
    """Which part of a post's texts, from the newest on."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None


@routes.get("/v1/posts", response_model=PageOf[PostShown])
@access(Who.ANY_KEY, "content:read", place=Place.LISTED)
async def list_posts(request: Request, query: Annotated[ListPosts, Query()]) -> Response:
    """List posts.

    Those of one workspace, or with `scope=agency` of all workspaces that the key reaches.
    """
    call = call_of(request)
    what = f"posts {query.sort}"
    where = PostFilter(statuses=tuple(query.status), q=query.q or None, run_id=query.invocation_id)
    turn = Turn(query.sort, call.cursor(what, query.cursor), query.limit, query.count == "exact")
    async with call.reading() as tx:
        found = await content.page(tx, call.caller, where=where, turn=turn)
    following = None if found.next_position is None else list(found.next_position)
    shown = PageOf[PostShown](
        data=[PostShown.of(post) for post in found.posts],
        next_cursor=call.next_cursor(what, following),
        total=found.total,
    )
    return call.answer(200, shown)


@routes.post("/v1/posts", status_code=201, response_model=PostShown)
@access(Who.ANY_KEY, "content:write", place=Place.NAMED)
async def write_post(request: Request, body: WritePost) -> Response:
    """Write a post.

    It begins as a draft. Runs take posts through review to publishing; a post that was written here can be read,
    changed and used by them.
    """
    call = call_of(request)
    async with call.writing() as tx:
        post = await content.draft(tx, call.caller, workspace_id=call.caller.the_workspace(), draft=body.draft())
        headers = {"Location": f"/v1/posts/{post.id}", **entity_tag(post.version)}
        return call.answer(201, PostShown.of(post), headers=headers)


@routes.get("/v1/posts/{post_id}", response_model=PostShown)
@access(Who.ANY_KEY, "content:read", place=Place.ROW)
async def read_post(request: Request, post_id: str) -> Response:
    """Read a post."""
    call = call_of(request)
    async with call.reading() as tx:
        post = await content.get(tx, call.caller, post_id)
    return call.answer(200, PostShown.of(post), headers=entity_tag(post.version))


@routes.patch("/v1/posts/{post_id}", response_model=PostShown)
@access(Who.ANY_KEY, "content:write", place=Place.ROW)
async def change_post(request: Request, post_id: str, body: ChangePost) -> Response:
    """Change a post.

    Each change is a new revision. An approved or rejected post is a draft again; one under review or published keeps
    its text.
    """
    call = call_of(request)
    async with call.writing() as tx:
        post = await content.update(
            tx, call.caller, post_id, patch=body.sent_json(), expected_version=call.expected_version()
        )
        return call.answer(200, PostShown.of(post), headers=entity_tag(post.version))


@routes.delete("/v1/posts/{post_id}", status_code=204)
@access(Who.ANY_KEY, "content:write", place=Place.ROW)
async def delete_post(request: Request, post_id: str) -> Response:
    """Delete a post.

    One that waits for an approval or is published cannot be deleted.
    """
    call = call_of(request)
    async with call.writing() as tx:
        await content.delete(tx, call.caller, post_id, expected_version=call.expected_version())
        return call.answer(204)


_REVISIONS: Final = "revisions of"


@routes.get("/v1/posts/{post_id}/revisions", response_model=PageOf[RevisionShown])
@access(Who.ANY_KEY, "content:read", place=Place.ROW)
async def list_revisions(request: Request, post_id: str, query: Annotated[ListRevisions, Query()]) -> Response:
    """List a post's revisions.

    Every text that it has had, the newest first.
    """
    call = call_of(request)
    what = f"{_REVISIONS} {post_id}"
    position = call.cursor(what, query.cursor)
    async with call.reading() as tx:
        kept, total = await content.revisions(
            tx, call.caller, post_id, before=None if position is None else position[0], limit=query.limit
        )
    following = [kept[-1].number] if kept and kept[-1].number > 1 else None
    shown = PageOf[RevisionShown](
        data=[RevisionShown.of(revision) for revision in kept],
        next_cursor=call.next_cursor(what, following),
        total=total,
    )
    return call.answer(200, shown)
