"""How HTTP says the agency: its profile and its settings."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.web import (
    Instant,
    Shown,
    Upload,
    Who,
    access,
    call_of,
    entity_tag,
    examples,
    router,
    takes_file,
)
from colonnade.ground.web.checked import CheckedBody
from colonnade.tenancy import agencies
from colonnade.tenancy.agencies.model import PROFILE, SETTINGS, Agency, settings_in_force
from colonnade.tenancy.agencies.pictures import MEDIA_TYPES, MOST_BYTES, draw

PUBLIC_URL: Final = "public_url"
"""The name under which the application's state may hold the address that the public reaches it by."""

_DRAWING: Final = ThreadPoolExecutor(2, "drawing")
"""Where pictures are drawn anew: never so many at once that nothing else gets done."""

routes = router("Agency")


class ChangeAgency(CheckedBody):
    """A merge patch (RFC 7396) of the agency's profile; null unsets."""

    model_config = examples(
        {"website": "https://northlight.example", "branding": {"primaryColor": "#0a5c8a", "supportEmail": None}}
    )
    rule = PROFILE
    is_patch = True


class ChangeAgencySettings(CheckedBody):
    """A merge patch (RFC 7396) of the agency's settings; null unsets."""

    model_config = examples(
        {"defaultApprovalPolicy": {"outreach_send": "require_approval", "publish": "auto"}},
        {
            "lockedSettings": ["approvalPolicy.outreach_send"],
            "approvalRules": {"publish": {"people": 1, "timeoutSeconds": 86400}},
            "creditPool": "agency",
            "timezone": "Europe/Berlin",
        },
    )
    rule = SETTINGS
    is_patch = True


class Branding(Shown):
    """How the agency shows itself."""

    logo_url: str | None
    primary_color: str | None
    support_email: str | None


class AgencyShown(Shown):
    """The agency."""

    id: str
    name: str
    website: str | None
    branding: Branding
    mode: str = Field(description="`live`, or `test` for the agency's test twin.")
    live_agency_id: str | None = Field(description="On a test twin the agency that it belongs to.")
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, agency: Agency) -> "AgencyShown":
        """The agency as callers read it."""
        return cls(
            id=agency.id,
            name=agency.name,
            website=agency.website,
            branding=Branding(
                logo_url=agency.branding.get("logoUrl"),
                primary_color=agency.branding.get("primaryColor"),
                support_email=agency.branding.get("supportEmail"),
            ),
            mode=agency.mode,
            live_agency_id=agency.live_agency_id,
            created_at=agency.created_at,
            updated_at=agency.updated_at,
        )


class SettingSource(Shown):
    """Where a setting's value comes from."""

    source: str = Field(description="`agency` where the agency has set it, else `default`.")


class AgencySettingsShown(Shown):
    """What holds in the agency; what it has not set is the default. A null sent for a setting goes back to that."""

    default_approval_policy: dict[str, str] = Field(description="For each gate `auto` or `require_approval`.")
    locked_settings: list[str] = Field(description="Settings that no workspace may set for itself.")
    approval_rules: dict[str, dict[str, Any]] = Field(description="For each gate people, timeoutSeconds, routedTo.")
    default_model: str | None = Field(description="Null: the installation's.")
    credit_pool: str
    credit_cycle: dict[str, Any]
    timezone: str
    ip_allowlist: list[str] = Field(description="From where keys may be used and members sign in; empty: anywhere.")
    require_two_factor: bool
    link_limit: int | None
    rotate_after_days: int | None
    audit_retention_days: int | None = Field(
        description="After so many days audit entries lose `before` and `after`; null: never."
    )
    request_log_retention_days: int | None = Field(
        description="For so many days calls stay in the request log; null: the installation's."
    )
    setting_sources: dict[str, SettingSource] = Field(description="For each path where its value comes from.")
    updated_at: Instant

    @classmethod
    def of(cls, agency: Agency) -> "AgencySettingsShown":
        """The settings as callers read them."""
        values, sources = settings_in_force(agency.settings)
        return cls(
            default_approval_policy=values["defaultApprovalPolicy"],
            locked_settings=values["lockedSettings"],
            approval_rules=values["approvalRules"],
            default_model=values["defaultModel"],
            credit_pool=values["creditPool"],
            credit_cycle=values["creditCycle"],
            timezone=values["timezone"],
            ip_allowlist=values["ipAllowlist"],
            require_two_factor=values["requireTwoFactor"],
            link_limit=values["linkLimit"],
            rotate_after_days=values["rotateAfterDays"],
            audit_retention_days=values["auditRetentionDays"],
            request_log_retention_days=values["requestLogRetentionDays"],
            setting_sources={path: SettingSource(source=source) for path, source in sources.items()},
            updated_at=agency.updated_at,
        )


@routes.get("/v1/agency", response_model=AgencyShown)
@access(Who.AGENCY, "agency:read")
async def read_agency(request: Request) -> Response:
    """Read the agency's profile."""
    call = call_of(request)
    async with call.reading() as tx:
        agency = await agencies.get(tx, call.caller)
    return call.answer(200, AgencyShown.of(agency), headers=entity_tag(agency.version))


@routes.patch("/v1/agency", response_model=AgencyShown)
@access(Who.AGENCY, "agency:write")
async def change_agency(request: Request, body: ChangeAgency) -> Response:
    """Change the agency's profile.

    Name, website and branding; what is left out stays.
    """
    call = call_of(request)
    async with call.writing() as tx:
        agency = await agencies.update(
            tx, call.caller, patch=body.sent_json(), expected_version=call.expected_version()
        )
        return call.answer(200, AgencyShown.of(agency), headers=entity_tag(agency.version))


@routes.post("/v1/agency/logo", status_code=201, response_model=AgencyShown)
@access(Who.AGENCY, "agency:write")
@takes_file(Upload("file", MOST_BYTES, MEDIA_TYPES))
async def set_agency_logo(request: Request) -> Response:
    """Set the agency's logo.

    A PNG, JPEG or SVG of at most 2 MiB and 8 to 4096 pixels a side. It is drawn anew, without metadata and without
    anything that acts or loads, and served to everybody at `branding.logoUrl`.
    """
    call = call_of(request)
    picture = await asyncio.get_running_loop().run_in_executor(_DRAWING, draw, call.body)
    base_url = getattr(request.app.state, PUBLIC_URL, None) or str(request.base_url)
    async with call.writing() as tx:
        agency = await agencies.set_logo(tx, call.caller, picture, base_url=base_url)
        headers = {"Location": agency.branding["logoUrl"], **entity_tag(agency.version)}
        return call.answer(201, AgencyShown.of(agency), headers=headers)


@routes.delete("/v1/agency/logo", status_code=204)
@access(Who.AGENCY, "agency:write")
async def remove_agency_logo(request: Request) -> Response:
    """Take the agency's logo away."""
    call = call_of(request)
    async with call.writing() as tx:
        await agencies.remove_logo(tx, call.caller, expected_version=call.expected_version())
        return call.answer(204)


@routes.get("/v1/agency/settings", response_model=AgencySettingsShown)
@access(Who.AGENCY, "agency:read")
async def read_agency_settings(request: Request) -> Response:
    """Read the agency's settings.

    The values that hold, with their sources. Workspaces inherit them unless they set their own value and the setting
    is not locked.
    """
    call = call_of(request)
    async with call.reading() as tx:
        agency = await agencies.get(tx, call.caller)
    return call.answer(200, AgencySettingsShown.of(agency), headers=entity_tag(agency.version))


@routes.patch("/v1/agency/settings", response_model=AgencySettingsShown)
@access(Who.AGENCY, "agency:write")
async def change_agency_settings(request: Request, body: ChangeAgencySettings) -> Response:
    """Change the agency's settings.

    A merge patch; null goes back to the default. Approval policies, approval rules, locks, credit pool and credit
    cycle need the scope `workspaces:govern` besides. An allowlist without the caller's own address is refused.
    """
    call = call_of(request)
    async with call.writing() as tx:
        agency = await agencies.update_settings(
            tx, call.caller, patch=body.sent_json(), expected_version=call.expected_version()
        )
        return call.answer(200, AgencySettingsShown.of(agency), headers=entity_tag(agency.version))
