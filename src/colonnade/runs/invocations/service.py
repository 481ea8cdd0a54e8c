"""What can be done with invocations: start one or many, read them, stop them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from colonnade import credits
from colonnade.credits import Hold, HoldRequest, PriceList
from colonnade.ground.core.amounts import MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.runs import skills
from colonnade.runs.invocations import moves, store
from colonnade.runs.invocations.model import (
    Ending,
    Estimate,
    Event,
    Run,
    RunFilter,
    RunPage,
    RunState,
    StartRequest,
    Step,
    finished,
)
from colonnade.runs.skills import JsonObject, Skill
from colonnade.tenancy import audit, workspaces

COUNTED_MOST: Final = 1000
EVENTS_MOST: Final = 500
STOPPED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request whose skill and input were found good, with the id that its run will have."""

    run_id: str
    request: StartRequest
    skill: Skill
    input: JsonObject

    def hold_request(self, prices: PriceList) -> HoldRequest:
        """What has to be set aside before it may start; the run's id makes a repeat the same hold."""
        parts = prices.parts(self.skill.features)
        amount, workspace_id = MilliCredits(sum(parts.values())), self.request.workspace_id
        return HoldRequest(workspace_id, amount, self.skill.feature, self.run_id, run_id=self.run_id, parts=parts)

    def row(self, hold: Hold, prices: PriceList) -> dict[str, Any]:
        """How the run is kept."""
        request, skill = self.request, self.skill
        return {
            "id": self.run_id,
            "workspace_id": request.workspace_id,
            "agent_id": new_id("agt"),
            "parent_id": request.parent_id,
            "bulk_id": request.bulk_id,
            "skill": skill.slug,
            "skill_version": skill.version,
            "input": self.input,
            "approval_required": request.approval_required,
            "mode": request.mode,
            "queue": request.queue,
            "hold_id": hold.id,
            "estimated": hold.amount,
            "prices": {feature: prices.of(feature) for feature in skill.features},
        }


async def invoke(tx: Tx, caller: Caller, request: StartRequest) -> Run:
    """Start a skill in a workspace: the run is there, its credits are held, a worker will take it.

    Refused and nothing kept: an unknown skill, bad input (every field named under `/input`), an archived workspace, a
    pool with too little.
    """
    caller.require("runs:start")
    prepared = _prepare(request)
    await workspaces.ensure_open(tx, request.workspace_id)
    (outcome,) = await _start(tx, caller, [prepared])
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


async def invoke_many(tx: Tx, caller: Caller, requests: Sequence[StartRequest]) -> list[Run | Refused]:
    """Start many at once by a constant number of statements, each with an outcome of its own in the given order.

    A request that lacks credits fails alone; a bad skill or input refuses all. Workspaces are expected to be open.
    """
    caller.require("runs:start")
    return await _start(tx, caller, [_prepare(request) for request in requests])


def _prepare(request: StartRequest) -> _Prepared:
    skill = skills.find(request.skill)
    return _Prepared(new_id("inv"), request, skill, skill.read_input(request.input))


async def _start(tx: Tx, caller: Caller, prepared: Sequence[_Prepared]) -> list[Run | Refused]:
    if not prepared:
        return []
    prices = await credits.price_list(tx)
    holds = await credits.hold_many(tx, caller, [one.hold_request(prices) for one in prepared])
    rows = [one.row(hold, prices) for one, hold in zip(prepared, holds, strict=True) if not isinstance(hold, Refused)]
    kind = caller.kind.value
    added = await store.add(tx, rows, started_by=caller.actor_id, kind=kind, request_id=caller.request_id)
    runs = {run.id: run for run in added}
    await audit.record_all(tx, [(caller, _started(runs[row["id"]])) for row in rows])
    await store.ring(tx)
    return [hold if isinstance(hold, Refused) else runs[one.run_id] for one, hold in zip(prepared, holds, strict=True)]


def _started(run: Run) -> audit.Fact:
    after = {"skill": run.skill, "estimatedCredits": to_number(run.estimated), "bulkActionId": run.bulk_id}
    return audit.Fact("runs.started", run.id, run.workspace_id, after=after)


async def estimate(tx: Tx, skill: Skill) -> Estimate:
    """What a run of the skill costs at most at the agency's prices, and about how long it takes; asks for no scope."""
    prices = await credits.price_list(tx)
    return Estimate(prices.estimate(skill.features), skill.seconds)


async def get(tx: Tx, caller: Caller, run_id: str) -> Run:
    """The run as it stands."""
    caller.require("runs:read")
    return _found(await store.find(tx, run_id))


def _found(run: Run | None) -> Run:
    if run is None:
        raise NotFound("invocation")
    return run


async def ensure_in_reach(tx: Tx, run_id: str) -> None:
    """Refuse unless there is such a run within reach; asks for no scope, the caller's own verb does."""
    _found(await store.find(tx, run_id))


async def page(
    tx: Tx, caller: Caller, where: RunFilter, *, after: str | None = None, limit: int = 50, counts_all: bool = False
) -> RunPage:
    """Runs of all workspaces in reach, the newest first."""
    caller.require("runs:read")
    found = await store.page(tx, where, after=after, limit=limit + 1)
    counted = await store.count(tx, where, None if counts_all else COUNTED_MOST + 1)
    shown = found[:limit]
    next_after = shown[-1].id if len(found) > limit else None
    return RunPage(shown, next_after, counted if counts_all or counted <= COUNTED_MOST else None)


async def steps(tx: Tx, caller: Caller, run_id: str) -> list[Step]:
    """What the run has done so far, in order."""
    caller.require("runs:read")
    run = _found(await store.find(tx, run_id))
    return await store.steps(tx, run.id)


async def tree(tx: Tx, caller: Caller, run_id: str) -> list[Run]:
    """The run and all that it started, parents before children."""
    caller.require("runs:read")
    found = await store.tree(tx, run_id)
    if not found:
        raise NotFound("invocation")
    return found


async def events_after(tx: Tx, caller: Caller, run_id: str, number: int, *, limit: int = EVENTS_MOST) -> list[Event]:
    """What happened to the run after this event, in order; nothing for a run out of reach."""
    caller.require("runs:read")
    return await store.events_after(tx, run_id, number, limit)


async def cancel(tx: Tx, caller: Caller, run_id: str) -> Run:
    """Stop a run. One that nobody works on ends at once, with its credits released; any other stops as soon as its
    worker hears of it, charged for what it used until then. Asking twice is asking once; an ended run is refused.
    """
    caller.require("runs:cancel")
    run = _found(await store.find(tx, run_id))
    if not run.is_admitted and not run.state.is_final:
        stopped = await _cancel_unadmitted(tx, caller, run)
        if stopped is not None:
            return stopped
        run = _found(await store.find(tx, run_id))
    if run.state.is_final:
        raise finished(run)
    requested = await store.request_cancel(tx, run, caller.actor_id)
    if requested is None:
        return await _asked_before(tx, run_id)
    await audit.record(tx, caller, "runs.cancel_requested", run.id, workspace_id=run.workspace_id)
    await store.ring(tx)
    return requested


async def cancel_bulk(tx: Tx, caller: Caller, bulk_id: str) -> int:
    """Ask every unfinished run of a bulk action to stop, by one statement; how many there were. Workers end them."""
    caller.require("runs:cancel")
    asked = await store.request_cancels(tx, bulk_id, caller.actor_id)
    facts = [audit.Fact("runs.cancel_requested", row["id"], row["workspace_id"]) for row in asked]
    await audit.record_all(tx, [(caller, fact) for fact in facts])
    await store.ring(tx)
    return len(asked)


async def at_work(tx: Tx, workspace_id: str) -> list[str]:
    """The ids of the runs of a workspace that a worker has in its hands; asks for no scope, the caller's verb does."""
    return await store.at_work(tx, workspace_id)


async def stop_all(tx: Tx, caller: Caller, workspace_id: str) -> bool:
    """Ask every unfinished run of a workspace to stop, also those that wait; whether all of them have ended by now."""
    caller.require("runs:cancel")
    asked = await store.request_stops(tx, workspace_id, caller.actor_id, STOPPED_AT_ONCE)
    facts = [audit.Fact("runs.cancel_requested", identity, workspace_id) for identity in asked]
    await audit.record_all(tx, [(caller, fact) for fact in facts])
    if asked:
        await store.ring(tx)
    return await store.is_still(tx, workspace_id)


async def _asked_before(tx: Tx, run_id: str) -> Run:
    run = _found(await store.find(tx, run_id))
    if run.state.is_final:
        raise finished(run)
    return run


class _Undo(Exception):
    """Takes back what was done for a run that was admitted at the same moment."""


async def _cancel_unadmitted(tx: Tx, caller: Caller, run: Run) -> Run | None:
    try:
        async with tx.savepoint():
            return await _end_unadmitted(tx, caller, run)
    except _Undo:
        return None


async def _end_unadmitted(tx: Tx, caller: Caller, run: Run) -> Run:
    ended = await moves.end(tx, caller, run, Ending(RunState.CANCELLED), admitted=False)
    if ended is None:
        raise _Undo
    return ended
