"""The bodies and answers of workspaces on the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from colonnade.ground.web import Body, Instant, Shown, examples
from colonnade.ground.web.checked import CheckedBody
from colonnade.tenancy.workspaces.checks import NEW, PROFILE
from colonnade.tenancy.workspaces.model import Filters, Sort, Workspace


class CreateWorkspace(CheckedBody):
    """A new workspace; only the name is required, everything else is inherited or made from it."""

    model_config = examples(
        {
            "name": "Beta Project Management",
            "primaryDomain": "betapm.com",
            "settings": {"primaryLocation": "uk", "primaryLanguage": "en"},
        },
        {
            "name": "Acme PM",
            "externalId": "crm-1042",
            "timezone": "Europe/Berlin",
            "tags": ["tier:premium"],
            "settings": {"approvalPolicy": {"publish": "require_approval"}, "creditPool": "workspace"},
            "brand": {
                "shortDescription": "Project management for engineering teams, with capacity tracking",
                "primaryKeywords": ["capacity planning for engineers"],
                "voice": "Confident, technical, second person.",
            },
        },
    )
    rule = NEW


class ChangeWorkspace(CheckedBody):
    """A merge patch (RFC 7396) of a workspace; null goes back to what is inherited, or unsets."""

    model_config = examples(
        {"industry": "software", "settings": {"approvalPolicy": {"publish": "auto"}, "defaultModel": None}}
    )
    rule = PROFILE
    is_patch = True


class PurgeWorkspace(Body):
    """Confirms that a workspace shall be erased."""

    model_config = examples({"confirm": "Acme PM"})
    confirm: str | None = Field(
        None, max_length=255, description="The workspace's name; needed in the first 30 days after archiving."
    )


class ReadWorkspace(Body):
    """What is told of the workspace beyond its usual fields."""

    include: str | None = Field(None, max_length=300, description="Names of blocks, joined by commas.")


class ListWorkspaces(Body):
    """Which workspaces, in which order, and with which blocks."""

    include: str | None = Field(None, max_length=300, description="Names of blocks, joined by commas.")
    tag: list[str] = Field(default_factory=list, max_length=20, description="`key:value`; several must all be there.")
    active: bool | None = Field(None, description="`false` lists the archived ones.")
    q: str | None = Field(None, max_length=200, description="A part of name, domain, slug or external id.")
    ids: str | None = Field(None, max_length=4000, description="Ids, joined by commas.")
    sort: Sort = "-createdAt"
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None

    def filters(self) -> Filters:
        """What is asked for."""
        ids = None if self.ids is None else tuple(one.strip() for one in self.ids.split(",") if one.strip())
        return Filters(tags=tuple(self.tag), active=self.active, q=self.q, ids=ids)


BLOCKS: Final = (
    *("settings", "settingSources", "brand", "lastActiveAt", "usage", "health", "integrations", "templatesApplied"),
)
"""Every block that a workspace may be shown with."""


class WorkspaceShown(Shown):
    """A workspace. Blocks that were not asked for are left out."""

    id: str
    external_id: str | None = Field(description="Your own id for it; usable as `ext:ID` in paths.")
    name: str
    primary_domain: str | None
    slug: str
    industry: str | None
    timezone: str
    tags: list[str]
    metadata: Mapping[str, Any]
    active: bool = Field(description="False for an archived one, which can be read and not written.")
    archived_at: Instant | None
    purging_at: Instant | None = Field(description="Since when it is being erased for good.")
    agency_account_id: str
    owner_id: str | None
    allow_duplicate_domain: bool
    white_label: Mapping[str, Any]
    created_at: Instant
    updated_at: Instant
    settings: Mapping[str, Any] | None = Field(None, description="What holds: own values, else inherited ones.")
    setting_sources: Mapping[str, Any] | None = Field(None, description="Where each setting comes from; its lock.")
    brand: Mapping[str, Any] | None = None
    last_active_at: str | None = Field(None, description="The latest run, post or keyed write.")
    usage: Mapping[str, Any] | None = None
    health: Mapping[str, Any] | None = None
    integrations: Sequence[Any] | Mapping[str, Any] | None = None
    templates_applied: Sequence[Mapping[str, Any]] | None = Field(
        None, description="For each template its version, `state` (pending, applied, failed) and `mode` (pin, follow)."
    )

    @model_serializer(mode="wrap")
    def _leave_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        for name, field in _FIELDS.items():
            if field not in self.model_fields_set:
                del written[name]
        return written

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The fields themselves, which the serializer above would hide from the document."""
        inner = {name: value for name, value in core_schema.items() if name != "serialization"}
        return handler(inner)

    @classmethod
    def of(cls, workspace: Workspace, blocks: Mapping[str, Any]) -> "WorkspaceShown":
        """The workspace as callers read it, with these blocks under their wire names."""
        named = {_FIELDS[name]: value for name, value in blocks.items()}
        return cls(
            id=workspace.id,
            external_id=workspace.external_id,
            name=workspace.name,
            primary_domain=workspace.primary_domain,
            slug=workspace.slug,
            industry=workspace.industry,
            timezone=workspace.timezone,
            tags=list(workspace.tags),
            metadata=workspace.metadata,
            active=workspace.is_active,
            archived_at=workspace.archived_at,
            purging_at=workspace.purging_at,
            agency_account_id=workspace.agency_id,
            owner_id=workspace.owner_id,
            allow_duplicate_domain=workspace.allow_duplicate_domain,
            white_label=workspace.white_label,
            created_at=workspace.created_at,
            updated_at=workspace.updated_at,
            **named,
        )


_FIELDS: Final = {to_camel(name): name for name in WorkspaceShown.model_fields if to_camel(name) in BLOCKS}


class SettingsShown(Shown):
    """What holds for a workspace, and where it comes from."""

    workspace_id: str
    settings: Mapping[str, Any]
    setting_sources: Mapping[str, Any] = Field(
        description="For each path `source` (workspace, agency, default) and `locked`."
    )


class HealthShown(Shown):
    """How the workspace's integrations are."""

    workspace_id: str
    health: Mapping[str, Any] = Field(
        description="For each integration `healthy`, `warning`, `error` or `not_connected`."
    )
