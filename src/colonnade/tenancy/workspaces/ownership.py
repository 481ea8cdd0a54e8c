"""Who owns a workspace and who works in it: handing it on, and the members of one workspace."""

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField, NotFound
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit, people
from colonnade.tenancy.people import Colleague, WorkspaceRole
from colonnade.tenancy.people import Filters as MemberFilters
from colonnade.tenancy.workspaces import ownership_store
from colonnade.tenancy.workspaces.model import Workspace
from colonnade.tenancy.workspaces.service import ensure_open, exists


async def transfer(tx: Tx, caller: Caller, workspace_id: str, to_member_id: str) -> Workspace:
    """Give a workspace to another member, who must be able to work in it; to its owner again changes nothing."""
    caller.require("workspaces:govern")
    workspace = await ensure_open(tx, workspace_id)
    async with tx.widened() as whole:
        heir = await people.find_colleague(whole, workspace_id, to_member_id)
    if heir is None:
        raise BadField("/toMemberId", "is no member of this agency who may work in this workspace")
    if workspace.owner_id == heir.member_id:
        return workspace
    changed = await ownership_store.give(tx, workspace_id, heir.member_id)
    before, after = {"ownerId": workspace.owner_id}, {"ownerId": heir.member_id}
    await audit.record(
        tx, caller, "workspaces.transferred", workspace_id, workspace_id=workspace_id, before=before, after=after
    )
    return changed


async def hand_over(tx: Tx, from_member_id: str, to_member_id: str | None) -> int:
    """Give all workspaces of a member who leaves to another; how many. The leaving itself is what is recorded."""
    return await ownership_store.hand_over(tx, from_member_id, to_member_id)


async def colleagues(
    tx: Tx, caller: Caller, workspace_id: str, filters: MemberFilters, paging: people.Paging
) -> people.ColleaguePage:
    """Who may work in a workspace, as what and why; also for who sees no more than this workspace."""
    caller.require("members:read")
    if not await exists(tx, workspace_id):
        raise NotFound("workspace")
    async with tx.widened() as whole:
        return await people.colleagues(whole, caller, workspace_id, filters, paging)


async def appoint(tx: Tx, caller: Caller, workspace_id: str, member_id: str, role: WorkspaceRole) -> Colleague:
    """Give a member a role in a workspace, beside what the agency's role allows there."""
    caller.require("members:write")
    await ensure_open(tx, workspace_id)
    return await people.assign(tx, caller, workspace_id, member_id, role)


async def dismiss(tx: Tx, caller: Caller, workspace_id: str, member_id: str) -> None:
    """Take away a member's role in a workspace."""
    caller.require("members:write")
    await ensure_open(tx, workspace_id)
    await people.unassign(tx, caller, workspace_id, member_id)
