"""How HTTP says approvals: the inbox, one of them, and the words yes, no and by the way."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.db.database import Tx
from colonnade.ground.web import (
    Body,
    Call,
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
from colonnade.runs import approvals
from colonnade.runs.approvals.model import Approval, ApprovalFilter, ApprovalStatus, Comment, Ruling

routes = router("Approvals")

EnsureRun = Callable[[Tx, str], Awaitable[None]]
"""Refuses a run that is not there or out of reach."""

ENSURE_RUN: Final = "ensure_run"
"""The name under which the application's state holds it: runs lie above approvals."""

Reason = Annotated[str, Field(min_length=1, max_length=2000)]
AnyCase = Annotated[ApprovalStatus, BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)]


class CommentShown(Shown):
    """Something said about an approval."""

    author: str
    text: str
    created_at: Instant

    @classmethod
    def of(cls, said: Comment) -> "CommentShown":
        """The comment as callers read it."""
        return cls(author=said.author, text=said.text, created_at=said.at)


class DecisionShown(Shown):
    """Who ended an approval, when and with which words."""

    by: str | None = Field(description="The key or member; null when the time ran out.")
    at: Instant
    reason: str | None
    edits: dict[str, Any] | None


class ApprovalShown(Shown):
    """What a run asks, and what was said to it."""

    approval_id: str
    invocation_id: str
    workspace_id: str
    skill: str
    gate: str
    step: str
    preview: dict[str, Any] = Field(description="What the run proposes.")
    reason: str
    routed_to: Sequence[str]
    status: ApprovalStatus
    decision: DecisionShown | None
    approved: dict[str, Any] | None = Field(description="The very version that may be acted on.")
    comments: Sequence[CommentShown] | None = Field(None, description="On single reads.")
    raised_at: Instant
    timeout_at: Instant
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, approval: Approval, said: Sequence[Comment] | None = None) -> "ApprovalShown":
        """The approval as callers read it."""
        return cls(
            approval_id=approval.id,
            invocation_id=approval.run_id,
            workspace_id=approval.workspace_id,
            skill=approval.skill,
            gate=approval.gate,
            step=approval.step,
            preview=dict(approval.preview),
            reason=approval.reason,
            routed_to=approval.routed_to,
            status=approval.status,
            decision=_decision(approval),
            approved=None if approval.approved is None else dict(approval.approved),
            comments=None if said is None else [CommentShown.of(one) for one in said],
            raised_at=approval.raised_at,
            timeout_at=approval.timeout_at,
            created_at=approval.raised_at,
            updated_at=approval.updated_at,
        )


def _decision(approval: Approval) -> DecisionShown | None:
    if approval.decided_at is None:
        return None
    edits = None if approval.edits is None else dict(approval.edits)
    return DecisionShown(by=approval.decided_by, at=approval.decided_at, reason=approval.decision_reason, edits=edits)


class ListApprovals(Body):
    """Which approvals of the inbox; those that wait, unless asked for others."""

    scope: Literal["workspace", "agency"] = "workspace"
    status: list[AnyCase] = Field(["PENDING"], description="May stand several times.")
    skill: str | None = Field(None, max_length=100)
    routed_to: str | None = Field(None, max_length=320)
    raised_after: Instant | None = None
    raised_before: Instant | None = None
    tag: str | None = Field(None, max_length=200, description="A tag of the workspace.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None

    def where(self) -> ApprovalFilter:
        """The filter of the slice."""
        return ApprovalFilter(
            statuses=tuple(self.status),
            skill=self.skill,
            routed_to=self.routed_to,
            raised_after=self.raised_after,
            raised_before=self.raised_before,
            tag=self.tag,
        )


class Approve(Body):
    """A yes."""

    model_config = examples({}, {"edits": {"title": "A fair comparison, in numbers"}, "reason": "With a better title."})
    edits: dict[str, Any] | None = Field(None, description="A merge patch (RFC 7396) on the preview.")
    reason: Reason | None = None


class Reject(Body):
    """A no."""

    model_config = examples({"reason": "Not our voice."})
    reason: Reason | None = None


class Say(Body):
    """A remark that decides nothing."""

    model_config = examples({"text": "Legal has read it."})
    text: Annotated[str, Field(min_length=1, max_length=5000)]


@routes.get("/v1/agent/approvals", response_model=PageOf[ApprovalShown])
@access(Who.ANY_KEY, "approvals:read", place=Place.LISTED)
async def list_approvals(request: Request, query: Annotated[ListApprovals, Query()]) -> Response:
    """List approvals.

    What waits for a decision in one workspace, or with `scope=agency` in all that the key reaches; the newest first.
    """
    call = call_of(request)
    position = call.cursor("approvals", query.cursor)
    async with call.reading() as tx:
        found, more, total = await approvals.page(
            tx,
            call.caller,
            query.where(),
            limit=query.limit,
            after_id=position[0] if position else None,
            exact=query.count == "exact",
        )
    shown = PageOf[ApprovalShown](
        data=[ApprovalShown.of(approval) for approval in found],
        next_cursor=call.next_cursor("approvals", [found[-1].id] if more else None),
        total=total,
    )
    return call.answer(200, shown)


@routes.get("/v1/agent/approvals/{approval_id}", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:read", place=Place.ROW)
async def read_approval(request: Request, approval_id: str) -> Response:
    """Read an approval, with what was said about it."""
    call = call_of(request)
    async with call.reading() as tx:
        approval = await approvals.get(tx, call.caller, approval_id)
        said = await approvals.comments(tx, call.caller, approval_id)
    return call.answer(200, ApprovalShown.of(approval, said), headers=entity_tag(approval.version))


@routes.post("/v1/agent/approvals/{approval_id}/approve", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def approve(request: Request, approval_id: str, body: Approve) -> Response:
    """Approve, perhaps with edits.

    The run goes on with exactly the version that is approved. A second decision is 409.
    """
    call = call_of(request)
    async with call.writing() as tx:
        return await _decided(call, tx, approval_id, Ruling(approve=True, edits=body.edits, reason=body.reason))


@routes.post("/v1/agent/approvals/{approval_id}/reject", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def reject(request: Request, approval_id: str, body: Reject) -> Response:
    """Reject.

    The run ends; what it proposed is never acted on.
    """
    call = call_of(request)
    async with call.writing() as tx:
        return await _decided(call, tx, approval_id, Ruling(approve=False, reason=body.reason))


@routes.post("/v1/agent/approvals/{approval_id}/comment", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def comment(request: Request, approval_id: str, body: Say) -> Response:
    """Say something about an approval without deciding it."""
    call = call_of(request)
    async with call.writing() as tx:
        approval = await approvals.comment(tx, call.caller, approval_id, body.text)
        said = await approvals.comments(tx, call.caller, approval_id) if call.caller.holds("approvals:read") else None
        return call.answer(200, ApprovalShown.of(approval, said))


@routes.post("/v1/agent/invocations/{invocation_id}/approve", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def approve_invocation(request: Request, invocation_id: str, body: Approve) -> Response:
    """Approve what an invocation waits for."""
    call = call_of(request)
    async with call.writing() as tx:
        await _ensure_run(call)(tx, invocation_id)
        waiting = await approvals.pending_of(tx, call.caller, invocation_id)
        return await _decided(call, tx, waiting, Ruling(approve=True, edits=body.edits, reason=body.reason))


@routes.post("/v1/agent/invocations/{invocation_id}/reject", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def reject_invocation(request: Request, invocation_id: str, body: Reject) -> Response:
    """Reject what an invocation waits for."""
    call = call_of(request)
    async with call.writing() as tx:
        await _ensure_run(call)(tx, invocation_id)
        waiting = await approvals.pending_of(tx, call.caller, invocation_id)
        return await _decided(call, tx, waiting, Ruling(approve=False, reason=body.reason))


def _ensure_run(call: Call) -> EnsureRun:
    ensure: EnsureRun = getattr(call.request.app.state, ENSURE_RUN)
    return ensure


async def _decided(call: Call, tx: Tx, approval_id: str, ruling: Ruling) -> Response:
    """The answer to a decision."""
    approval = await approvals.decide(tx, call.caller, approval_id, ruling)
    return call.answer(200, ApprovalShown.of(approval), headers=entity_tag(approval.version))
