"""The nouns of invocations: a run and its states, the moves between them, its steps and its events. No I/O."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal
from uuid import UUID

from colonnade.credits import PriceList, UsageLine
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Tx
from colonnade.runs.skills import JsonObject, StepKind

Mode = Literal["BACKGROUND", "FOREGROUND"]
Queue = Literal["interactive", "bulk"]

CHANNEL: Final = "colonnade_runs"
"""Heard by workers: there is something to admit, to cancel or to deliver."""

EVENT_CHANNEL: Final = "colonnade_run_events"
"""Heard by whoever shows runs: the payload is the id of a run that has a new event."""


class RunState(Enum):
    """Where a run stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING_APPROVAL = "WAITING_APPROVAL"
    WAITING_INPUT = "WAITING_INPUT"
    WAITING_CHILDREN = "WAITING_CHILDREN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in FINAL


FINAL: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
WAITING: Final = frozenset({RunState.WAITING_APPROVAL, RunState.WAITING_INPUT, RunState.WAITING_CHILDREN})
_UNFINISHED: Final = frozenset({RunState.PENDING, RunState.RUNNING}) | WAITING

SOURCES: Final[Mapping[RunState, frozenset[RunState]]] = {
    RunState.RUNNING: frozenset({RunState.PENDING}) | WAITING,
    RunState.WAITING_APPROVAL: frozenset({RunState.RUNNING}),
    RunState.WAITING_INPUT: frozenset({RunState.RUNNING}),
    RunState.WAITING_CHILDREN: frozenset({RunState.RUNNING}),
    RunState.SUCCEEDED: frozenset({RunState.RUNNING}),
    RunState.FAILED: _UNFINISHED,
    RunState.CANCELLED: _UNFINISHED,
}
"""Every allowed move: the target, and the states from which it is reached."""


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of a skill in one workspace."""

    agency_id: str
    id: str
    workspace_id: str
    agent_id: str
    parent_id: str | None
    bulk_id: str | None
    skill: str
    skill_version: int
    input: JsonObject
    approval_required: bool
    mode: Mode
    queue: Queue
    state: RunState
    context: JsonObject | None
    hold_id: str | None
    estimated: MilliCredits
    prices: Mapping[str, int]
    usage: Mapping[str, JsonObject]
    credits_used: MilliCredits
    result: JsonObject | None
    error: JsonObject | None
    started_by: str
    started_by_kind: str
    request_id: str
    task_id: UUID | None
    admitted_at: datetime | None
    cancel_requested_at: datetime | None
    cancelled_by: str | None
    events: int
    started_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def is_admitted(self) -> bool:
        """Whether workers have taken it over; from then on only they end it."""
        return self.admitted_at is not None

    @property
    def reach(self) -> Reach:
        """All that this run may see: its own workspace."""
        return Reach(self.agency_id, (self.workspace_id,))

    def usage_lines(self) -> list[UsageLine]:
        """What it used, at the prices that held when its credits were set aside."""
        return [self._line(used) for used in self.usage.values()]

    def _line(self, used: Mapping[str, Any]) -> UsageLine:
        prices = PriceList(own={name: MilliCredits(price) for name, price in self.prices.items()})
        credits = prices.cost(used["feature"], used["quantity"])
        return UsageLine(used["feature"], credits, used["quantity"], used["model"])

    def credits_so_far(self) -> MilliCredits:
        """What it would be charged if it ended now."""
        return MilliCredits(sum(line.credits for line in self.usage_lines()))


@dataclass(frozen=True, slots=True)
class StartRequest:
    """The wish to run a skill in a workspace. `queue` keeps many runs of a bulk action behind single ones."""

    workspace_id: str
    skill: str
    input: Any
    approval_required: bool = False
    mode: Mode = "BACKGROUND"
    queue: Queue = "interactive"
    bulk_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The upper bound of what a run costs, and about how long it takes when nobody has to be waited for."""

    credits: MilliCredits
    seconds: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends. `result` may be there in every final state; `error` tells why it failed."""

    state: RunState
    result: JsonObject | None = None
    error: JsonObject | None = None

    @property
    def event(self) -> str:
        """What the audit log calls it."""
        return f"runs.{self.state.value.lower()}"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a run did, once."""

    id: str
    run_id: str
    number: int
    name: str
    kind: StepKind
    summary: str
    facts: JsonObject
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """What a listener of a run hears."""

    run_id: str
    number: int
    event: str
    data: JsonObject
    at: datetime

    @property
    def is_last(self) -> bool:
        """Whether nothing follows this event."""
        return self.event == "state" and RunState(self.data["status"]).is_final


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows; a field that is none does not restrict."""

    states: tuple[RunState, ...] = ()
    skill: str | None = None
    bulk_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, the newest first; the id after which the list goes on; how many there are (none: too many)."""

    runs: Sequence[Run]
    next_after: str | None
    total: int | None


StateListener = Callable[[Tx, Run, RunState, RunState], Awaitable[None]]
"""Told of every move in its own transaction, after the run's row: the run as it is now, the old and the new state."""


def finished(run: Run) -> Refused:
    """The refusal for a run that has ended."""
    return Refused(
        "runs.finished",
        f"The invocation is {run.state.value}; nothing of it can be stopped any more.",
        details={"invocationId": run.id, "status": run.state.value},
    )


RUN_SCOPES: Final = frozenset(
    {
        *("content:read", "content:write", "approvals:read", "approvals:decide"),
        *("workspaces:read", "integrations:read"),
        *("runs:start", "runs:cancel", "runs:read"),
    }
)
"""What a run may do in its own workspace: its work, the decisions that people made for it, its own settlement."""


def run_caller(run: Run, *, mode: str = "live") -> Caller:
    """The run itself as the one who acts, within its own workspace."""
    return Caller(
        kind=CallerKind.RUN,
        reach=run.reach,
        scopes=RUN_SCOPES,
        actor_id=run.id,
        actor_name=f"run of {run.skill}",
        request_id=run.request_id,
        mode=mode,
        workspace_id=run.workspace_id,
    )


def worker_caller(reach: Reach) -> Caller:
    """A background process that does what nobody asked for by name, such as letting time run out."""
    return Caller(
        kind=CallerKind.OPERATOR,
        reach=reach,
        scopes=RUN_SCOPES,
        actor_id="worker",
        actor_name="worker",
        request_id=new_request_id(),
    )
