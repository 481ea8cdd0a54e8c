"""Who works in one workspace, as the agency says and as the workspace says."""

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.core.scopes import ROLES, WORKSPACE_SCOPES
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit
from colonnade.tenancy.people import assignment_store, store
from colonnade.tenancy.people.model import (
    Assignment,
    Colleague,
    ColleaguePage,
    Filters,
    Paging,
    WorkspaceRole,
    to_count,
    total_of,
)


async def colleagues(tx: Tx, caller: Caller, workspace_id: str, filters: Filters, paging: Paging) -> ColleaguePage:
    """Who may work in the workspace, as what and why, from the newest member on, and how many there are."""
    caller.require("members:read")
    found = await assignment_store.page(tx, workspace_id, filters, paging)
    total = total_of(await assignment_store.count(tx, workspace_id, filters, most=to_count(paging)), paging)
    items, last = found[: paging.limit], found[-2] if len(found) > paging.limit else None
    return ColleaguePage(items, None if last is None else (last.created_at, last.member_id), total)


async def find_colleague(tx: Tx, workspace_id: str, member_id: str) -> Colleague | None:
    """The member, if they may work in the workspace."""
    found = await assignment_store.page(tx, workspace_id, Filters(), Paging(limit=1), [member_id])
    return found[0] if found else None


async def assign(tx: Tx, caller: Caller, workspace_id: str, member_id: str, role: WorkspaceRole) -> Colleague:
    """Give a member a role in a workspace; it adds to what the agency's role allows there, and never takes away.

    The same role again changes nothing. Nobody gives a role that may do in a workspace what they lack themselves.
    """
    caller.require("members:write")
    if await store.lock(tx, member_id) is None:
        raise NotFound("member")
    # As for keys of a workspace: who may hand on what is done there need not be let in (`workspaces:act`) themselves.
    caller.require_all(ROLES[role] & WORKSPACE_SCOPES)
    if await assignment_store.assign(tx, member_id, [Assignment(workspace_id, role)]):
        await store.touch(tx, member_id)
        after = {"role": role}
        await audit.record(tx, caller, "members.assigned", member_id, workspace_id=workspace_id, after=after)
    colleague = await find_colleague(tx, workspace_id, member_id)
    assert colleague is not None, "a member who was assigned does not work there"
    return colleague


async def unassign(tx: Tx, caller: Caller, workspace_id: str, member_id: str) -> None:
    """Take away a member's role in a workspace; what the agency's role allows there stays."""
    caller.require("members:write")
    if await store.lock(tx, member_id) is None:
        raise NotFound("member")
    if not await assignment_store.unassign(tx, workspace_id, member_id):
        raise NotFound("assignment")
    await store.touch(tx, member_id)
    await audit.record(tx, caller, "members.unassigned", member_id, workspace_id=workspace_id)
