"""Invocations: a skill at work in one workspace, from being asked for to its end, with its credits held meanwhile.

Servers write rows here and ring; workers (execution, admission) do the rest. Not here: what skills do, and approvals.
"""

from colonnade.runs.invocations.model import (
    Estimate,
    Event,
    Run,
    RunFilter,
    RunPage,
    RunState,
    StartRequest,
    StateListener,
    Step,
)
from colonnade.runs.invocations.moves import on_state_change
from colonnade.runs.invocations.service import (
    at_work,
    cancel,
    cancel_bulk,
    ensure_in_reach,
    estimate,
    events_after,
    get,
    invoke,
    invoke_many,
    page,
    steps,
    stop_all,
    tree,
)

__all__ = [
    "Estimate",
    "Event",
    "Run",
    "RunFilter",
    "RunPage",
    "RunState",
    "StartRequest",
    "StateListener",
    "Step",
    "at_work",
    "cancel",
    "cancel_bulk",
    "ensure_in_reach",
    "estimate",
    "events_after",
    "get",
    "invoke",
    "invoke_many",
    "on_state_change",
    "page",
    "steps",
    "stop_all",
    "tree",
]
