"""The one place that speaks Absurd's SQL: thin functions over a connection, so that callers bring their transaction.

Every write of a run goes through the fence: one statement that finds the run still held by this very claim, locks
it, and only then calls the engine. JSON crosses as text, whatever codecs a connection has.
"""

import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from colonnade.ground.db.database import Connection, Record
from colonnade.runs.engine.model import (
    TALLY,
    Arrived,
    Cancelled,
    Claim,
    Deadline,
    Expired,
    Failed,
    Grip,
    LeaseLost,
    NewTask,
    Parked,
    Retry,
    RunId,
    Tally,
    TaskId,
    TaskState,
)
from colonnade.runs.engine.texts import dumps, loads

CHANNEL: Final = "colonnade_engine"
"""Carries the name of a queue that has work, or `queue:task` when that task was cancelled."""

_ENDLESS: Final = 1_000_000
"""The engine's own limit of tries: out of reach, because failures are counted here and lost leases apart."""

_QUEUE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_MOST_WAIT_SECONDS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What `extend` found about runs that it could not extend."""

    lost: frozenset[Grip]
    cancelled: frozenset[Grip]


def _table(kind: str, queue: str) -> str:
    if not _QUEUE.fullmatch(queue):
        raise ValueError(f"{queue!r} is not the name of a queue")
    return f"absurd.{kind}_{queue}"


def _fence(queue: str) -> str:
    return f"""
        with held as materialized (
            select run_id, task_id from {_table("r", queue)}
            where run_id = $1 and claimed_by = $2 and state = 'running' for update
        )
    """


async def _held(connection: Connection, claim: Claim, call: str, *arguments: Any) -> Record:
    """Call the engine for a run that this claim still holds; else say why it does not."""
    sql = f"{_fence(claim.queue)} select {call} from held"
    try:
        row = await connection.fetchrow(sql, claim.run_id, claim.holder, *arguments)
    except asyncpg.PostgresError as error:
        raise _translated(error) from error
    if row is None:
        raise await _refusal(connection, claim)
    return row


def _translated(error: asyncpg.PostgresError) -> Exception:
    known: dict[str | None, Exception] = {
        "AB001": Cancelled("the task was cancelled"),
        "AB002": LeaseLost("the run was given to another worker"),
    }
    return known.get(error.sqlstate, error)


async def _refusal(connection: Connection, claim: Claim) -> Exception:
    state = await connection.fetchval(f"select state from {_table('t', claim.queue)} where task_id = $1", claim.task_id)
    if state == "cancelled":
        return Cancelled("the task was cancelled")
    return LeaseLost("the run is no longer held by this claim")


async def wake(connection: Connection, queue: str) -> None:
    """Tell the workers, at the commit, that this queue has work."""
    await connection.execute("select pg_notify($1, $2)", CHANNEL, queue)


async def spawn(connection: Connection, queue: str, task: NewTask) -> TaskId:
    """Start a task with the caller's commit; the same key again gives the same task."""
    return (await spawn_all(connection, queue, [task]))[0]


async def spawn_all(connection: Connection, queue: str, tasks: Sequence[NewTask]) -> list[TaskId]:
    """Start many tasks in one statement, in the order given."""
    rows = await connection.fetch(
        """
        select spawned.task_id
        from unnest($2::text[], $3::text[], $4::text[]) with ordinality as wanted (name, params, options, place)
        cross join lateral absurd.spawn_task($1, wanted.name, wanted.params::jsonb, wanted.options::jsonb) as spawned
        order by wanted.place
        """,
        queue,
        [task.name for task in tasks],
        [dumps(task.params) for task in tasks],
        [dumps(_options(task)) for task in tasks],
    )
    await wake(connection, queue)
    return [TaskId(row["task_id"]) for row in rows]


def _options(task: NewTask) -> dict[str, Any]:
    # The engine retries at once (kind none) and without end; our own policy rides along in the same value.
    return {
        "idempotency_key": task.key,
        "headers": dict(task.headers),
        "max_attempts": _ENDLESS,
        "retry_strategy": {"kind": "none", **asdict(task.retry)},
    }


async def claim(connection: Connection, queue: str, worker_id: str, *, lease_seconds: int, count: int) -> list[Claim]:
    """Take up to so many due runs, each with its journal; expired leases of others are taken over here."""
    holder = f"{worker_id}/{secrets.token_hex(6)}"
    rows = await connection.fetch(
        """
        select taken.run_id, taken.task_id, taken.attempt, taken.task_name, taken.params::text as params,
               taken.headers::text as headers, taken.retry_strategy::text as retry,
               (select jsonb_object_agg(entry.checkpoint_name, entry.state)::text
                from absurd.get_task_checkpoint_states($1, taken.task_id, taken.run_id) as entry) as journal
        from absurd.claim_task($1, $2, $3, $4) as taken
        """,
        queue,
        holder,
        lease_seconds,
        count,
    )
    return [_claim(queue, holder, row) for row in rows]


def _claim(queue: str, holder: str, row: Record) -> Claim:
    retry = loads(row["retry"]) or {}
    retry.pop("kind", None)
    return Claim(
        queue=queue,
        task_id=TaskId(row["task_id"]),
        run_id=RunId(row["run_id"]),
        attempt=row["attempt"],
        holder=holder,
        name=row["task_name"],
        params=loads(row["params"]) or {},
        headers=loads(row["headers"]) or {},
        retry=Retry(**retry),
        journal=loads(row["journal"]) or {},
    )


async def extend(connection: Connection, queue: str, claims: Sequence[Claim], seconds: int) -> Verdicts:
    """Lengthen the leases of many runs in one statement, and tell which of them are lost or cancelled.

    A run whose row is locked is being ended or cancelled this moment: it is left for the next time.
    """
    runs, holders = [c.run_id for c in claims], [c.holder for c in claims]
    kept = await connection.fetch(
        f"""
        with held as materialized (
            select r.run_id, ours.holder from {_table("r", queue)} as r
            join unnest($1::uuid[], $2::text[]) as ours (run_id, holder)
              on ours.run_id = r.run_id and ours.holder = r.claimed_by
            where r.state = 'running'
            for update of r skip locked
        )
        select held.run_id, held.holder, absurd.extend_claim($3, held.run_id, $4) from held
        """,
        runs,
        holders,
        queue,
        seconds,
    )
    extended = {(row["run_id"], row["holder"]) for row in kept}
    return await _verdicts(connection, queue, [c for c in claims if c.grip not in extended])


async def _verdicts(connection: Connection, queue: str, claims: Sequence[Claim]) -> Verdicts:
    if not claims:
        return Verdicts(frozenset(), frozenset())
    rows = await connection.fetch(
        f"""
        select ours.run_id, ours.holder, t.state = 'cancelled' as cancelled
        from unnest($1::uuid[], $2::text[], $3::uuid[]) as ours (run_id, holder, task_id)
        left join {_table("r", queue)} as r on r.run_id = ours.run_id
        left join {_table("t", queue)} as t on t.task_id = ours.task_id
        where (r.state = 'running' and r.claimed_by = ours.holder) is not true
        """,
        [c.run_id for c in claims],
        [c.holder for c in claims],
        [c.task_id for c in claims],
    )
    ended = frozenset((RunId(row["run_id"]), str(row["holder"])) for row in rows)
    cancelled = frozenset((RunId(row["run_id"]), str(row["holder"])) for row in rows if row["cancelled"])
    return Verdicts(ended - cancelled, cancelled)


async def save_checkpoint(connection: Connection, claim: Claim, name: str, text: str) -> None:
    """Write JSON text into the journal under this name; refused once the run is lost or cancelled."""
    await _held(
        connection,
        claim,
        "absurd.set_task_checkpoint_state($3, task_id, $4, $5::text::jsonb, run_id)",
        claim.queue,
        name,
        text,
    )


async def await_event(
    connection: Connection, claim: Claim, event: str, deadline: Deadline
) -> Arrived | Expired | Parked:
    """The event's payload if it was emitted; else park the run until then, or until the deadline.

    An event name is waited for once in a task: what it brought, or that it came too late, is in the journal for ever.
    """
    async with connection.transaction():
        row = await _ask_event(connection, claim, event, deadline)
        if row["should_suspend"]:
            return Parked()
        if row["payload"] is not None:
            return Arrived(loads(row["payload"]))
        await save_checkpoint(connection, claim, expired_entry(event), "true")
        return Expired(event)


async def _ask_event(connection: Connection, claim: Claim, event: str, deadline: Deadline) -> Record:
    # Without a lock: the engine locks the event before the run, and the opposite order would deadlock with `emit`.
    row = await connection.fetchrow(
        f"""
        with held as materialized (
            select run_id, task_id from {_table("r", claim.queue)}
            where run_id = $1 and claimed_by = $2 and state = 'running'
        )
        select answer.should_suspend, answer.payload::text as payload
        from held cross join lateral absurd.await_event($3, held.task_id, held.run_id, $4, $5, $6) as answer
        """,
        claim.run_id,
        claim.holder,
        claim.queue,
        event_entry(event),
        event,
        None if deadline is None else _seconds_until(deadline),
    )
    if row is None:
        raise await _refusal(connection, claim)
    return row


def _seconds_until(deadline: datetime) -> int:
    rest = (deadline - datetime.now(UTC)).total_seconds()
    return min(max(0, math.ceil(rest)), _MOST_WAIT_SECONDS)


def event_entry(event: str) -> str:
    """Where the journal keeps what an event brought."""
    return f"$event:{event}"


def expired_entry(event: str) -> str:
    """Where the journal keeps that a wait's deadline passed."""
    return f"$expired:{event}"


async def emit(connection: Connection, queue: str, event: str, payload: Any) -> None:
    """Let an event happen with the caller's commit and wake who waits for it; only its first time counts."""
    await connection.execute("select absurd.emit_event($1, $2, $3::text::jsonb)", queue, event, dumps(payload))
    await wake(connection, queue)


async def sleep_until(connection: Connection, claim: Claim, wake_at: datetime) -> bool:
    """Park the run until the instant, by the database's clock; false when it has passed already."""
    if not await connection.fetchval("select $1::timestamptz > clock_timestamp()", wake_at):
        return False
    await _held(connection, claim, "absurd.schedule_run($3, run_id, $4)", claim.queue, wake_at)
    return True


async def hand_back(connection: Connection, claim: Claim, *, after_seconds: float = 0.0) -> None:
    """Let go of a run whose function has ended here, so that another worker takes it; not counted as a try."""
    await _held(
        connection,
        claim,
        "absurd.schedule_run($3, run_id, absurd.current_time() + make_interval(secs => $4)), pg_notify($5, $3)",
        claim.queue,
        after_seconds,
        CHANNEL,
    )


async def complete(connection: Connection, claim: Claim, result: Mapping[str, Any]) -> None:
    """End the task with a result, with the caller's commit; refused once the run is lost or cancelled."""
    await _held(connection, claim, "absurd.complete_run($3, run_id, $4::text::jsonb)", claim.queue, dumps(dict(result)))


async def fail(connection: Connection, claim: Claim, failed: Failed) -> None:
    """Count the failure and begin the next try after its rest, or end the task when the failure is final."""
    async with connection.transaction():
        await save_checkpoint(connection, claim, TALLY, dumps(asdict(claim.tally.failed(claim.attempt))))
        if failed.final:
            await connection.execute(
                f"update {_table('t', claim.queue)} set max_attempts = $2 where task_id = $1",
                claim.task_id,
                claim.attempt,
            )
        await _held(
            connection,
            claim,
            "absurd.fail_run($3, run_id, $4::text::jsonb, absurd.current_time() + make_interval(secs => $5))",
            claim.queue,
            dumps({"name": type(failed.error).__name__, "sentence": failed.sentence}),
            failed.rest_seconds,
        )


async def cancel(connection: Connection, queue: str, task_id: TaskId) -> None:
    """Cancel a task in whatever state it is, with the caller's commit; one that has ended stays as it is."""
    await connection.execute("select absurd.cancel_task($1, $2)", queue, task_id)
    await wake(connection, f"{queue}:{task_id}")


async def retry(connection: Connection, queue: str, task_id: TaskId) -> None:
    """Let a failed task go on from its journal, with all its tries forgiven."""
    row = await connection.fetchrow(
        "select run_id, attempt from absurd.retry_task($1, $2, jsonb_build_object('max_attempts', $3::int))",
        queue,
        task_id,
        _ENDLESS,
    )
    assert row is not None, "a retried task has a run"
    await connection.execute(
        "select absurd.set_task_checkpoint_state($1, $2, $3, $4::text::jsonb, $5)",
        queue,
        task_id,
        TALLY,
        dumps(asdict(Tally(failed_at=row["attempt"] - 1, settled=row["attempt"] - 1))),
        row["run_id"],
    )
    await wake(connection, queue)


async def find(connection: Connection, queue: str, task_id: TaskId) -> TaskState | None:
    """How a task stands; none when it is not there, or was cleaned up."""
    row = await connection.fetchrow(
        "select state, result::text, failure_reason::text from absurd.get_task_result($1, $2)", queue, task_id
    )
    if row is None:
        return None
    return TaskState(row["state"], loads(row["result"]), loads(row["failure_reason"]))


async def clean(connection: Connection) -> int:
    """Forget one batch of tasks and events that ended long ago; the number forgotten."""
    rows = await connection.fetch("select tasks_deleted + events_deleted as gone from absurd.cleanup_all_queues()")
    return sum(row["gone"] for row in rows)
