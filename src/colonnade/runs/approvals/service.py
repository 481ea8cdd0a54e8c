"""What can be done with approvals. Every end of one is a guarded change: the first decision stands."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.runs import skills
from colonnade.runs.approvals import store
from colonnade.runs.approvals.model import (
    Approval,
    ApprovalFilter,
    Comment,
    Question,
    Ruling,
    is_own_run,
    may_decide_own,
    routes_of,
)
from colonnade.tenancy import agencies, audit, workspaces

_WAKE_WORKERS: Final = "select pg_notify('colonnade_runs', '')"
_MOST_COUNTED: Final = 1000


async def raise_(tx: Tx, caller: Caller, *, run_id: str, question: Question) -> Approval:
    """Ask. A step of a run asks once: asked again, it gets the approval that is there, whatever became of it."""
    agency = await agencies.in_force(tx)
    routed = routes_of(agency.settings.get("approvalRules", {}), question.gate)
    approval = await store.add(tx, caller.the_workspace(), run_id, question, routed)
    if approval is None:
        return await store.of_step(tx, run_id, question.step)
    after = {"invocationId": run_id, "gate": approval.gate, "step": approval.step}
    await audit.record(tx, caller, "approvals.raised", approval.id, workspace_id=approval.workspace_id, after=after)
    return approval


async def get(tx: Tx, caller: Caller, approval_id: str) -> Approval:
    """The approval with this id; one out of reach is not found."""
    caller.require("approvals:read")
    return await _found(tx, approval_id)


async def page(
    tx: Tx, caller: Caller, where: ApprovalFilter, *, limit: int, after_id: str | None, exact: bool = False
) -> tuple[Sequence[Approval], bool, int | None]:
    """The newest first, whether there are more, and the total (none beyond a thousand unless asked for exactly)."""
    caller.require("approvals:read")
    found = await store.page(tx, where, limit=limit + 1, after_id=after_id)
    total = await store.count(tx, where, None if exact else _MOST_COUNTED)
    return found[:limit], len(found) > limit, total if exact or total <= _MOST_COUNTED else None


async def decide(tx: Tx, caller: Caller, approval_id: str, ruling: Ruling) -> Approval:
    """Say yes or no, once. A yes fixes the version that may be acted on: the preview, or the preview with the edits.

    Refused: a second decision (it tells the first), edits that the skill cannot take, and one's own run where the
    agency's rules for the gate say so. The run is told by a worker after the commit.
    """
    caller.require("approvals:decide")
    approval = await _found(tx, approval_id, locked=True)
    await workspaces.ensure_open(tx, approval.workspace_id)
    approval.require_pending()
    await _require_other_hands(tx, caller, approval)
    version = ruling.version_of(approval, skills.find(approval.skill).check_edits)
    said = {"approved": version, "edits": ruling.edits, "reason": ruling.reason, "rerun": ruling.rerun}
    decided = await store.settle(
        tx, approval.id, "APPROVED" if ruling.approve else "REJECTED", by=caller.actor_id, said=said
    )
    assert decided is not None, "a locked, pending approval could not be decided"
    event = "approvals.approved" if ruling.approve else "approvals.rejected"
    after = {"status": decided.status, "edits": ruling.edits, "reason": ruling.reason}
    await audit.record(
        tx,
        caller,
        event,
        approval.id,
        workspace_id=approval.workspace_id,
        before={"status": approval.status, "edits": None, "reason": None},
        after=after,
    )
    await tx.fetchval(_WAKE_WORKERS)
    return decided


async def expire(tx: Tx, caller: Caller, approval_id: str) -> Approval | None:
    """Nobody decided in time: that is a decision, too. None when somebody did after all."""
    said = {"reason": "Nobody decided in time."}
    expired = await store.settle(tx, approval_id, "EXPIRED", by=None, said=said)
    if expired is not None:
        await audit.record(tx, caller, "approvals.expired", expired.id, workspace_id=expired.workspace_id)
        await tx.fetchval(_WAKE_WORKERS)
    return expired


async def cancel_pending(tx: Tx, caller: Caller, run_id: str) -> Sequence[Approval]:
    """The run has ended, so its open questions have, too; nobody needs to be told."""
    ended = [
        await store.settle(tx, identity, "CANCELLED", by=caller.actor_id, said={}, told=True)
        for identity in await store.pending_ids(tx, run_id)
    ]
    return [approval for approval in ended if approval is not None]


async def mark_delivered(tx: Tx, approval_id: str) -> bool:
    """The run has been told; whether this call was the first to say so."""
    return await store.mark_delivered(tx, approval_id)


async def pending_of(tx: Tx, caller: Caller, run_id: str) -> str:
    """The id of the approval that this run waits for; refused when it waits for none."""
    caller.require("approvals:decide")
    identity = await store.pending_of(tx, run_id)
    if identity is None:
        raise Refused("runs.not_waiting", "This run does not wait for an approval.")
    return identity


async def find_pending(tx: Tx, run_id: str) -> str | None:
    """The id of the approval that this run waits for, if there is one; asks for no scope, the run's own verb does."""
    return await store.pending_of(tx, run_id)


async def comment(tx: Tx, caller: Caller, approval_id: str, text: str) -> Approval:
    """Say something about an approval without deciding it."""
    caller.require("approvals:decide")
    approval = await _found(tx, approval_id)
    await workspaces.ensure_open(tx, approval.workspace_id)
    await store.add_comment(tx, approval, caller.actor_id, text)
    await audit.record(tx, caller, "approvals.commented", approval.id, workspace_id=approval.workspace_id)
    return approval


async def comments(tx: Tx, caller: Caller, approval_id: str) -> Sequence[Comment]:
    """What was said about an approval, the oldest first."""
    caller.require("approvals:read")
    return await store.comments(tx, approval_id)


async def _found(tx: Tx, approval_id: str, *, locked: bool = False) -> Approval:
    approval = await store.find(tx, approval_id, locked=locked) if is_id("appr", approval_id) else None
    if approval is None:
        raise NotFound("approval")
    return approval


async def _require_other_hands(tx: Tx, caller: Caller, approval: Approval) -> None:
    if not is_own_run(approval, caller.actor_id):
        return
    rules: Mapping[str, Any] = (await agencies.in_force(tx)).settings.get("approvalRules", {})
    if not may_decide_own(rules, approval.gate):
        raise Refused(
            "approvals.own_run",
            f"This key started the run, and the agency's rules for `{approval.gate}` want somebody else to decide.",
            details={"gate": approval.gate},
        )
