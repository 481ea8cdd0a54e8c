"""How workspaces change hands."""

from typing import Final

from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces.model import Workspace
from colonnade.tenancy.workspaces.store import COLUMNS, WITHIN, reach_of, workspace_of

GIVE: Final = f"""
update workspace set owner_id = $4, updated_at = $5, version = version + 1
where {WITHIN} and id = $3 returning {COLUMNS}
"""
HAND_OVER: Final = """
update workspace set owner_id = $3, updated_at = $4, version = version + 1 where agency_id = $1 and owner_id = $2
"""


async def give(tx: Tx, workspace_id: str, member_id: str) -> Workspace:
    """The workspace is this member's from now on."""
    return workspace_of(await tx.fetchone(GIVE, *reach_of(tx), workspace_id, member_id, await tx.now()))


async def hand_over(tx: Tx, from_member_id: str, to_member_id: str | None) -> int:
    """Everything that the one owned is the other's; how many."""
    return await tx.execute(HAND_OVER, tx.agency_id, from_member_id, to_member_id, await tx.now())
