"""Scopes: the closed list of what a credential may do, the presets for keys, and the roles of people."""

from collections.abc import Iterable
from typing import Final

_AGENCY_ALONE: Final = {
    "agency:read": "Read the agency's profile and settings",
    "agency:write": "Change the agency's profile and settings",
    "templates:write": "Make and deploy templates",
    "members:read": "Read the agency's members",
    "members:write": "Invite, change and remove members",
    "audit:read": "Read the audit log and the request log",
    "workspaces:create": "Make workspaces",
    "workspaces:archive": "Archive and restore workspaces",
    "workspaces:purge": "Erase an archived workspace for good",
    "workspaces:act": "Work with what lives inside the workspaces",
    "workspaces:govern": "Set approval policies, credit pools, caps and locks",
    "credits:grant": "Grant credits",
    "credits:transfer": "Move credits between pools",
    "credits:cap": "Set hard caps on credits",
    "clients:create": "Make clients",
    "clients:read": "Read clients",
    "clients:edit": "Change clients",
    "clients:delete": "Delete clients",
    "links:create": "Make access requests",
    "links:read": "Read access requests",
    "links:edit": "Change access requests",
    "links:delete": "Delete access requests",
    "links:tokens": "Read retained access tokens",
}

_BOTH: Final = {
    "workspaces:read": "Read workspaces and their effective settings",
    "workspaces:write": "Change workspaces, their brand and their settings",
    "templates:read": "Read templates",
    "integrations:read": "Read connected accounts and own provider keys (never the secrets)",
    "integrations:write": "Connect accounts and store own provider keys",
    "content:read": "Read posts, files and pages",
    "content:write": "Write posts, files and pages",
    "keywords:read": "Read keywords and ranks",
    "keywords:write": "Change keywords",
    "research:read": "Read research",
    "research:write": "Do research",
    "outreach:read": "Read outreach",
    "outreach:write": "Do outreach",
    "reports:read": "Read reports and analytics",
    "reports:write": "Make reports",
    "webhooks:read": "Read webhook endpoints",
    "webhooks:write": "Change webhook endpoints",
    "keys:read": "Read API keys (never the secrets)",
    "keys:write": "Make, roll and revoke API keys",
    "usage:read": "Read usage and statements",
    "usage:write": "Report usage events and set alerts",
    "runs:start": "Start runs",
    "runs:cancel": "Cancel runs",
    "runs:read": "Read runs",
    "approvals:read": "Read approvals",
    "approvals:decide": "Approve, edit and reject",
    "credits:read": "Read balances and the ledger",
    "credits:charge": "Hold and charge credits for work of one's own services",
}

SCOPES: Final[dict[str, str]] = dict(sorted({**_AGENCY_ALONE, **_BOTH}.items()))
"""Every scope with what it allows."""

WORKSPACE_SCOPES: Final = frozenset(_BOTH)
"""What a workspace key may hold."""

AGENCY_SCOPES: Final = frozenset(SCOPES)
"""What an agency key may hold: everything."""

_READS: Final = frozenset(name for name in SCOPES if name.endswith(":read"))

_MANAGEMENT: Final = frozenset(
    {
        *("agency:read", "agency:write", "templates:read", "templates:write"),
        *("workspaces:read", "workspaces:write", "workspaces:create", "workspaces:archive", "workspaces:govern"),
        *("keys:read", "keys:write", "members:read", "members:write"),
        *("usage:read", "credits:read", "credits:transfer", "credits:cap", "audit:read"),
    }
)

PRESETS: Final[dict[str, frozenset[str]]] = {
    "master": AGENCY_SCOPES,
    "management": _MANAGEMENT,
    # Holds what workspace keys may hold in order to hand it on; without `workspaces:act` it cannot use it itself.
    "company": _MANAGEMENT | WORKSPACE_SCOPES,
    "read_only": _READS | {"workspaces:act"},
    "reporting": frozenset({"workspaces:read", "usage:read", "reports:read", "reports:write", "workspaces:act"}),
    "workspace": WORKSPACE_SCOPES,
    "links": frozenset(name for name in SCOPES if name.startswith(("clients:", "links:"))),
}
"""Named sets of scopes for keys; a workspace key takes what of a preset its kind may hold."""

ROLES: Final[dict[str, frozenset[str]]] = {
    "owner": AGENCY_SCOPES,
    "admin": AGENCY_SCOPES - {"workspaces:purge"},
    "manager": (WORKSPACE_SCOPES - {"keys:write"})
    | {"agency:read", "workspaces:act", "members:read", "clients:read", "links:read"},
    "viewer": (_READS - {"audit:read", "keys:read"}) | {"workspaces:act"},
}
"""What each role of a member may do."""


def holdable(kind: str) -> frozenset[str]:
    """The scopes that a key of this kind (`agency` or `workspace`) may hold at all."""
    return AGENCY_SCOPES if kind == "agency" else WORKSPACE_SCOPES


def expand(names: Iterable[str], kind: str) -> frozenset[str]:
    """The scopes behind a list that may hold `*`; the names are expected to be checked against the closed list."""
    wanted = frozenset(names)
    return holdable(kind) if "*" in wanted else wanted
