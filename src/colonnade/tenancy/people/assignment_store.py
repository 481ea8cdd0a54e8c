"""How it is kept who works in which workspace."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.people.model import Assignment, Colleague, Filters, Paging

KNOWN: Final = (
    "select id from workspace where agency_id = $1 and id = any ($2) and ($3::text[] is null or id = any ($3))"
)
ASSIGN: Final = """
insert into workspace_member (agency_id, workspace_id, member_id, role, created_at, updated_at)
select $1, w.workspace_id, $2, w.role, $5, $5 from unnest($3::text[], $4::text[]) as w (workspace_id, role)
order by w.workspace_id
on conflict (agency_id, workspace_id, member_id) do update set role = excluded.role, updated_at = excluded.updated_at
where workspace_member.role <> excluded.role
"""
UNASSIGN: Final = "delete from workspace_member where agency_id = $1 and workspace_id = $2 and member_id = $3"
UNASSIGN_OTHERS: Final = """
delete from workspace_member where agency_id = $1 and member_id = $2 and workspace_id <> all ($3::text[])
"""
OF_MEMBER: Final = """
select workspace_id, role from workspace_member
where agency_id = $1 and member_id = $2 and ($3::text is null or workspace_id > $3) order by workspace_id limit $4
"""
FIRST_OF_MEMBERS: Final = """
select m.id as member_id, f.workspace_id, f.role
from unnest($2::text[]) as m (id) cross join lateral (
    select workspace_id, role from workspace_member
    where agency_id = $1 and member_id = m.id order by workspace_id limit $3) as f
order by m.id, f.workspace_id
"""
COUNTS: Final = """
select member_id, count(*) as total from workspace_member
where agency_id = $1 and member_id = any ($2) group by member_id
"""
PAGE: Final = "select * from page_workspace_members($1, $2, $3, $4, $5, $6, $7)"
COUNT: Final = "select count(*) from page_workspace_members($1, $2, $3, null, null, null, $4)"


def _assignment(row: Record) -> Assignment:
    return Assignment(row["workspace_id"], row["role"])


async def known(tx: Tx, workspace_ids: Sequence[str]) -> set[str]:
    """Those of the ids that are workspaces in reach."""
    within = tx.reach.workspace_ids
    rows = await tx.fetch(KNOWN, tx.agency_id, list(workspace_ids), None if within is None else list(within))
    return {row["id"] for row in rows}


async def assign(tx: Tx, member_id: str, assignments: Sequence[Assignment]) -> int:
    """The member has these roles from now on; how many of them are new or other than before."""
    ids, roles = [one.workspace_id for one in assignments], [one.role for one in assignments]
    return await tx.execute(ASSIGN, tx.agency_id, member_id, ids, roles, await tx.now())


async def unassign(tx: Tx, workspace_id: str, member_id: str) -> bool:
    """The member has no role of this workspace's own any more; whether there was one."""
    return await tx.execute(UNASSIGN, tx.agency_id, workspace_id, member_id) > 0


async def unassign_others(tx: Tx, member_id: str, kept: Sequence[str]) -> int:
    """The member keeps assignments in these workspaces alone; how many ended."""
    return await tx.execute(UNASSIGN_OTHERS, tx.agency_id, member_id, list(kept))


async def of_member(tx: Tx, member_id: str, *, after_id: str | None, limit: int) -> list[Assignment]:
    """Assignments of one member in the order of the workspaces' ids."""
    return [_assignment(row) for row in await tx.fetch(OF_MEMBER, tx.agency_id, member_id, after_id, limit)]


async def first_of(tx: Tx, member_ids: Sequence[str], most: int) -> dict[str, list[Assignment]]:
    """The first few assignments of each member."""
    found: dict[str, list[Assignment]] = {}
    for row in await tx.fetch(FIRST_OF_MEMBERS, tx.agency_id, list(member_ids), most):
        found.setdefault(row["member_id"], []).append(_assignment(row))
    return found


async def counts(tx: Tx, member_ids: Sequence[str]) -> dict[str, int]:
    """How many assignments each member has; those without any are left out."""
    return {row["member_id"]: row["total"] for row in await tx.fetch(COUNTS, tx.agency_id, list(member_ids))}


async def page(
    tx: Tx, workspace_id: str, filters: Filters, paging: Paging, ids: Sequence[str] | None = None
) -> list[Colleague]:
    """Who may work in the workspace, from the newest member on, and one more than wanted."""
    at, last_id = paging.after or (None, None)
    wanted = None if ids is None else list(ids)
    rows = await tx.fetch(PAGE, workspace_id, filters.role, filters.q, wanted, at, last_id, paging.limit + 1)
    return [Colleague(**dict(row)) for row in rows]


async def count(tx: Tx, workspace_id: str, filters: Filters, *, most: int) -> int:
    """How many pass the filters; stops counting at `most`."""
    counted: int = await tx.fetchval(COUNT, workspace_id, filters.role, filters.q, most)
    return counted
