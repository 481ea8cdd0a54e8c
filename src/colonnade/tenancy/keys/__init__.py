"""API keys: how programs enter an agency or one of its workspaces.

Minting, changing, rolling and revoking; the key ring that verifies them, the limiter that counts their calls, and the
keeper that the HTTP door asks. A key's text is shown once and stored nowhere.
"""

from colonnade.ground.db.rings import RingOptions
from colonnade.tenancy.keys.keeper import MOMENTS, KeyKeeper, Limiter, Taken, Uses, rate_of, subject_of
from colonnade.tenancy.keys.makers import narrow_made_by, revoke_made_by, standing_made_by
from colonnade.tenancy.keys.model import (
    MEMBER_RATE,
    USUAL_RATE,
    Changes,
    Draft,
    Key,
    Minted,
    RateLimit,
    RatePatch,
    address_refused,
    is_on,
)
from colonnade.tenancy.keys.partner import PartnerKeys
from colonnade.tenancy.keys.ring import KeyRing, Verified, agency_networks
from colonnade.tenancy.keys.service import count, find, for_installation, get, mint, page, revoke, roll, update

__all__ = [
    "MEMBER_RATE",
    "MOMENTS",
    "USUAL_RATE",
    "Changes",
    "Draft",
    "Key",
    "KeyKeeper",
    "KeyRing",
    "Limiter",
    "Minted",
    "PartnerKeys",
    "RateLimit",
    "RatePatch",
    "RingOptions",
    "Taken",
    "Uses",
    "Verified",
    "address_refused",
    "agency_networks",
    "count",
    "find",
    "for_installation",
    "get",
    "is_on",
    "mint",
    "narrow_made_by",
    "page",
    "rate_of",
    "revoke",
    "revoke_made_by",
    "roll",
    "standing_made_by",
    "subject_of",
    "update",
]
