"""What happens later: versions that wait are deployed, and a new version is noted for those who follow its template."""

from typing import Final

import structlog

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import UNREACHABLE, Database, Tx
from colonnade.outbound.templates import deployment_store, store
from colonnade.outbound.templates.deploying import Order, deploy_one, shared_of
from colonnade.outbound.templates.model import Deployment
from colonnade.tenancy import audit, workspaces
from colonnade.tenancy.audit import Announcement

_log = structlog.get_logger("colonnade.templates")

DUE: Final = "select agency_id, workspace_id, template_id from deployments_due($1)"
_AT_ONCE: Final = 100
_SCOPES: Final = frozenset(
    {
        *("templates:read", "templates:write", "content:write"),
        *("workspaces:read", "workspaces:write", "workspaces:govern", "workspaces:act"),
    }
)
"""Whoever asked for it held what the contents need: that was settled then."""


async def follow(tx: Tx, announcement: Announcement) -> None:
    """A template has a new version: note it for every workspace that follows. Noting it twice is noting it once."""
    template = await store.find(tx, announcement.resource_id)
    latest = None if template is None else await store.version(tx, template.id, template.version)
    if latest is not None:
        await deployment_store.follow(tx, latest)


async def deploy_due(database: Database) -> int:
    """Deploy what waits, each in a transaction of its own; how many ended, well or not."""
    ended = 0
    for row in await database.lookup(DUE, _AT_ONCE):
        try:
            async with database.transaction(Reach(row["agency_id"])) as tx:
                ended += await _carry_out(tx, row["workspace_id"], row["template_id"])
        except UNREACHABLE:
            raise
        except Exception as error:
            _log.exception("templates.deploying_stumbled", template=row["template_id"], error=type(error).__name__)
    return ended


async def _carry_out(tx: Tx, workspace_id: str, template_id: str) -> bool:
    """The workspace is locked before its deployment, as in every deployment, and looked at again by then."""
    try:
        async with tx.savepoint():
            await workspaces.hold_open(tx, workspace_id)
            waiting = await deployment_store.find_locked(tx, workspace_id, template_id)
            if waiting is None or waiting.state != "pending":
                return False
            caller = _caller(tx, waiting)
            order = Order(template_id, waiting.wanted)
            await deploy_one(tx, caller, workspace_id, await shared_of(tx, caller, order), order)
    except Refused as refused:
        return await _fail(tx, workspace_id, template_id, refused)
    return True


def _caller(tx: Tx, waiting: Deployment) -> Caller:
    by = waiting.asked_by
    return Caller(CallerKind(by["kind"]), tx.reach, _SCOPES, by["id"], by["name"], by["requestId"])


async def _fail(tx: Tx, workspace_id: str, template_id: str, refused: Refused) -> bool:
    waiting = await deployment_store.find_locked(tx, workspace_id, template_id)
    if waiting is None or waiting.state != "pending":
        return False
    is_gone = isinstance(refused, NotFound)
    message = "The template or the workspace is gone." if is_gone else refused.sentence
    error = {"code": refused.kind.value, "reason": refused.reason, "message": message}
    await deployment_store.fail(tx, workspace_id, template_id, error)
    after = {"version": waiting.wanted, "reason": refused.reason}
    await audit.record(
        tx, _caller(tx, waiting), "templates.deploying_failed", template_id, workspace_id=workspace_id, after=after
    )
    return True
