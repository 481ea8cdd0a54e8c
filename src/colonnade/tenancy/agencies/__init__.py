"""The agency: its profile, its settings, and the policy that its workspaces inherit.

An agency is made together with its owner by `people.found_agency`; here is the agency's own row.
"""

from colonnade.tenancy.agencies.logo_store import find_public as find_logo
from colonnade.tenancy.agencies.model import (
    APPROVAL_POLICY,
    COLOR,
    CREDIT_POOL,
    EMAIL,
    GATES,
    LOCKABLE,
    MODEL,
    URL,
    Agency,
    approval_default,
    is_locked,
    timezone,
)
from colonnade.tenancy.agencies.pictures import Picture
from colonnade.tenancy.agencies.service import (
    create,
    ensure_test_twin,
    entering,
    get,
    in_force,
    remove_logo,
    set_logo,
    update,
    update_settings,
)

__all__ = [
    "APPROVAL_POLICY",
    "COLOR",
    "CREDIT_POOL",
    "EMAIL",
    "GATES",
    "LOCKABLE",
    "MODEL",
    "URL",
    "Agency",
    "Picture",
    "approval_default",
    "create",
    "ensure_test_twin",
    "entering",
    "find_logo",
    "get",
    "in_force",
    "is_locked",
    "remove_logo",
    "set_logo",
    "timezone",
    "update",
    "update_settings",
]
