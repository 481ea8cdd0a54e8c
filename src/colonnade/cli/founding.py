"""Making agencies: the command of the operator, and the demo that `up` makes in an empty installation."""

from dataclasses import dataclass
from typing import Any, Final

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, keys, people, workspaces

DEMO_CREDITS: Final = MilliCredits(1_000_000)

DEMO_BRANDS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "Patagonia",
        "primaryDomain": "patagonia.com",
        "industry": "outdoor apparel",
        "timezone": "America/Los_Angeles",
        "tags": ["industry:retail", "tier:premium"],
        "brand": {
            "shortDescription": "Outdoor clothing and gear that is made to last and to be repaired",
            "voice": "Plain, warm and direct; speak to people who are outside a lot; no superlatives.",
            "primaryKeywords": ["repairable outdoor clothing", "recycled rain jacket"],
            "pillars": ["Repair", "Materials", "Places"],
        },
    },
    {
        "name": "Nespresso",
        "primaryDomain": "nespresso.com",
        "industry": "coffee",
        "timezone": "Europe/Zurich",
        "tags": ["industry:food", "tier:premium"],
        "brand": {
            "shortDescription": "Portioned coffee, machines and the recycling of used capsules",
            "voice": "Calm and precise; write as a host who knows coffee; second person.",
            "primaryKeywords": ["coffee capsule recycling", "espresso at home"],
            "pillars": ["Origins", "Recipes", "Recycling"],
        },
    },
    {
        "name": "Linear",
        "primaryDomain": "linear.app",
        "industry": "project management software",
        "timezone": "America/Los_Angeles",
        "tags": ["industry:saas", "tier:premium"],
        "brand": {
            "shortDescription": "Issue tracking and project planning for software teams",
            "voice": "Confident, technical, second person; short sentences; avoid corporate phrases.",
            "primaryKeywords": ["issue tracking for software teams", "sprint planning"],
            "pillars": ["Planning", "Speed", "Craft"],
        },
    },
)


@dataclass(frozen=True, slots=True)
class Made:
    """An agency that was just made, with its first key: the only time that the key is in clear."""

    agency_id: str
    owner_id: str
    key: Secret


async def make_agency(database: Database, *, name: str, owner_email: str, milli: MilliCredits) -> Made:
    """An agency with its owner, its master key and, where wanted, its first credits."""
    founded = await people.found_agency(database, name=name, owner_email=owner_email)
    operator = agencies.entering(founded.agency.id)
    async with database.transaction(operator.reach) as tx:
        minted = await keys.for_installation(tx)
        if milli:
            await credits.grant(tx, operator, amount=milli, note="First credits")
    return Made(founded.agency.id, founded.owner.id, minted.secret)


async def make_demo(database: Database) -> Made:
    """The demo agency with three brands, credits and a policy under which nothing is published unasked."""
    made = await make_agency(database, name="Demo Agency", owner_email="owner@demo-agency.example", milli=DEMO_CREDITS)
    operator = agencies.entering(made.agency_id)
    async with database.transaction(operator.reach) as tx:
        await agencies.update_settings(tx, operator, patch={"defaultApprovalPolicy": {"publish": "require_approval"}})
        for brand in DEMO_BRANDS:
            await workspaces.create(tx, operator, fields=dict(brand))
    return made
