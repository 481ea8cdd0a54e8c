"""Deciding by the invocation: whoever knows the run need not look up its approval."""

from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.web import Place, Who, access, call_of, router
from colonnade.runs import approvals, invocations
from colonnade.runs.approvals import Ruling
from colonnade.runs.approvals.routes import ApprovalShown, Approve, Reject, decided

routes = router("Approvals")


@routes.post("/v1/agent/invocations/{invocation_id}/approve", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def approve_invocation(request: Request, invocation_id: str, body: Approve) -> Response:
    """Approve what an invocation waits for."""
    call = call_of(request)
    async with call.writing() as tx:
        await invocations.ensure_in_reach(tx, invocation_id)
        waiting = await approvals.pending_of(tx, call.caller, invocation_id)
        return await decided(call, tx, waiting, Ruling(approve=True, edits=body.edits, reason=body.reason))


@routes.post("/v1/agent/invocations/{invocation_id}/reject", response_model=ApprovalShown)
@access(Who.ANY_KEY, "approvals:decide", place=Place.ROW)
async def reject_invocation(request: Request, invocation_id: str, body: Reject) -> Response:
    """Reject what an invocation waits for."""
    call = call_of(request)
    async with call.writing() as tx:
        await invocations.ensure_in_reach(tx, invocation_id)
        waiting = await approvals.pending_of(tx, call.caller, invocation_id)
        return await decided(call, tx, waiting, Ruling(approve=False, reason=body.reason))
