"""The nouns of bulk actions: what is wanted, what becomes of each workspace, and the status that follows from both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from colonnade.ground.core.amounts import ZERO, MilliCredits
from colonnade.ground.core.refusals import Refused
from colonnade.runs.invocations import RunState

ItemState = Literal["PENDING", "RUNNING", "WAITING", "SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"]
BulkStatus = Literal["PENDING", "RUNNING", "SUCCEEDED", "PARTLY_FAILED", "FAILED", "CANCELLED"]

MOST: Final = 10_000
"""Workspaces of one bulk action: all of it is accepted in one transaction."""

ITEM_STATES: Final[Mapping[RunState, ItemState]] = {
    RunState.PENDING: "PENDING",
    RunState.RUNNING: "RUNNING",
    RunState.WAITING_APPROVAL: "WAITING",
    RunState.WAITING_INPUT: "WAITING",
    RunState.WAITING_CHILDREN: "WAITING",
    RunState.SUCCEEDED: "SUCCEEDED",
    RunState.FAILED: "FAILED",
    RunState.CANCELLED: "CANCELLED",
}
"""How an item stands when its run stands so."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which workspaces are meant: these ids, or every active one in reach, perhaps only those with a tag."""

    ids: tuple[str, ...] | None = None
    tag: str | None = None

    def to_json(self) -> Any:
        """How it was sent."""
        if self.ids is not None:
            return list(self.ids)
        return "all" if self.tag is None else {"tag": self.tag}


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants done in many workspaces; `config` is the action's own to read."""

    action: str
    selection: Selection
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one workspace when the action was accepted."""

    workspace_id: str
    state: ItemState
    run_id: str | None = None
    estimated: MilliCredits = ZERO
    error: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    """What a change of the workspace has replaced."""
    result: Mapping[str, Any] | None = None
    """What was done there, where that is more than done or not done."""

    @property
    def goes_ahead(self) -> bool:
        """Whether the action does something here."""
        return self.state not in ("FAILED", "SKIPPED")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items stand where; together they are all there are."""

    total: int = 0
    pending: int = 0
    running: int = 0
    waiting: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Counts":
        """The counts of a bulk action that was just accepted."""
        states = [outcome.state.lower() for outcome in outcomes]
        return cls(total=len(states), **{state: states.count(state) for state in set(states)})

    @property
    def unfinished(self) -> int:
        """How many may still change."""
        return self.pending + self.running + self.waiting

    def status(self, *, stopped: bool) -> BulkStatus:
        """The whole in one word; `stopped` when somebody cancelled the action itself."""
        if self.unfinished:
            return "PENDING" if self.unfinished == self.pending and not self._ended else "RUNNING"
        if self.cancelled and (stopped or not (self.succeeded or self.failed)):
            return "CANCELLED"
        if self.failed:
            return "PARTLY_FAILED" if self.succeeded else "FAILED"
        return "SUCCEEDED"

    @property
    def _ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One wish for many workspaces, with the counts of its items."""

    id: str
    action: str
    selection: Any
    config: Mapping[str, Any]
    counts: Counts
    started_by: str
    cancel_requested_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def status(self) -> BulkStatus:
        """The whole in one word."""
        return self.counts.status(stopped=self.cancel_requested_at is not None)

    def require_unfinished(self) -> None:
        """Refuse when every item has ended."""
        if self.ended_at is not None:
            raise Refused(
                "bulk.finished",
                f"The bulk action is {self.status}; nothing of it can be stopped any more.",
                details={"bulkActionId": self.id, "status": self.status},
            )


@dataclass(frozen=True, slots=True)
class Item:
    """One workspace of a bulk action."""

    id: str
    bulk_id: str
    workspace_id: str
    run_id: str | None
    state: ItemState
    credits_used: MilliCredits
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PlanLine:
    """What would become of one workspace."""

    outcome: Outcome
    approvals: Sequence[str] = field(default=())
    """The gates at which its run would wait for a person."""


def error_of(refused: Refused) -> dict[str, Any]:
    """A refusal as an item tells it."""
    told = {"code": refused.kind.value, "reason": refused.reason, "message": refused.sentence}
    fields = [{"pointer": error.pointer, "detail": error.detail} for error in refused.errors]
    return {**told, "errors": fields} if fields else told
