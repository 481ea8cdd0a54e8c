"""How workers carry a run out: the durable function behind every skill, and the end that commits with the engine's."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.ids import is_id
from colonnade.ground.db.database import Connection, Tx
from colonnade.runs import skills
from colonnade.runs.engine.context import Context, DurableFunction
from colonnade.runs.engine.model import Cancelled, Claim, Completed, Failed, GiveUp, Outcome, RunId
from colonnade.runs.invocations import moves, store
from colonnade.runs.invocations.failures import error_of, told
from colonnade.runs.invocations.model import Ending, Run, RunState, run_caller
from colonnade.runs.invocations.skill_run import Means, SkillRun
from colonnade.runs.skills import Brand, JsonObject, StoppedByDecision
from colonnade.tenancy import agencies, workspaces

TASK: Final = "run"
"""The name of the durable function; a change of what its tasks carry gives it another one."""

_log = structlog.get_logger("colonnade.runs")


def headers_of(agency_id: str, workspace_id: str) -> dict[str, str]:
    """How the tenant travels with a task."""
    return {"agency": agency_id, "workspace": workspace_id}


def _reach_of(headers: Mapping[str, str]) -> Reach:
    agency_id, workspace_id = headers.get("agency", ""), headers.get("workspace", "")
    if not (is_id("agency", agency_id) and is_id("ws", workspace_id)):
        raise GiveUp("The task names no workspace.")
    return Reach(agency_id, (workspace_id,))


class RunExecution:
    """Carries runs out and writes their ends: the engine's durable function and its hooks, one for each process."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._stopped_at: dict[RunId, str | None] = {}

    def functions(self) -> dict[str, DurableFunction]:
        """What the engine's worker may run."""
        return {TASK: self.carry_out}

    async def carry_out(self, ctx: Context, params: dict[str, Any]) -> JsonObject:
        """Run the skill to its end, as the run's own workspace sees it and with the brand as it was at the start."""
        run = await self._begin(_reach_of(ctx.headers), str(params["run"]))
        skill_run = SkillRun(ctx, run, self._means)
        try:
            with told():
                result = await skills.find(run.skill).run(skill_run)
        except StoppedByDecision as stop:
            decision = {"status": stop.decision.status, "reason": stop.decision.reason, "by": stop.decision.by}
            return {"status": RunState.CANCELLED.value, "result": {**stop.result, "decision": decision}}
        except Exception:
            self._stopped_at[ctx.run_id] = skill_run.current_step
            raise
        return {"status": RunState.SUCCEEDED.value, "result": result}

    async def _begin(self, reach: Reach, run_id: str) -> Run:
        async with self._means.database.transaction(reach) as tx:
            run = await store.find(tx, run_id)
            if run is None:
                raise GiveUp("The task's run is not one of its workspace.")
            if run.state.is_final:
                raise Cancelled("the run has ended")
            with told():
                return run if run.context is not None else await _open(tx, run)

    async def ended(self, connection: Connection, claim: Claim, outcome: Outcome) -> None:
        """Settle and write the run's end in the transaction in which the engine writes the task's."""
        step = self._stopped_at.pop(claim.run_id, None)
        tx = await self._means.database.adopt(connection, _reach_of(claim.headers))
        run = await store.find(tx, str(claim.params["run"]))
        if run is None:
            _log.error("runs.row_missing", task=str(claim.task_id))
            return
        if isinstance(outcome, Failed) and not outcome.final:
            error = error_of(outcome, step)
            await store.tell(tx, run, "try.failed", {**error, "nextTrySeconds": round(outcome.rest_seconds, 1)})
            return
        await _end(tx, run, _ending_of(outcome, step))
        await store.ring(tx)

    async def lost_lease(self, connection: Connection, claim: Claim, lost: int) -> None:
        """Let listeners know that another worker goes on with the run."""
        tx = await self._means.database.adopt(connection, _reach_of(claim.headers))
        run = await store.find(tx, str(claim.params["run"]))
        if run is not None:
            await store.tell(tx, run, "worker.lost", {"count": lost})


async def _open(tx: Tx, run: Run) -> Run:
    """Keep brand, settings and policy as they are now for the whole run, and let it begin."""
    started = await tx.now()
    workspace = await workspaces.ensure_open(tx, run.workspace_id)
    settings = (await workspaces.in_force_for(tx, [workspace]))[workspace.id].values
    policy = skills.effective_policy(
        settings["approvalPolicy"], skills.find(run.skill), approval_required=run.approval_required
    )
    brand = Brand(workspace.name, workspace.slug, workspace.primary_domain, workspace.industry, workspace.brand)
    mode = (await agencies.in_force(tx)).mode
    context = {"brand": brand.to_json(), "settings": dict(settings), "policy": policy, "mode": mode}
    begun = await moves.move(tx, run, RunState.RUNNING, context=context)
    if begun is None:
        raise Cancelled("the run was cancelled before it began")
    summary = f"Read the brand profile of {workspace.name}"
    await store.tell(tx, run, "step.completed", {"name": "context", "kind": "work", "summary": summary})
    facts = {"profile": sorted(workspace.brand), "policy": policy}
    await store.add_step(tx, run, "context", "work", summary, facts, started)
    return begun


def _ending_of(outcome: Outcome, step: str | None) -> Ending:
    if isinstance(outcome, Completed):
        return Ending(RunState(outcome.result["status"]), result=outcome.result["result"])
    return Ending(RunState.FAILED, error=error_of(outcome, step))


async def _end(tx: Tx, run: Run, ending: Ending) -> None:
    caller = run_caller(run, mode=(run.context or {}).get("mode", "live"))
    if ending.state is RunState.FAILED:
        await let_go(tx, run)
    if await moves.end(tx, caller, run, ending) is None:
        raise Cancelled("the run ended meanwhile")


async def let_go(tx: Tx, run: Run) -> None:
    """Free what the run kept for itself; what an archived workspace does not let go stays as it is.

    Comes before credits and the run's row, for steps lock in this order too.
    """
    caller = run_caller(run)
    skill = skills.SKILLS.get(run.skill)  # none where a newer version of the house started it
    if run.context is None or skill is None:
        return
    if (await workspaces.get(tx, caller, run.workspace_id)).is_active:
        await skill.let_go(tx, caller, run.id)
