"""Workspaces: one brand each, with its own profile, tags, brand context and settings, inheriting the agency's."""

from colonnade.tenancy.workspaces.activity import Activity
from colonnade.tenancy.workspaces.blocks import (
    INTEGRATIONS,
    brand,
    effective,
    health_block,
    in_force,
    in_force_for,
    last_active_block,
    no_templates_block,
)
from colonnade.tenancy.workspaces.checks import SHARED, SLUG
from colonnade.tenancy.workspaces.choosing import Brief, all_active, known, roll_call
from colonnade.tenancy.workspaces.finder import EXTERNAL, WorkspaceFinder
from colonnade.tenancy.workspaces.making import create, create_many, no_templates
from colonnade.tenancy.workspaces.matching import matching
from colonnade.tenancy.workspaces.model import (
    Adopt,
    AtWork,
    EffectiveSettings,
    Filters,
    Paging,
    Position,
    Sort,
    StoredKeys,
    Workspace,
    WorkspacePage,
)
from colonnade.tenancy.workspaces.naming import normalized_domain
from colonnade.tenancy.workspaces.ownership import appoint, colleagues, dismiss, hand_over, transfer
from colonnade.tenancy.workspaces.pages import page
from colonnade.tenancy.workspaces.purging import nothing_at_work, purge
from colonnade.tenancy.workspaces.reader import WorkspaceReader, WorkspaceView
from colonnade.tenancy.workspaces.service import (
    archive,
    differs,
    ensure_open,
    exists,
    find_by_external,
    get,
    hold_open,
    no_stored_keys,
    restore,
    update,
)
from colonnade.tenancy.workspaces.settings import is_governed, leaves, plain_in_force

__all__ = [
    "EXTERNAL",
    "INTEGRATIONS",
    "SHARED",
    "SLUG",
    "Activity",
    "Adopt",
    "AtWork",
    "Brief",
    "EffectiveSettings",
    "Filters",
    "Paging",
    "Position",
    "Sort",
    "StoredKeys",
    "Workspace",
    "WorkspaceFinder",
    "WorkspacePage",
    "WorkspaceReader",
    "WorkspaceView",
    "all_active",
    "appoint",
    "archive",
    "brand",
    "colleagues",
    "create",
    "create_many",
    "differs",
    "dismiss",
    "effective",
    "ensure_open",
    "exists",
    "find_by_external",
    "get",
    "hand_over",
    "health_block",
    "hold_open",
    "in_force",
    "in_force_for",
    "is_governed",
    "known",
    "last_active_block",
    "leaves",
    "matching",
    "no_stored_keys",
    "no_templates",
    "no_templates_block",
    "normalized_domain",
    "nothing_at_work",
    "page",
    "plain_in_force",
    "purge",
    "restore",
    "roll_call",
    "transfer",
    "update",
]
