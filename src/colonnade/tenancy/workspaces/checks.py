"""What the fields of a workspace may hold; every bad one is named at once."""

from collections.abc import Mapping
from typing import Any, Final

from colonnade.ground.core import checking
from colonnade.ground.core.checking import Check, Findings, Rule
from colonnade.ground.core.refusals import BadField
from colonnade.tenancy.agencies import APPROVAL_POLICY, COLOR, CREDIT_POOL, EMAIL, MODEL, URL, timezone
from colonnade.tenancy.workspaces.model import Profile
from colonnade.tenancy.workspaces.naming import normalized_domain

_LONG: Final = 20_000
_METADATA_MOST: Final = 100


def _read_domain(value: Any, pointer: str, findings: Findings) -> Any:
    if not isinstance(value, str):
        findings.add(pointer, "must be text")
        return None
    try:
        return normalized_domain(value)
    except ValueError as error:
        findings.add(pointer, str(error))
        return value


_domain: Final = Rule(_read_domain, {"type": "string", "examples": ["acme.com"], "description": "A bare host."})


def _metadata(value: Any, pointer: str, findings: Findings) -> Any:
    kept = checking.free_object(value, pointer, findings)
    if len(kept) > _METADATA_MOST:
        findings.add(pointer, f"must have at most {_METADATA_MOST} fields")
    return kept


_PUBLISHING: Final = checking.shape({"kind": checking.one_of("folder", "webhook"), "url": URL}, ["kind"])


def _publishing(value: Any, pointer: str, findings: Findings) -> Any:
    kept = _PUBLISHING(value, pointer, findings)
    if kept.get("kind") == "webhook" and "url" not in kept:
        findings.add(f"{pointer}/url", "is required to publish by webhook")
    if kept.get("kind") == "folder" and "url" in kept:
        findings.add(f"{pointer}/url", "belongs to publishing by webhook alone")
    return kept


SETTINGS: Final[dict[str, Check]] = {
    "primaryLocation": checking.text(1, 200),
    "primaryLanguage": checking.text(
        2, 35, pattern="[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", says="must be a language tag such as en or pt-BR"
    ),
    "defaultModel": MODEL,
    "approvalPolicy": APPROVAL_POLICY,
    "creditPool": CREDIT_POOL,
    "borrowLimit": checking.credits_amount,
    "byok": checking.mapping_of(
        checking.boolean, 50, name="[a-z][a-z0-9_-]{0,39}", says="must be a provider's name such as anthropic"
    ),
    "publishing": Rule(_publishing, _PUBLISHING.schema),
}


def _text_or_object(most: int) -> Check:
    words = checking.text(1, most)

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        return (words if isinstance(value, str) else checking.free_object)(value, pointer, findings)

    return Rule(check, {"anyOf": [words.schema, checking.free_object.schema]})


_BRAND: Final[dict[str, Check]] = {
    "shortDescription": checking.text(1, 2_000),
    "detailedDescription": checking.text(1, _LONG),
    "icps": checking.list_of(_text_or_object(2_000), 50),
    "primaryKeywords": checking.list_of(checking.text(1, 200), 200, distinct=True),
    "voice": checking.text(1, 5_000),
    "pillars": checking.list_of(_text_or_object(500), 100),
    "competitors": checking.list_of(_text_or_object(500), 100),
}

_WHITE_LABEL: Final[dict[str, Check]] = {
    "enabled": checking.boolean,
    "name": checking.text(1, 255),
    "logoUrl": URL,
    "primaryColor": COLOR,
    "supportEmail": EMAIL,
    "customDomain": _domain,
    "senderName": checking.text(1, 255),
    "footer": checking.text(1, 2_000),
}

SLUG: Final = checking.text(1, 48, pattern="[a-z0-9-]+", says="must be lower-case letters, digits and hyphens")

_PROFILE: Final[dict[str, Check]] = {
    "name": checking.text(1, 255),
    "primaryDomain": _domain,
    "slug": SLUG,
    "externalId": checking.text(1, 255, pattern=r"[^/\s]+", says="must not contain white space or a slash"),
    "industry": checking.text(1, 255),
    "timezone": timezone,
    "tags": checking.list_of(
        checking.text(3, 100, pattern=r"[\w.-]{1,50}:\S(?:.*\S)?", says="must be key:value such as tier:premium"),
        100,
        distinct=True,
    ),
    "metadata": Rule(_metadata, {"type": "object", "maxProperties": _METADATA_MOST}),
    "settings": checking.shape(SETTINGS),
    "brand": checking.shape(_BRAND),
    "whiteLabel": checking.shape(_WHITE_LABEL),
    "ownerId": checking.text(1, 64),
    "allowDuplicateDomain": checking.boolean,
}
PROFILE: Final = checking.shape(_PROFILE, ["name"])
"""A workspace as it is changed."""

NEW: Final = checking.shape(
    {
        **_PROFILE,
        "templates": checking.list_of(checking.text(1, 64), 20, distinct=True),
        "integrations": checking.list_of(
            checking.text(1, 40, pattern="[a-z][a-z0-9_-]{0,39}", says="must be a provider's name such as ahrefs"),
            50,
            distinct=True,
        ),
    },
    ["name"],
)
"""A workspace as it is made: with the templates that it begins with, and the providers whose own keys it uses."""

SHARED: Final[Mapping[str, Check]] = {name: _PROFILE[name] for name in ("settings", "brand", "whiteLabel", "tags")}
"""What workspaces may have in common, by its name on the wire: the rules that a template's contents obey as well."""


def read_new(sent: Any) -> tuple[Profile, list[str]]:
    """A workspace that is to be made, and the ids of its templates; `integrations` are `settings.byok` switched on."""
    findings = Findings()
    kept = NEW(sent, "", findings)
    findings.refuse_if_any()
    templates, providers = kept.pop("templates", []), kept.pop("integrations", [])
    if providers:
        settings = kept.get("settings", {})
        kept["settings"] = {**settings, "byok": {**dict.fromkeys(providers, True), **settings.get("byok", {})}}
    return _profile(kept), templates


def read(sent: Any) -> Profile:
    """The profile of a workspace as it shall be kept, or a refusal that names every bad field."""
    findings = Findings()
    kept = PROFILE(sent, "", findings)
    findings.refuse_if_any()
    return _profile(kept)


def _profile(kept: Mapping[str, Any]) -> Profile:
    return Profile(
        name=kept["name"],
        primary_domain=kept.get("primaryDomain"),
        slug=kept.get("slug"),
        external_id=kept.get("externalId"),
        industry=kept.get("industry"),
        timezone=kept.get("timezone", "UTC"),
        tags=tuple(kept.get("tags", ())),
        metadata=kept.get("metadata", {}),
        settings=without_empty(kept.get("settings", {})),
        brand=kept.get("brand", {}),
        white_label=kept.get("whiteLabel", {}),
        owner_id=kept.get("ownerId"),
        allow_duplicate_domain=kept.get("allowDuplicateDomain", False),
    )


def merged(profile: Profile, patch: Any) -> Profile:
    """The profile with a merge patch (RFC 7396) applied and checked; a slug can be changed, never unset."""
    sent = checking.merged(PROFILE.schema, profile.as_sent(), patch)
    if not isinstance(patch, dict):
        return read(sent)
    if patch.get("slug", "") is None:
        raise BadField("/slug", "cannot be unset; leave it out or send another")
    return read(sent)


def without_empty(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without objects in which nothing is set: those are inherited whole."""
    return {name: value for name, value in settings.items() if value != {}}
