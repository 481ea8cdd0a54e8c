"""Erasing an archived workspace for good: who may ask for it, and when. A background process does the erasing."""

from datetime import timedelta
from typing import Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit
from colonnade.tenancy.workspaces import store
from colonnade.tenancy.workspaces.model import AtWork, Workspace

REST: Final = timedelta(days=30)
"""How long an archived workspace rests before it can be erased without its name being repeated."""

_TOLD_MOST: Final = 10


async def purge(tx: Tx, caller: Caller, workspace_id: str, *, confirm: str | None, at_work: AtWork) -> Workspace:
    """Begin to erase an archived workspace with all that lies inside; its keys end at once, and nothing brings it back.

    Ledger, usage and the audit log (without its contents) stay. Refused: one that is active, one that was archived less
    than 30 days ago unless `confirm` repeats its name, and one in which runs are at work. Asking twice is asking once.
    """
    caller.require("workspaces:purge")
    workspace = await store.find_locked(tx, workspace_id)
    if workspace is None:
        raise NotFound("workspace")
    if workspace.purging_at is not None:
        return workspace
    await _require_ripe(tx, workspace, confirm)
    await _require_at_rest(tx, workspace, at_work)
    by = {"kind": caller.kind.value, "id": caller.actor_id, "name": caller.actor_name, "requestId": caller.request_id}
    purging = await store.begin_purge(tx, workspace.id, by)
    await audit.record(tx, caller, "workspaces.purge_requested", workspace.id, workspace_id=workspace.id)
    return purging


async def _require_ripe(tx: Tx, workspace: Workspace, confirm: str | None) -> None:
    if workspace.archived_at is None:
        raise Refused("workspace.not_archived", "Only an archived workspace can be purged; archive it first.")
    if confirm is not None and confirm != workspace.name:
        raise BadField("/confirm", "is not the workspace's name; repeat it exactly as it is")
    ripe_at = workspace.archived_at + REST
    if confirm is None and await tx.now() < ripe_at:
        raise Refused(
            "workspace.purge_too_early",
            f"The workspace was archived less than {REST.days} days ago; send its name as `confirm` to purge it now.",
            details={"archivedAt": format_instant(workspace.archived_at), "ripeAt": format_instant(ripe_at)},
        )


async def _require_at_rest(tx: Tx, workspace: Workspace, at_work: AtWork) -> None:
    running = await at_work(tx, workspace.id)
    if running:
        raise Refused(
            "workspace.at_work",
            f"{len(running)} runs are at work in the workspace; cancel them or wait for their end.",
            details={"invocationIds": list(running[:_TOLD_MOST]), "count": len(running)},
        )


async def nothing_at_work(_tx: Tx, _workspace_id: str) -> list[str]:
    """Where nothing runs, nothing is at work."""
    return []
