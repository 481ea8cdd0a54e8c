"""The nouns of approvals and their rules: what was asked, what was said, and which version may be acted on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.merging import merge
from colonnade.ground.core.refusals import BadFields, FieldError, Refused

ApprovalStatus = Literal["PENDING", "APPROVED", "REJECTED", "EXPIRED", "CANCELLED"]

CheckEdits = Callable[[Mapping[str, Any], Any], list[FieldError]]


@dataclass(frozen=True, slots=True)
class Question:
    """What a step of a run asks at a gate, and until when an answer may come."""

    skill: str
    gate: str
    step: str
    preview: Mapping[str, Any]
    reason: str
    started_by: str
    """Who started the run."""
    timeout_at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """One question of a run at a gate. `approved` is the very version that may be acted on, and set by a yes alone."""

    id: str
    workspace_id: str
    run_id: str
    skill: str
    gate: str
    step: str
    preview: Mapping[str, Any]
    reason: str
    routed_to: Sequence[str]
    status: ApprovalStatus
    edits: Mapping[str, Any] | None
    approved: Mapping[str, Any] | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    rerun: Mapping[str, Any] | None
    started_by: str
    raised_at: datetime
    timeout_at: datetime
    delivered_at: datetime | None
    updated_at: datetime
    version: int

    @property
    def is_pending(self) -> bool:
        """Whether nobody has decided yet."""
        return self.status == "PENDING"

    def require_pending(self) -> None:
        """Refuse a second decision; the refusal tells who decided what, and when."""
        if self.is_pending:
            return
        assert self.decided_at is not None, "a decided approval has no moment of its decision"
        at = format_instant(self.decided_at)
        raise Refused(
            "approvals.decided",
            f"This approval was decided before: {self.status} at {at}.",
            details={"status": self.status, "decidedAt": at, "decidedBy": self.decided_by},
        )


@dataclass(frozen=True, slots=True)
class Ruling:
    """What somebody says to an approval: yes, perhaps with edits (a merge patch on the preview), or no."""

    approve: bool
    edits: Mapping[str, Any] | None = None
    reason: str | None = None
    rerun: Mapping[str, Any] | None = None

    def version_of(self, approval: Approval, check_edits: CheckEdits) -> Mapping[str, Any] | None:
        """The version that a yes lets pass, with the edits in it; none for a no. Bad edits are named one by one."""
        if not self.approve:
            return None
        if self.edits is None:
            return approval.preview
        errors = check_edits(approval.preview, self.edits)
        if errors:
            raise BadFields([FieldError(f"/edits{error.pointer}", error.detail) for error in errors])
        version: Mapping[str, Any] = merge(dict(approval.preview), self.edits)
        return version


@dataclass(frozen=True, slots=True)
class ApprovalFilter:
    """Which approvals of a list; empty means all."""

    statuses: tuple[ApprovalStatus, ...] = ("PENDING",)
    skill: str | None = None
    routed_to: str | None = None
    raised_after: datetime | None = None
    raised_before: datetime | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """Something said about an approval without deciding it."""

    id: str
    author: str
    text: str
    at: datetime


def is_own_run(approval: Approval, actor_id: str) -> bool:
    """Whether the one who decides is the one who started the run."""
    return approval.started_by == actor_id


def may_decide_own(rules: Mapping[str, Any], gate: str) -> bool:
    """Whether the agency lets whoever started a run decide its approval at this gate; it does unless it says not."""
    return bool(rules.get(gate, {}).get("selfApproval", True))


def routes_of(rules: Mapping[str, Any], gate: str) -> list[str]:
    """Whom the agency's rules name for this gate."""
    named = rules.get(gate, {}).get("routedTo") or []
    return [named] if isinstance(named, str) else list(named)
