"""A workspace: one brand of an agency with everything that belongs to it; and what a list of them is asked for."""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Tx

WORKSPACE: Final = "workspace"

Sort = Literal["name", "-name", "createdAt", "-createdAt", "lastActiveAt", "-lastActiveAt"]
Name = tuple[str, str]
"""What is one workspace's alone: `slug`, `external_id` or `primary_domain`, and its value."""

Position = tuple[str | None, str]
"""Where a page ended: the value that it is sorted by, as text (none: never active), and the id of its last row."""

StoredKeys = Callable[[Tx, str, frozenset[str]], Awaitable[frozenset[str]]]
"""Tells for which of these providers the workspace or its agency has stored an own key."""

Adopt = Callable[[Tx, Caller, str, Sequence[str]], Awaitable[None]]
"""Notes for a workspace that is made just now with which templates (by their ids) it shall begin."""

AtWork = Callable[[Tx, str], Awaitable[Sequence[str]]]
"""Tells the ids of what is at work in a workspace at this moment and cannot be taken from under its hands."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What may be set of a workspace; `settings` are its own values alone."""

    name: str
    primary_domain: str | None = None
    slug: str | None = None
    external_id: str | None = None
    industry: str | None = None
    timezone: str = "UTC"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    brand: Mapping[str, Any] = field(default_factory=dict)
    white_label: Mapping[str, Any] = field(default_factory=dict)
    owner_id: str | None = None
    allow_duplicate_domain: bool = False

    @property
    def names(self) -> tuple[Name, ...]:
        """What is its alone, in the order in which clashes are told."""
        named = (("slug", self.slug), ("external_id", self.external_id), ("primary_domain", self.primary_domain))
        return tuple((sort, value) for sort, value in named if value is not None)

    def clash(self, others: Container[Name]) -> Name | None:
        """The first of its names that others have and that it may not have as well."""
        shared = ("primary_domain", self.primary_domain) if self.allow_duplicate_domain else None
        return next((name for name in self.names if name in others and name != shared), None)

    def owned_by(self, member_id: str) -> "Profile":
        """The same with this owner."""
        return replace(self, owner_id=member_id)

    def with_slug(self, slug: str) -> "Profile":
        """The same under another slug."""
        return replace(self, slug=slug)

    def as_sent(self) -> dict[str, Any]:
        """The same in the names of the wire: what a merge patch applies to and the audit log compares."""
        return {
            "name": self.name,
            "primaryDomain": self.primary_domain,
            "slug": self.slug,
            "externalId": self.external_id,
            "industry": self.industry,
            "timezone": self.timezone,
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "settings": dict(self.settings),
            "brand": dict(self.brand),
            "whiteLabel": dict(self.white_label),
            "ownerId": self.owner_id,
            "allowDuplicateDomain": self.allow_duplicate_domain,
        }


@dataclass(frozen=True, slots=True)
class Workspace:
    """One brand with its own settings; what it inherits is told by `effective`."""

    agency_id: str
    id: str
    name: str
    primary_domain: str | None
    allow_duplicate_domain: bool
    slug: str
    external_id: str | None
    industry: str | None
    timezone: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    settings: Mapping[str, Any]
    brand: Mapping[str, Any]
    white_label: Mapping[str, Any]
    owner_id: str | None
    archived_at: datetime | None
    purging_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_active(self) -> bool:
        """Whether it takes writes; an archived one is read only."""
        return self.archived_at is None

    def require_open(self) -> None:
        """Refuse when archived."""
        if not self.is_active:
            raise Refused(
                "workspace.archived",
                f"The workspace {self.name} is archived: it can be read, not written. Restore it first.",
                details={"workspaceId": self.id},
            )

    def require_kept(self) -> None:
        """Refuse when it is being erased."""
        if self.purging_at is not None:
            raise Refused(
                "workspace.purging",
                f"The workspace {self.name} is being erased for good; nothing can be done with it any more.",
                details={"workspaceId": self.id},
            )

    @property
    def profile(self) -> Profile:
        """What may be set of it."""
        return Profile(
            name=self.name,
            primary_domain=self.primary_domain,
            slug=self.slug,
            external_id=self.external_id,
            industry=self.industry,
            timezone=self.timezone,
            tags=self.tags,
            metadata=self.metadata,
            settings=self.settings,
            brand=self.brand,
            white_label=self.white_label,
            owner_id=self.owner_id,
            allow_duplicate_domain=self.allow_duplicate_domain,
        )


@dataclass(frozen=True, slots=True)
class Filters:
    """Which workspaces a list shows; a field that is none does not restrict, several tags must all be there."""

    tags: tuple[str, ...] = ()
    active: bool | None = None
    q: str | None = None
    ids: tuple[str, ...] | None = None

    @property
    def text(self) -> str | None:
        """The part of a name that is asked for, if any."""
        return (self.q or "").strip() or None


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is cut: its order, the length of a page, the position after which it goes on."""

    sort: Sort = "-createdAt"
    limit: int = 50
    after: Position | None = None
    counts_all: bool = False
    """Count beyond the first thousand too."""


@dataclass(frozen=True, slots=True)
class WorkspacePage:
    """A page of workspaces, where the next one begins (none: this is the last), and how many there are in all."""

    items: tuple[Workspace, ...]
    next: Position | None
    total: int | None


@dataclass(frozen=True, slots=True)
class EffectiveSettings:
    """What holds for a workspace, and for each path where it comes from and whether the agency has locked it."""

    values: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, Any]]


Made = Workspace | Refused
"""What became of one that was to be made among others."""


def taken(clash: str, workspace_id: str | None) -> Refused:
    """The refusal for a name that another workspace has."""
    reason, sentence = {
        "slug": ("workspace.slug_taken", "Another workspace of the agency has this slug; choose another."),
        "external_id": (
            "workspace.external_id_taken",
            "Another workspace of the agency has this external id; change that one, or use another.",
        ),
        "primary_domain": (
            "workspace.duplicate_domain",
            "Another active workspace of the agency has this domain; use it, or send `allowDuplicateDomain`.",
        ),
    }[clash]
    return Refused(reason, sentence, details={} if workspace_id is None else {"workspaceId": workspace_id})
