"""Drift: where which version of a template is deployed, how far behind it is, and what was changed by hand since."""

from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.outbound.templates import deployment_store, store
from colonnade.outbound.templates.fields import Change, changes, fields_of, own_fields
from colonnade.outbound.templates.model import Deployment, Mode, found
from colonnade.outbound.templates.service import Slice
from colonnade.tenancy import workspaces


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one workspace is from one template."""

    workspace_id: str
    template_id: str
    version: int
    behind: int | None
    """How many versions came after the deployed one; none where the template was deleted."""
    mode: Mode
    changes: Sequence[Change]


async def drift_of(tx: Tx, caller: Caller, template_id: str, cut: Slice) -> tuple[Sequence[Drift], bool, int | None]:
    """Every workspace in reach in which the template is deployed: by a number of queries that does not grow."""
    caller.require("templates:read")
    template = found(await store.find(tx, template_id) if is_id("tmpl", template_id) else None)
    some = await deployment_store.of_template(tx, template.id, after=cut.after, limit=cut.limit + 1)
    counted = await deployment_store.count(tx, template.id, cut.counted_most)
    return await _drifts(tx, some[: cut.limit]), len(some) > cut.limit, cut.told(counted)


async def drift_in(tx: Tx, caller: Caller, workspace_id: str) -> Sequence[Drift]:
    """The same for every template that is deployed in a workspace."""
    caller.require("templates:read")
    if not await workspaces.exists(tx, workspace_id):
        raise NotFound("workspace")
    return await _drifts(tx, await deployment_store.of_workspace(tx, workspace_id))


async def _drifts(tx: Tx, deployments: Sequence[Deployment]) -> list[Drift]:
    deployed = [(one, one.version) for one in deployments if one.version is not None]
    versions = await store.many_versions(tx, [(one.template_id, number) for one, number in deployed])
    templates = await store.find_many(tx, sorted({one.template_id for one, _ in deployed}))
    ids = sorted({one.workspace_id for one, _ in deployed})
    stands = {workspace.id: own_fields(workspace) for workspace in await workspaces.known(tx, ids)}
    drifts = []
    for one, number in deployed:
        if one.workspace_id not in stands:
            continue  # purged at this moment
        template = templates.get(one.template_id)
        wanted = fields_of(versions[one.template_id, number].contents)
        differing = changes(wanted, stands[one.workspace_id])
        behind = None if template is None else template.version - number
        drifts.append(Drift(one.workspace_id, one.template_id, number, behind, one.mode, differing))
    return drifts
