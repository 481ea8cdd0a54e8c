"""What is told of many workspaces at once: effective settings, brand, activity, health; queries do not grow."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_optional
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies
from colonnade.tenancy.agencies import Agency
from colonnade.tenancy.workspaces import settings as rules
from colonnade.tenancy.workspaces import store
from colonnade.tenancy.workspaces.model import EffectiveSettings, Workspace

INTEGRATIONS: Final = ("google_search_console", "ahrefs", "dataforseo", "apollo", "instantly")
"""The integrations that the house speaks of; a floor above tells of those that are connected."""

LAST_ACTIVE: Final = """
select workspace_id, last_active_at from workspace_activity where agency_id = $1 and workspace_id = any ($2::text[])
"""


async def effective(tx: Tx, caller: Caller, ids: Sequence[str]) -> dict[str, EffectiveSettings]:
    """What holds for each of these workspaces and where it comes from; ids out of reach are left out."""
    caller.require("workspaces:read")
    return await in_force(tx, ids)


async def in_force(tx: Tx, ids: Sequence[str], *, agency: Agency | None = None) -> dict[str, EffectiveSettings]:
    """The same for rules of the house that follow the settings; asks for no scope, nor for an agency that is known."""
    return await in_force_for(tx, await store.find_many(tx, ids), agency=agency)


async def in_force_for(
    tx: Tx, known: Sequence[Workspace], *, agency: Agency | None = None
) -> dict[str, EffectiveSettings]:
    """The same for workspaces that have been read already."""
    agency = agency or await agencies.in_force(tx)
    return {workspace.id: rules.effective(agency.settings, workspace.settings) for workspace in known}


async def brand(tx: Tx, workspace_id: str) -> Mapping[str, Any]:
    """The brand profile, for the context of runs."""
    workspace = await store.find(tx, workspace_id)
    if workspace is None:
        raise NotFound("workspace")
    return workspace.brand


async def last_active_block(tx: Tx, ids: Sequence[str]) -> dict[str, str | None]:
    """Include `lastActiveAt`: the latest run, post or keyed write; null when there was none yet."""
    rows = await tx.fetch(LAST_ACTIVE, tx.agency_id, list(ids))
    known = {row["workspace_id"]: format_optional(row["last_active_at"]) for row in rows}
    return {identity: known.get(identity) for identity in ids}


async def no_templates_block(_tx: Tx, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Include `templatesApplied`, where nothing deploys templates."""
    return {identity: [] for identity in ids}


async def health_block(_tx: Tx, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Include `health`, where nothing tells of integrations: each is `not_connected`."""
    return {identity: dict.fromkeys(INTEGRATIONS, "not_connected") for identity in ids}
