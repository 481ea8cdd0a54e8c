"""Workspaces: one brand each, with its own profile, tags, brand context and settings, inheriting the agency's."""

from colonnade.tenancy.workspaces.activity import Activity
from colonnade.tenancy.workspaces.blocks import (
    INTEGRATIONS,
    brand,
    brand_block,
    effective,
    health_block,
    in_force,
    in_force_for,
    last_active_block,
    settings_block,
    sources_block,
)
from colonnade.tenancy.workspaces.choosing import all_active, known
from colonnade.tenancy.workspaces.finder import EXTERNAL, WorkspaceFinder
from colonnade.tenancy.workspaces.model import (
    EffectiveSettings,
    Filters,
    Paging,
    Position,
    Sort,
    StoredKeys,
    Workspace,
    WorkspacePage,
)
from colonnade.tenancy.workspaces.pages import page
from colonnade.tenancy.workspaces.reader import WorkspaceReader, WorkspaceView
from colonnade.tenancy.workspaces.service import (
    archive,
    create,
    ensure_open,
    exists,
    find_by_external,
    get,
    no_stored_keys,
    restore,
    update,
)

__all__ = [
    "EXTERNAL",
    "INTEGRATIONS",
    "Activity",
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
    "archive",
    "brand",
    "brand_block",
    "create",
    "effective",
    "ensure_open",
    "exists",
    "find_by_external",
    "get",
    "health_block",
    "in_force",
    "in_force_for",
    "known",
    "last_active_block",
    "no_stored_keys",
    "page",
    "restore",
    "settings_block",
    "sources_block",
    "update",
]
