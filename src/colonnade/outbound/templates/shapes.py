"""The bodies and answers of templates on the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from colonnade.ground.web import Body, Flag, Instant, Shown, examples
from colonnade.ground.web.checked import CheckedBody
from colonnade.outbound.templates import Change, Deployed, Drift, Mode, Order, Template, Version
from colonnade.outbound.templates import Field as DeployedField
from colonnade.outbound.templates.model import TEMPLATE

_VERSION_MOST = 2**31 - 1


class CreateTemplate(CheckedBody):
    """A new template; only the name is required."""

    model_config = examples(
        {
            "name": "Standard client",
            "description": "What every new client of ours begins with",
            "contents": {
                "settings": {"primaryLanguage": "en", "approvalPolicy": {"publish": "require_approval"}},
                "brand": {"voice": "Confident, technical, second person."},
                "tags": ["tier:standard"],
                "posts": [{"key": "welcome", "title": "Welcome", "body": "Who we are and what we do."}],
            },
        }
    )
    rule = TEMPLATE


class ChangeTemplate(CheckedBody):
    """A merge patch (RFC 7396) of a template; null takes a part out of it."""

    model_config = examples({"contents": {"brand": {"voice": "Warm and plain.", "pillars": None}}})
    rule = TEMPLATE
    is_patch = True


class ListTemplates(Body):
    """Which templates, and how the list is cut."""

    q: str | None = Field(None, max_length=200, description="A part of the name.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None


class Cut(Body):
    """How the list is cut."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None


class DeployTemplate(Body):
    """Where a template shall be deployed, and how."""

    model_config = examples({"workspaceId": "ws_01arz3ndektsv4rrffq69g5fav", "onConflict": "keep", "dryRun": True})
    workspace_id: str = Field(max_length=64)
    version: int | None = Field(None, ge=1, le=_VERSION_MOST, strict=True, description="Absent: the latest.")
    on_conflict: Literal["keep", "overwrite"] = Field(
        "keep", description="What wins where a field was changed by hand."
    )
    mode: Mode | None = Field(
        None, description="`follow`: later versions come by themselves, keeping what was changed by hand. Else `pin`."
    )
    dry_run: Flag = Field(False, description="Tell what would happen, and do nothing.")

    def order(self, template_id: str) -> Order:
        """What is wanted."""
        return Order(template_id, self.version, self.on_conflict == "overwrite", self.mode)


class TemplateShown(Shown):
    """A template as its latest version says."""

    id: str
    name: str
    description: str
    version: int
    contents: Mapping[str, Any]
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, template: Template) -> "TemplateShown":
        """The template as callers read it."""
        wording = template.wording
        return cls(
            id=template.id,
            name=wording.name,
            description=wording.description,
            version=template.version,
            contents=wording.contents,
            created_at=template.created_at,
            updated_at=template.updated_at,
        )


class VersionShown(Shown):
    """What a template said at one time."""

    template_id: str
    version: int
    name: str
    description: str
    contents: Mapping[str, Any]
    created_by: str
    created_at: Instant

    @classmethod
    def of(cls, version: Version) -> "VersionShown":
        """The version as callers read it."""
        return cls(
            template_id=version.template_id,
            version=version.number,
            name=version.wording.name,
            description=version.wording.description,
            contents=version.contents,
            created_by=version.created_by["id"],
            created_at=version.created_at,
        )


class FieldShown(Shown):
    """What has become of one field."""

    path: str = Field(description="Such as `settings.approvalPolicy.publish`, `brand.voice` or `posts.welcome`.")
    outcome: Literal["applied", "kept", "same"]
    because: Literal["conflict", "locked"] | None = Field(
        description="Why it was kept: changed by hand, or locked by the agency."
    )
    template: Any = Field(description="What the version wants; null where it takes its own value back.")
    workspace: Any = Field(description="How it stood before.")

    @classmethod
    def of(cls, field: DeployedField) -> "FieldShown":
        """The field as callers read it."""
        return cls(
            path=field.name,
            outcome=field.outcome,
            because=field.because,
            template=field.template,
            workspace=field.workspace,
        )


class FieldCounts(Shown):
    """How many fields ended how."""

    applied: int
    kept: int
    same: int


class DeployedShown(Shown):
    """What a deployment has done, or would do."""

    template_id: str
    workspace_id: str
    version: int
    mode: Mode
    dry_run: bool
    counts: FieldCounts
    fields: Sequence[FieldShown]

    @classmethod
    def of(cls, done: Deployed, *, dry_run: bool) -> "DeployedShown":
        """The deployment as callers read it."""
        names = done.names
        return cls(
            template_id=done.template_id,
            workspace_id=done.workspace_id,
            version=done.version,
            mode=done.mode,
            dry_run=dry_run,
            counts=FieldCounts(applied=len(names["applied"]), kept=len(names["kept"]), same=len(names["same"])),
            fields=[FieldShown.of(field) for field in done.fields],
        )


class ChangeShown(Shown):
    """A field that no longer stands as the deployed version says."""

    path: str
    template: Any
    workspace: Any

    @classmethod
    def of(cls, change: Change) -> "ChangeShown":
        """The field as callers read it."""
        return cls(path=change.name, template=change.template, workspace=change.workspace)


class DriftShown(Shown):
    """How far a workspace is from a template."""

    workspace_id: str
    template_id: str
    version: int = Field(description="The one that is deployed there.")
    behind: int | None = Field(description="How many versions came after it; null for a deleted template.")
    mode: Mode
    changes: Sequence[ChangeShown] = Field(description="What was changed by hand.")

    @classmethod
    def of(cls, drift: Drift) -> "DriftShown":
        """The drift as callers read it."""
        return cls(
            workspace_id=drift.workspace_id,
            template_id=drift.template_id,
            version=drift.version,
            behind=drift.behind,
            mode=drift.mode,
            changes=[ChangeShown.of(change) for change in drift.changes],
        )
