"""What workers do for runs besides carrying them out: admit, tell decisions, expire approvals, stop what shall stop.

Each looks up what is due over all agencies, then works in one run's own scope; what fails is left for next time.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import UNREACHABLE, Connection, Database, Record, Tx
from colonnade.runs import approvals
from colonnade.runs.engine import gateway
from colonnade.runs.engine.model import NewTask, Retry, TaskId
from colonnade.runs.invocations import moves, store
from colonnade.runs.invocations.execution import TASK, headers_of, let_go
from colonnade.runs.invocations.model import Ending, RunState, run_caller, worker_caller
from colonnade.runs.invocations.waiting import payload_of

_log = structlog.get_logger("colonnade.runs")

AT_ONCE: Final = 200
"""How much of what is due is taken at once; as much again means that there may be more."""
_RETRY: Final = Retry(max_attempts=5, base_seconds=2.0, max_seconds=300.0)

ADMIT: Final = "select * from admit_runs($1, $2, $3)"
SET_TASKS: Final = """
select set_run_task(t.agency_id, t.run_id, t.task_id)
from unnest($1::text[], $2::text[], $3::uuid[]) as t (agency_id, run_id, task_id)
"""
TO_CANCEL: Final = "select agency_id, workspace_id, run_id as id from runs_to_cancel($1)"
TO_DELIVER: Final = "select agency_id, workspace_id, approval_id as id from decisions_to_deliver($1)"
TO_EXPIRE: Final = "select agency_id, workspace_id, approval_id as id from approvals_to_expire($1)"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs may be active at once; waiting ones do not count."""

    per_agency: int
    per_workspace: int


async def admit(database: Database, limits: Limits) -> int:
    """Hand the oldest runs that may start to the engine, one agency after the other; how many there were.

    One admission at a time over all processes: a second one at the same moment finds nothing.
    """
    async with database.pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(ADMIT, AT_ONCE, limits.per_agency, limits.per_workspace)
        by_queue: dict[str, list[Record]] = defaultdict(list)
        for row in rows:
            by_queue[row["queue"]].append(row)
        for queue, admitted in by_queue.items():
            tasks = await gateway.spawn_all(connection, queue, [_task(row) for row in admitted])
            agencies = [row["agency_id"] for row in admitted]
            await connection.execute(SET_TASKS, agencies, [row["run_id"] for row in admitted], tasks)
    return len(rows)


def _task(row: Record) -> NewTask:
    headers = headers_of(row["agency_id"], row["workspace_id"])
    return NewTask(TASK, {"run": row["run_id"]}, key=row["run_id"], headers=headers, retry=_RETRY)


class _NotNow(Exception):
    """The run moved on while it was being stopped; the next round sees it as it is then."""


Duty = Callable[[Connection, Tx, str], Awaitable[None]]


async def _each(database: Database, due: str, duty: Duty) -> int:
    """Do the duty for everything that is due, each in a transaction and scope of its own; how many succeeded."""
    done = 0
    for row in await database.lookup(due, AT_ONCE):
        reach = Reach(row["agency_id"], (row["workspace_id"],))
        try:
            async with database.pool.acquire() as connection, connection.transaction():
                await duty(connection, await database.adopt(connection, reach), row["id"])
            done += 1
        except UNREACHABLE:
            raise
        except _NotNow:
            continue
        except Exception as error:
            _log.exception("runs.duty_failed", duty=duty.__name__, id=row["id"], error=type(error).__name__)
    return done


async def deliver(database: Database) -> int:
    """Wake the runs whose approvals were decided; the decision is told once, with the mark that it was told."""
    return await _each(database, TO_DELIVER, _deliver)


async def _deliver(connection: Connection, tx: Tx, approval_id: str) -> None:
    if not await approvals.mark_delivered(tx, approval_id):
        return
    approval = await approvals.get(tx, worker_caller(tx.reach), approval_id)
    run = await store.find(tx, approval.run_id)
    assert run is not None, "an approval belongs to a run"
    if not run.state.is_final:
        await gateway.emit(connection, run.queue, approval.id, payload_of(approval))


async def expire(database: Database) -> int:
    """Decide the approvals that nobody decided in time."""
    return await _each(database, TO_EXPIRE, _expire)


async def _expire(_connection: Connection, tx: Tx, approval_id: str) -> None:
    await approvals.expire(tx, worker_caller(tx.reach), approval_id)


async def cancel_requested(database: Database) -> int:
    """Stop the runs that somebody asked to stop: charge what they used, release the rest, end the engine's task."""
    return await _each(database, TO_CANCEL, _cancel)


async def _cancel(connection: Connection, tx: Tx, run_id: str) -> None:
    run = await store.find(tx, run_id)
    if run is None or run.state.is_final:
        return
    await let_go(tx, run)
    caller = run_caller(run, mode=(run.context or {}).get("mode", "live"))
    if await moves.end(tx, caller, run, Ending(RunState.CANCELLED), admitted=run.is_admitted) is None:
        raise _NotNow
    await approvals.cancel_pending(tx, caller, run.id)
    await store.ring(tx)
    if run.task_id is not None:
        await gateway.cancel(connection, run.queue, TaskId(run.task_id))
