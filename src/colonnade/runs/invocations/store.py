"""How runs, their steps and their events are kept. Every move and every event counts up the run's own events."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from colonnade.ground.core.amounts import to_number
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.runs.invocations.model import CHANNEL, EVENT_CHANNEL, Ending, Event, Run, RunFilter, RunState, Step

_RUN: Final = (
    "agency_id, id, workspace_id, agent_id, parent_id, bulk_id, skill, skill_version, input, approval_required, mode, "
    "queue, state, context, hold_id, estimated, prices, usage, credits_used, result, error, started_by, "
    "started_by_kind, request_id, task_id, admitted_at, cancel_requested_at, cancelled_by, events, started_at, "
    "ended_at, created_at, updated_at, version"
)
_STEP: Final = "id, run_id, number, name, kind, summary, facts, started_at, ended_at"
_WITHIN: Final = "agency_id = $1 and ($2::text[] is null or workspace_id = any ($2::text[]))"


def _run(row: Record) -> Run:
    values = {name: value for name, value in row.items() if name != "pg_notify"}
    return Run(**{**values, "state": RunState(row["state"])})


def _reach(tx: Tx) -> tuple[str, list[str] | None]:
    within = tx.reach.workspace_ids
    return tx.agency_id, None if within is None else list(within)


# A new run is told to its listeners as their first event.
ADD: Final = f"""
with added as (
    insert into run (agency_id, id, workspace_id, agent_id, parent_id, bulk_id, skill, skill_version, input,
                     approval_required, mode, queue, hold_id, estimated, prices, started_by, started_by_kind,
                     request_id, events, created_at, updated_at)
    select $1, n.id, n.workspace_id, n.agent_id, n.parent_id, n.bulk_id, n.skill, n.skill_version, n.input,
           n.approval_required, n.mode, n.queue, n.hold_id, n.estimated, n.prices, $3, $4, $5, 1, now(), now()
    from jsonb_to_recordset($2) as n (id text, workspace_id text, agent_id text, parent_id text, bulk_id text,
        skill text, skill_version integer, input jsonb, approval_required boolean, mode text, queue text,
        hold_id text, estimated bigint, prices jsonb)
    returning {_RUN}
), told as (
    insert into run_event (agency_id, workspace_id, run_id, number, event, data)
    select agency_id, workspace_id, id, 1, 'state', jsonb_build_object('status', state) from added
)
select {_RUN} from added
"""


async def add(tx: Tx, rows: Sequence[dict[str, Any]], *, started_by: str, kind: str, request_id: str) -> list[Run]:
    """The new runs, in one statement; they come back in no particular order."""
    return [_run(row) for row in await tx.fetch(ADD, tx.agency_id, list(rows), started_by, kind, request_id)]


FIND: Final = f"select {_RUN} from run where {_WITHIN} and id = $3"


async def find(tx: Tx, run_id: str) -> Run | None:
    """The run with this id."""
    row = await tx.fetchrow(FIND, *_reach(tx), run_id)
    return None if row is None else _run(row)


_MATCHES: Final = f"""
{_WITHIN} and ($3::text[] is null or state = any ($3::text[])) and ($4::text is null or skill = $4)
and ($5::text is null or bulk_id = $5)
"""
PAGE: Final = f"select {_RUN} from run where {_MATCHES} and ($6::text is null or id < $6) order by id desc limit $7"
COUNT: Final = f"select count(*) from (select 1 from run where {_MATCHES} limit $6) as counted"


def _matching(tx: Tx, where: RunFilter) -> tuple[Any, ...]:
    states = [state.value for state in where.states] or None
    return (*_reach(tx), states, where.skill, where.bulk_id)


async def page(tx: Tx, where: RunFilter, *, after: str | None, limit: int) -> list[Run]:
    """Runs from the newest on, behind the given one."""
    return [_run(row) for row in await tx.fetch(PAGE, *_matching(tx, where), after, limit)]


async def count(tx: Tx, where: RunFilter, most: int | None) -> int:
    """How many there are, counted no further than `most`."""
    counted: int = await tx.fetchval(COUNT, *_matching(tx, where), most)
    return counted


TREE: Final = f"""
with recursive tree as (
    select {_RUN} from run where {_WITHIN} and id = $3
    union all
    select {", ".join(f"r.{name.strip()}" for name in _RUN.split(","))}
    from run r join tree t on r.agency_id = t.agency_id and r.parent_id = t.id
    where r.agency_id = $1
)
select * from tree order by id limit 10000
"""


async def tree(tx: Tx, run_id: str) -> list[Run]:
    """The run and everything that was started below it."""
    return [_run(row) for row in await tx.fetch(TREE, *_reach(tx), run_id)]


MOVE: Final = f"""
with moved as (
    update run set
        state = $4, events = events + 1, version = version + 1, updated_at = now(),
        started_at = case when $4 = 'RUNNING' then coalesce(started_at, now()) else started_at end,
        context = coalesce($6, context)
    where agency_id = $1 and workspace_id = $2 and id = $3 and state = any ($5::text[])
    returning {_RUN}
), told as (
    insert into run_event (agency_id, workspace_id, run_id, number, event, data)
    select agency_id, workspace_id, id, events, 'state', jsonb_build_object('status', state) from moved
)
select {_RUN}, pg_notify('{EVENT_CHANNEL}', id) from moved
"""


async def move(
    tx: Tx, run: Run, target: RunState, sources: Collection[RunState], *, context: dict[str, Any] | None = None
) -> Run | None:
    """The run in its new state; none when it was in none of these."""
    row = await tx.fetchrow(
        MOVE, tx.agency_id, run.workspace_id, run.id, target.value, [state.value for state in sources], context
    )
    return None if row is None else _run(row)


# `usage` is compared: what was used and charged must be all that there is, also while a cancelled run still works.
END: Final = f"""
with moved as (
    update run set
        state = $4, result = $6, error = $7, credits_used = $8, ended_at = now(), events = events + 1,
        version = version + 1, updated_at = now()
    where agency_id = $1 and workspace_id = $2 and id = $3 and state = any ($5::text[]) and usage = $9
      and (admitted_at is not null) = $10
    returning {_RUN}
), told as (
    insert into run_event (agency_id, workspace_id, run_id, number, event, data)
    select agency_id, workspace_id, id, events, 'state', $11::jsonb from moved
)
select {_RUN}, pg_notify('{EVENT_CHANNEL}', id) from moved
"""


async def end(
    tx: Tx, run: Run, ending: Ending, sources: Collection[RunState], *, charged: int, admitted: bool
) -> Run | None:
    """The run in its final state; none when it had ended, was admitted meanwhile, or used more meanwhile."""
    told = {"status": ending.state.value, "creditsUsed": to_number(charged), "error": ending.error}
    row = await tx.fetchrow(
        END,
        *(tx.agency_id, run.workspace_id, run.id, ending.state.value, [state.value for state in sources]),
        *(ending.result, ending.error, charged, dict(run.usage), admitted, told),
    )
    return None if row is None else _run(row)


REQUEST_CANCEL: Final = f"""
update run set cancel_requested_at = now(), cancelled_by = $4, updated_at = now(), version = version + 1
where agency_id = $1 and workspace_id = $2 and id = $3 and ended_at is null and cancel_requested_at is null
returning {_RUN}
"""


async def request_cancel(tx: Tx, run: Run, by: str) -> Run | None:
    """Note that it shall stop; none when that was noted before, or it has ended."""
    row = await tx.fetchrow(REQUEST_CANCEL, tx.agency_id, run.workspace_id, run.id, by)
    return None if row is None else _run(row)


# In the order of ids, so that two who stop the same runs cannot wait for each other.
REQUEST_CANCELS: Final = f"""
with unfinished as (
    select id from run
    where {_WITHIN} and bulk_id = $3 and ended_at is null and cancel_requested_at is null order by id for update
)
update run r set cancel_requested_at = now(), cancelled_by = $4, updated_at = now(), version = version + 1
from unfinished u where r.agency_id = $1 and r.id = u.id
returning r.id, r.workspace_id
"""


async def request_cancels(tx: Tx, bulk_id: str, by: str) -> list[Record]:
    """Note that the unfinished runs of a bulk action shall stop; those not told before."""
    return await tx.fetch(REQUEST_CANCELS, *_reach(tx), bulk_id, by)


AT_WORK: Final = """
select id from run where agency_id = $1 and workspace_id = $2 and ended_at is null and admitted_at is not null
and state in ('PENDING', 'RUNNING') order by id
"""


async def at_work(tx: Tx, workspace_id: str) -> list[str]:
    """The runs of the workspace that a worker has in its hands."""
    return [row["id"] for row in await tx.fetch(AT_WORK, tx.agency_id, workspace_id)]


UNFINISHED: Final = """
select id from run where agency_id = $1 and workspace_id = $2 and ended_at is null and cancel_requested_at is null
order by id limit $3 for update
"""
STOP: Final = """
update run set cancel_requested_at = now(), cancelled_by = $4, updated_at = now(), version = version + 1
where agency_id = $1 and workspace_id = $2 and id = any ($3::text[])
"""
IS_STILL: Final = "select not exists (select from run where agency_id = $1 and workspace_id = $2 and ended_at is null)"


async def request_stops(tx: Tx, workspace_id: str, by: str, most: int) -> list[str]:
    """Note that unfinished runs of the workspace shall stop; at most so many of those not told before."""
    ids = [row["id"] for row in await tx.fetch(UNFINISHED, tx.agency_id, workspace_id, most)]
    await tx.execute(STOP, tx.agency_id, workspace_id, ids, by)
    return ids


async def is_still(tx: Tx, workspace_id: str) -> bool:
    """Whether every run of the workspace has ended."""
    return bool(await tx.fetchval(IS_STILL, tx.agency_id, workspace_id))


USE: Final = f"""
update run set usage = usage || jsonb_build_object($4::text, $5::jsonb), updated_at = now(), version = version + 1
where agency_id = $1 and workspace_id = $2 and id = $3 and ended_at is null
returning {_RUN}
"""


async def use(tx: Tx, run: Run, name: str, used: dict[str, Any]) -> Run | None:
    """Keep that this was used, under a name that makes a repeat harmless; none when the run has ended."""
    row = await tx.fetchrow(USE, tx.agency_id, run.workspace_id, run.id, name, used)
    return None if row is None else _run(row)


TELL: Final = f"""
with counted as (
    update run set events = events + 1, updated_at = now()
    where agency_id = $1 and workspace_id = $2 and id = $3 and ended_at is null
    returning agency_id, workspace_id, id, events
), told as (
    insert into run_event (agency_id, workspace_id, run_id, number, event, data)
    select agency_id, workspace_id, id, events, $4, $5::jsonb from counted
)
select events, pg_notify('{EVENT_CHANNEL}', id) from counted
"""


async def tell(tx: Tx, run: Run, event: str, data: dict[str, Any]) -> bool:
    """Append an event; false when the run has ended, for nothing follows its end."""
    return await tx.fetchrow(TELL, tx.agency_id, run.workspace_id, run.id, event, data) is not None


EVENTS: Final = f"""
select run_id, number, event, data, at from run_event
where {_WITHIN} and run_id = $3 and number > $4 order by number limit $5
"""


async def events_after(tx: Tx, run_id: str, number: int, limit: int) -> list[Event]:
    """What happened after this event."""
    return [Event(**dict(row)) for row in await tx.fetch(EVENTS, *_reach(tx), run_id, number, limit)]


# The caller has told an event in this transaction before, so the run's row is locked and numbers cannot meet.
ADD_STEP: Final = f"""
insert into run_step (agency_id, id, workspace_id, run_id, number, name, kind, summary, facts, started_at, ended_at)
select $1, $4, $2, $3, coalesce(max(s.number), 0) + 1, $5, $6, $7, $8, $9, clock_timestamp()
from run_step s where s.agency_id = $1 and s.workspace_id = $2 and s.run_id = $3
on conflict (agency_id, run_id, name) do nothing
returning {_STEP}
"""


async def add_step(tx: Tx, run: Run, *values: Any) -> Step | None:
    """The step (name, kind, summary, facts, started at); none when it was added before."""
    row = await tx.fetchrow(ADD_STEP, tx.agency_id, run.workspace_id, run.id, new_id("step"), *values)
    return None if row is None else Step(**dict(row))


STEPS: Final = f"select {_STEP} from run_step where {_WITHIN} and run_id = $3 order by number"


async def steps(tx: Tx, run_id: str) -> list[Step]:
    """What the run did, in order."""
    return [Step(**dict(row)) for row in await tx.fetch(STEPS, *_reach(tx), run_id)]


STEP_EXISTS: Final = """
select exists (select 1 from run_step where agency_id = $1 and workspace_id = $2 and run_id = $3 and name = $4)
"""


async def has_step(tx: Tx, run: Run, name: str) -> bool:
    """Whether a step of this name is shown already."""
    found: bool = await tx.fetchval(STEP_EXISTS, tx.agency_id, run.workspace_id, run.id, name)
    return found


RING: Final = "select pg_notify($1, '')"


async def ring(tx: Tx) -> None:
    """Tell the workers, at the commit, that there is something for them."""
    await tx.execute(RING, CHANNEL)
