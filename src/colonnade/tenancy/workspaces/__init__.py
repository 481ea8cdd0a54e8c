"""Workspaces: one brand each, with its own profile, tags, brand context and settings, inheriting the agency's."""

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
from colonnade.tenancy.workspaces.service import (
    create,
    ensure_open,
    exists,
    find_by_external,
    get,
)

__all__ = [
    "EffectiveSettings",
    "Filters",
    "Paging",
    "Position",
    "Sort",
    "StoredKeys",
    "Workspace",
    "WorkspacePage",
    "create",
    "ensure_open",
    "exists",
    "find_by_external",
    "get",
]
