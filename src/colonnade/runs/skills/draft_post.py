"""The skill `draft_post`: writes an article about the brand, has it approved, and publishes it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from colonnade.brand import content
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadFields, FieldError
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body, Flag
from colonnade.runs.skills.model import Article, Decision, JsonObject, RunContext, Skill, StoppedByDecision

_WHY: Final = "The post will be public once it is approved."

Line = Annotated[str, Field(min_length=1, max_length=200)]


class DraftPostInput(Body):
    """What a post is to be about; with nothing given, the brand's own keywords and description decide."""

    topic: Line | None = Field(None, description="What the post is about.")
    keyword: Line | None = Field(None, description="The keyword that it is to be found by.")
    instructions: Annotated[str, Field(min_length=1, max_length=6000)] | None = Field(
        None, description="Wishes for subject, angle, length or tone."
    )
    publish: Flag = Field(True, description="Publish it once it is approved; false leaves it as a draft.")


async def run(ctx: RunContext) -> JsonObject:
    """Write, save, ask, publish."""
    wish = ctx.input
    article = await ctx.write_article(
        "write", topic=wish.get("topic"), keyword=wish.get("keyword"), instructions=wish.get("instructions")
    )
    wants_publishing = wish.get("publish", True)
    preview = await _save(ctx, article, wants_publishing=wants_publishing)
    if not wants_publishing:
        return _result(preview, "DRAFT", article.model)
    decision = await ctx.approve("publish", step="approval", preview=preview, reason=_WHY)
    if not decision.approved:
        await _reject(ctx, preview, decision)
        raise StoppedByDecision(decision, _result(preview, "REJECTED", article.model))
    approved = await _approve(ctx, preview, decision)
    published = await ctx.publish("publish", post_id=preview["postId"], revision=approved["revision"])
    return {**_result(approved, "PUBLISHED", article.model), "publishedUrl": published.url}


async def _save(ctx: RunContext, article: Article, *, wants_publishing: bool) -> JsonObject:
    async def save(tx: Tx, caller: Caller) -> JsonObject:
        post = await content.draft(
            tx, caller, workspace_id=ctx.workspace_id, draft=_draft_of(ctx, article), run_id=ctx.run_id, run_step="save"
        )
        if wants_publishing and post.status is content.PostStatus.DRAFT:
            post = await content.submit(tx, caller, post.id)
        return content.preview(post)

    return await ctx.command("save", "Saved the post as a draft", save)


def _draft_of(ctx: RunContext, article: Article) -> content.Draft:
    return content.Draft(
        title=article.title,
        body=article.body,
        outline=article.outline,
        meta_description=article.meta_description,
        slug=article.slug,
        model=article.model,
        keyword=ctx.input.get("keyword"),
        topic=ctx.input.get("topic"),
    )


async def _approve(ctx: RunContext, preview: JsonObject, decision: Decision) -> JsonObject:
    async def approve(tx: Tx, caller: Caller) -> JsonObject:
        post = await content.approve(tx, caller, preview["postId"], edits=decision.edits)
        return content.preview(post)

    summary = "Approved the post with edits" if decision.edits else "Approved the post"
    return await ctx.command("approve", summary, approve)


async def _reject(ctx: RunContext, preview: JsonObject, decision: Decision) -> None:
    reason = "Nobody decided in time." if decision.expired else decision.reason

    async def reject(tx: Tx, caller: Caller) -> bool:
        await content.reject(tx, caller, preview["postId"], reason=reason)
        return True

    await ctx.command("reject", "Put the rejected post aside", reject)


def _result(post: JsonObject, status: str, model: str) -> JsonObject:
    return {
        "postId": post["postId"],
        "title": post["title"],
        "slug": post["slug"],
        "status": status,
        "publishedUrl": None,
        "model": model,
    }


def check_edits(preview: Mapping[str, Any], edits: Any) -> list[FieldError]:
    """What is wrong with an approver's edits: another field than the texts, or a text that no post may have."""
    try:
        content.edited(_writing_of(preview), edits, content.EDITABLE)
    except BadFields as refusal:
        return list(refusal.errors)
    return []


def _writing_of(preview: Mapping[str, Any]) -> content.Writing:
    return content.Writing(
        title=preview["title"],
        slug=preview["slug"],
        outline=tuple(preview["outline"]),
        body=preview["body"],
        meta_description=preview["metaDescription"],
        model=preview["model"],
        keyword=preview["keyword"],
        topic=preview["topic"],
    )


async def let_go(tx: Tx, caller: Caller, run_id: str) -> None:
    """A post that waited for the decision of a run which is no more is a draft again."""
    where = content.PostFilter(run_id=run_id, statuses=(content.PostStatus.IN_REVIEW,))
    for post in (await content.page(tx, caller, where=where, turn=content.Turn())).posts:
        await content.withdraw(tx, caller, post.id)


DRAFT_POST: Final = Skill(
    slug="draft_post",
    name="Draft a post",
    description="Writes a blog post from the brand's profile, has it approved, and publishes it.",
    version=1,
    input_model=DraftPostInput,
    gates=("publish",),
    features={"generation": 1, "publish": 1},
    seconds=60,
    run=run,
    check_edits=check_edits,
    let_go=let_go,
)
