"""How approvals are kept: one SQL text above one function."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.runs.approvals.model import Approval, ApprovalFilter, Comment, Question

_COLUMNS: Final = (
    "id, workspace_id, run_id, skill, gate, step, preview, reason, routed_to, status, edits, approved, decided_by, "
    "decided_at, decision_reason, rerun, started_by, raised_at, timeout_at, delivered_at, updated_at, version"
)


_WITHIN: Final = "agency_id = $1 and ($2::text[] is null or workspace_id = any ($2::text[]))"


def _approval(row: Record) -> Approval:
    return Approval(**dict(row))


def _workspaces(tx: Tx) -> list[str] | None:
    """The workspaces in reach, for the second wall; null means all of the agency."""
    return None if tx.reach.workspace_ids is None else list(tx.reach.workspace_ids)


_ADD: Final = f"""
insert into approval (agency_id, id, workspace_id, run_id, skill, gate, step, preview, reason, routed_to, started_by,
                      timeout_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (agency_id, run_id, step) do nothing
returning {_COLUMNS}
"""


async def add(tx: Tx, workspace_id: str, run_id: str, question: Question, routed_to: Sequence[str]) -> Approval | None:
    """The new approval; none when this step of the run has asked before."""
    row = await tx.fetchrow(
        _ADD,
        tx.agency_id,
        new_id("appr"),
        workspace_id,
        run_id,
        question.skill,
        question.gate,
        question.step,
        dict(question.preview),
        question.reason,
        list(routed_to),
        question.started_by,
        question.timeout_at,
    )
    return None if row is None else _approval(row)


_OF_STEP: Final = f"select {_COLUMNS} from approval where {_WITHIN} and run_id = $3 and step = $4"


async def of_step(tx: Tx, run_id: str, step: str) -> Approval:
    """The approval that this step of the run has asked for."""
    return _approval(await tx.fetchone(_OF_STEP, tx.agency_id, _workspaces(tx), run_id, step))


_FIND: Final = f"""
select {_COLUMNS} from approval where {_WITHIN} and id = $3
"""


async def find(tx: Tx, approval_id: str, *, locked: bool = False) -> Approval | None:
    """The approval, if it is in reach; locked for a decision."""
    sql = f"{_FIND} for update" if locked else _FIND
    row = await tx.fetchrow(sql, tx.agency_id, _workspaces(tx), approval_id)
    return None if row is None else _approval(row)


_PENDING_OF: Final = f"""
select id from approval where {_WITHIN} and run_id = $3 and status = 'PENDING' order by id limit 1
"""


async def pending_of(tx: Tx, run_id: str) -> str | None:
    """The id of the approval that a run waits for."""
    identity: str | None = await tx.fetchval(_PENDING_OF, tx.agency_id, _workspaces(tx), run_id)
    return identity


_DECIDE: Final = f"""
update approval
set status = $4, approved = $5, edits = $6, decided_by = $7, decided_at = now(), decision_reason = $8, rerun = $9,
    delivered_at = case when $10 then now() end, updated_at = now(), version = version + 1
where {_WITHIN} and id = $3 and status = 'PENDING'
returning {_COLUMNS}
"""


async def settle(
    tx: Tx, approval_id: str, status: str, *, by: str | None, said: Mapping[str, Any], told: bool = False
) -> Approval | None:
    """The one guarded end of an approval; none when it was no longer pending. `told`: no run waits to hear of it."""
    row = await tx.fetchrow(
        _DECIDE,
        tx.agency_id,
        _workspaces(tx),
        approval_id,
        status,
        said.get("approved"),
        said.get("edits"),
        by,
        said.get("reason"),
        said.get("rerun"),
        told,
    )
    return None if row is None else _approval(row)


_PENDING_IDS: Final = f"select id from approval where {_WITHIN} and run_id = $3 and status = 'PENDING' order by id"


async def pending_ids(tx: Tx, run_id: str) -> Sequence[str]:
    """All that a run still asks."""
    return [row["id"] for row in await tx.fetch(_PENDING_IDS, tx.agency_id, _workspaces(tx), run_id)]


_DELIVERED: Final = f"""
update approval set delivered_at = now()
where {_WITHIN} and id = $3 and decided_at is not null and delivered_at is null
"""


async def mark_delivered(tx: Tx, approval_id: str) -> bool:
    """Whether this call is the one that marked it."""
    return await tx.execute(_DELIVERED, tx.agency_id, _workspaces(tx), approval_id) == 1


_PAGE: Final = f"""
select {_COLUMNS} from approval a
where {_WITHIN}
  and (cardinality($3::text[]) = 0 or status = any ($3))
  and ($4::text is null or skill = $4)
  and ($5::text is null or $5 = any (routed_to))
  and ($6::timestamptz is null or raised_at > $6)
  and ($7::timestamptz is null or raised_at < $7)
  and ($8::text is null or exists (select from workspace w
       where w.agency_id = a.agency_id and w.id = a.workspace_id and $8 = any (w.tags)))
"""


def _where(tx: Tx, where: ApprovalFilter) -> tuple[Any, ...]:
    return (
        tx.agency_id,
        _workspaces(tx),
        list(where.statuses),
        where.skill,
        where.routed_to,
        where.raised_after,
        where.raised_before,
        where.tag,
    )


async def page(tx: Tx, where: ApprovalFilter, *, limit: int, after_id: str | None) -> Sequence[Approval]:
    """The newest first, behind the given one."""
    sql = f"{_PAGE} and ($9::text is null or id < $9) order by id desc limit $10"
    return [_approval(row) for row in await tx.fetch(sql, *_where(tx, where), after_id, limit)]


async def count(tx: Tx, where: ApprovalFilter, most: int | None) -> int:
    """How many there are; counting ends one beyond `most`."""
    bound = "" if most is None else f" limit {int(most) + 1}"
    return int(await tx.fetchval(f"select count(*) from ({_PAGE}{bound}) counted", *_where(tx, where)))


_COMMENT: Final = """
insert into approval_comment (agency_id, id, workspace_id, approval_id, author, text) values ($1, $2, $3, $4, $5, $6)
returning created_at
"""


async def add_comment(tx: Tx, approval: Approval, author: str, text: str) -> Comment:
    """Keep what was said."""
    identity = new_id("evt")
    at: datetime = await tx.fetchval(_COMMENT, tx.agency_id, identity, approval.workspace_id, approval.id, author, text)
    return Comment(identity, author, text, at)


_COMMENTS: Final = f"""
select * from (
    select id, author, text, created_at as at from approval_comment where {_WITHIN} and approval_id = $3
    order by id desc limit 200) as latest
order by id
"""


async def comments(tx: Tx, approval_id: str) -> Sequence[Comment]:
    """What was said last, the oldest first."""
    return [Comment(**dict(row)) for row in await tx.fetch(_COMMENTS, tx.agency_id, _workspaces(tx), approval_id)]
