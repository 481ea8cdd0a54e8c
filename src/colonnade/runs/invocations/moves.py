"""How a run changes its state: each move by one guarded statement, told to its listeners in the same transaction."""

from typing import Any, Final

import structlog

from colonnade import credits
from colonnade.ground.core.amounts import to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx
from colonnade.runs.invocations import store
from colonnade.runs.invocations.model import SOURCES, Ending, Run, RunState, StateListener
from colonnade.tenancy import audit

_log = structlog.get_logger("colonnade.runs")

_listeners: Final[list[StateListener]] = []


def on_state_change(listener: StateListener) -> None:
    """Have every move told from now on, in its own transaction and after the run's row; a second call changes nothing.

    For the floors above, which the processes tie to this one when they start.
    """
    if listener not in _listeners:
        _listeners.append(listener)


async def move(tx: Tx, run: Run, target: RunState, *, context: dict[str, Any] | None = None) -> Run | None:
    """The run in this state that is not final; none when no allowed move leads there from where it stands."""
    moved = await store.move(tx, run, target, SOURCES[target], context=context)
    if moved is not None:
        await _tell(tx, moved, run.state)
    return moved


async def end(tx: Tx, caller: Caller, run: Run, ending: Ending, *, admitted: bool = True) -> Run | None:
    """End the run: charge its hold for what it used, release the rest, write state, audit and events.

    None when it ended before, used more meanwhile, or is not (yet) in the workers' hands as `admitted` says: then the
    caller undoes the transaction, or this part of it.
    """
    lines = run.usage_lines()
    if run.hold_id is not None and lines:
        await credits.settle(tx, caller, run.hold_id, lines)
    elif run.hold_id is not None:
        await credits.release(tx, caller, run.hold_id)
    charged = sum(line.credits for line in lines)
    ended = await store.end(tx, run, ending, SOURCES[ending.state], charged=charged, admitted=admitted)
    if ended is None:
        return None
    after = {"status": ended.state.value, "skill": ended.skill, "creditsUsed": to_number(charged)}
    if ended.error is not None:
        after["reason"] = ended.error["reason"]
    if ended.cancelled_by is not None:
        after["by"] = ended.cancelled_by
    await audit.record(tx, caller, ending.event, ended.id, workspace_id=ended.workspace_id, after=after)
    await _tell(tx, ended, run.state)
    _note(ended)
    return ended


def _note(ended: Run) -> None:
    """The one wide line of a run."""
    _log.info(
        "runs.ended",
        run=ended.id,
        agency=ended.agency_id,
        workspace=ended.workspace_id,
        skill=ended.skill,
        outcome=ended.state.value,
        reason=(ended.error or {}).get("reason"),
        credits=to_number(ended.credits_used),
        request_id=ended.request_id,
    )


async def _tell(tx: Tx, run: Run, old: RunState) -> None:
    for listener in _listeners:
        await listener(tx, run, old, run.state)
