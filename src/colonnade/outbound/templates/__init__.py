"""Templates: named, versioned sets of settings, brand and content, and where which version of them is deployed.

A version never changes. Deploying compares field by field what was deployed, what stands there, and what is wanted.
"""

from colonnade.outbound.templates.bulk_action import ACTION, NAME
from colonnade.outbound.templates.deploying import Deployed, Order, adopt, applied_block, deploy, rehearse
from colonnade.outbound.templates.drifting import Drift, drift_in, drift_of
from colonnade.outbound.templates.fields import Change, Field
from colonnade.outbound.templates.model import Mode, Template, Version
from colonnade.outbound.templates.service import Slice, create, delete, get, page, update, version, versions

__all__ = [
    "ACTION",
    "NAME",
    "Change",
    "Deployed",
    "Drift",
    "Field",
    "Mode",
    "Order",
    "Slice",
    "Template",
    "Version",
    "adopt",
    "applied_block",
    "create",
    "delete",
    "deploy",
    "drift_in",
    "drift_of",
    "get",
    "page",
    "rehearse",
    "update",
    "version",
    "versions",
]
