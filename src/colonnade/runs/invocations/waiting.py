"""Waiting for people: a gate's question becomes an approval and parks the run; its decision lets the run go on."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_instant
from colonnade.ground.db.database import Tx
from colonnade.runs import approvals
from colonnade.runs.approvals import Approval
from colonnade.runs.engine.model import Cancelled
from colonnade.runs.invocations import moves, store
from colonnade.runs.invocations.model import Run, RunState
from colonnade.runs.skills import Decision, JsonObject
from colonnade.tenancy import agencies


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked at a gate, and how long the answer may take where the gate's rule says nothing."""

    gate: str
    step: str
    preview: JsonObject
    reason: str
    seconds: int


async def ask(tx: Tx, caller: Caller, run: Run, question: Question) -> str:
    """Raise the approval and let the run wait for it; its id is the event that wakes the run. Asking again is asking
    once.
    """
    rule = (await agencies.in_force(tx)).settings.get("approvalRules", {}).get(question.gate, {})
    timeout_at = await tx.now() + timedelta(seconds=rule.get("timeoutSeconds", question.seconds))
    approval = await approvals.raise_(
        tx,
        caller,
        run_id=run.id,
        question=approvals.Question(
            skill=run.skill,
            gate=question.gate,
            step=question.step,
            preview=question.preview,
            reason=question.reason,
            started_by=run.started_by,
            timeout_at=timeout_at,
        ),
    )
    if await moves.move(tx, run, RunState.WAITING_APPROVAL) is None:
        await _require_waiting(tx, run)
        return approval.id
    data = {"approvalId": approval.id, "gate": approval.gate, "timeoutAt": format_instant(approval.timeout_at)}
    await store.tell(tx, run, "approval.raised", data)
    return approval.id


async def _require_waiting(tx: Tx, run: Run) -> None:
    found = await store.find(tx, run.id)
    if found is None or found.state is not RunState.WAITING_APPROVAL:
        raise Cancelled("the run does not wait")


def payload_of(approval: Approval) -> JsonObject:
    """What the run is told of the decision."""
    return {
        "status": approval.status,
        "version": dict(approval.approved or {}),
        "edits": None if approval.edits is None else dict(approval.edits),
        "reason": approval.decision_reason,
        "by": approval.decided_by,
    }


def decision_of(payload: Any) -> Decision:
    """The decision as the skill sees it."""
    return Decision(**payload)


def summary_of(decision: Decision) -> str:
    """One line for the run's steps."""
    if decision.expired:
        return "Nobody decided in time"
    word = "Rejected" if not decision.approved else "Approved with edits" if decision.edits else "Approved"
    return f"{word} by {decision.by}"
