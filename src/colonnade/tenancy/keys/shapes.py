"""The shapes of API keys on the wire: what makers send, what readers get, and the one answer that holds a text."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadFields, FieldError
from colonnade.ground.web import Body, Instant, Name, Shown, Whole, examples
from colonnade.tenancy.keys.care import Care, MakerKind, MakerStatus, maker_kind
from colonnade.tenancy.keys.model import (
    MEMBER_RATE,
    Changes,
    Draft,
    Key,
    KeyFilters,
    Minted,
    RateLimit,
    RatePatch,
    Status,
)

Scopes = Annotated[list[str], Field(max_length=200, description="Names of scopes; `*` is all that the kind may hold.")]
Allowlist = Annotated[list[str], Field(max_length=100, description="Addresses and CIDR blocks; empty: from anywhere.")]
Description = Annotated[str, Field(max_length=2000)]


class RateLimitBody(Body):
    """So many requests in a window that opens with the first of them."""

    requests: Whole | None = None
    window_seconds: Whole | None = None

    def patch(self) -> RatePatch:
        """What was sent, for the half that was not sent stays or is the usual."""
        return RatePatch(self.requests, self.window_seconds)


class MintKey(Body):
    """A new key."""

    model_config = examples(
        {
            "name": "Nightly reports",
            "scopes": ["content:read", "usage:read"],
            "ipAllowlist": ["203.0.113.0/24"],
            "rateLimit": {"requests": 600, "windowSeconds": 60},
            "expiresAt": "2099-01-01T00:00:00Z",
        }
    )
    name: Name
    description: Description = ""
    scopes: Scopes | None = Field(None, description="Either these or `preset`.")
    preset: str | None = Field(
        None, description="master, management, company, read_only, reporting, workspace or links."
    )
    workspaces: Literal["all"] | list[str] = Field("all", description="For keys of the agency: which they reach.")
    ip_allowlist: Allowlist = Field(default_factory=list)
    rate_limit: RateLimitBody | None = Field(default_factory=RateLimitBody, description="Null: no limit.")
    expires_at: Instant | None = None
    mode: Literal["live", "test"] | None = Field(None, description="Absent: the mode of the key that calls.")

    def draft(self) -> Draft:
        """What is wanted, in the words of the house."""
        return Draft(
            name=self.name,
            description=self.description,
            scopes=self.scopes,
            preset=self.preset,
            workspaces=None if self.workspaces == "all" else list(self.workspaces),
            ip_allowlist=self.ip_allowlist,
            rate_limit=None if self.rate_limit is None else self.rate_limit.patch().on(None),
            expires_at=self.expires_at,
            mode=self.mode,
        )


class ChangeKey(Body):
    """A merge patch (RFC 7396) of a key; null takes away what may be missing."""

    model_config = examples({"description": "Used by the nightly export.", "rateLimit": {"requests": 300}})
    name: Name | None = None
    description: Description | None = None
    scopes: Scopes | None = None
    ip_allowlist: Allowlist | None = None
    rate_limit: RateLimitBody | None = None
    expires_at: Instant | None = None

    def changes(self) -> Changes:
        """What is to be changed; a name and scopes are never missing."""
        sent = self.sent()
        missing = [name for name in ("name", "scopes") if name in sent and sent[name] is None]
        if missing:
            raise BadFields([FieldError(f"/{name}", "cannot be null") for name in missing])
        changes: dict[str, Any] = dict(sent)
        if self.rate_limit is not None:
            changes["rate_limit"] = self.rate_limit.patch()
        for name, nothing in (("description", ""), ("ip_allowlist", [])):
            if name in changes and changes[name] is None:
                changes[name] = nothing
        return cast(Changes, changes)


class RollKey(Body):
    """How long the old text stays good beside the new one."""

    model_config = examples({"overlapSeconds": 3600})
    overlap_seconds: Whole = Field(0, description="0 to 604800; 0 ends the old text at once.")


class RateLimitShown(Shown):
    """So many requests in a window that opens with the first of them."""

    requests: int
    window_seconds: int

    @classmethod
    def of(cls, rate: RateLimit | None) -> "RateLimitShown | None":
        """The limit as callers read it; none is no limit."""
        return None if rate is None else cls(requests=rate.requests, window_seconds=rate.window_seconds)


class KeyShown(Shown):
    """A key; its text is shown by the answer that made it and never again."""

    id: str
    scope: Literal["agency", "workspace"]
    workspace_id: str | None
    name: str
    description: str
    hint: str = Field(description="The last four characters of its text.")
    scopes: Sequence[str]
    workspaces: Literal["all"] | Sequence[str]
    ip_allowlist: Sequence[str]
    rate_limit: RateLimitShown | None
    mode: str
    status: Status = Field(
        description="`rolling` while an old text is good beside the new one, `expiring` in its last seven days."
    )
    expires_at: Instant | None
    revoked_at: Instant | None
    rotated_at: Instant = Field(description="Since when its present text is there.")
    rotation_due: bool = Field(description="Whether that is longer ago than the agency's `rotateAfterDays`.")
    old_secret_ends_at: Instant | None = Field(description="While it is rolling: until when the old text is good.")
    created_by: str
    created_by_kind: MakerKind
    maker_status: MakerStatus | None = Field(
        description="`gone`: the member has left, or the key has ended. Null in a test twin, for makers outside of it."
    )
    created_at: Instant
    updated_at: Instant
    last_used_at: Instant | None
    last_used_ip: str | None

    @classmethod
    def fields_of(cls, key: Key, care: Care) -> dict[str, Any]:
        """The key's fields as callers read them at this instant."""
        reach, status = key.reach.workspace_ids, key.status(care.at)
        return {
            "id": key.id,
            "scope": key.scope,
            "workspace_id": key.workspace_id,
            "name": key.name,
            "description": key.description,
            "hint": key.hint,
            "scopes": sorted(key.held),
            "workspaces": "all" if reach is None else reach,
            "ip_allowlist": [str(network) for network in key.ip_allowlist],
            "rate_limit": RateLimitShown.of(key.rate_limit),
            "mode": key.mode,
            "status": status,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "rotated_at": key.text_made_at or key.created_at,
            "rotation_due": care.rotation_due(key),
            "old_secret_ends_at": key.old_text_ends_at if status == "rolling" else None,
            "created_by": key.created_by,
            "created_by_kind": maker_kind(key.created_by),
            "maker_status": care.maker_status(key),
            "created_at": key.created_at,
            "updated_at": key.updated_at,
            "last_used_at": key.last_used_at,
            "last_used_ip": key.last_used_ip,
        }

    @classmethod
    def of(cls, key: Key, care: Care) -> "KeyShown":
        """The key as callers read it."""
        return cls(**cls.fields_of(key, care))


class MintedShown(KeyShown):
    """A key together with its text."""

    key: str | None = Field(
        None,
        repr=False,
        description="The key itself, for the only time: an answer that is repeated has none. Keep it well.",
    )

    @classmethod
    def minted(cls, minted: Minted, care: Care) -> "MintedShown":
        """The key as its maker reads it once."""
        return cls(**cls.fields_of(minted.key, care), key=minted.secret.reveal())


class WhoShown(Shown):
    """Who calls."""

    kind: Literal["agency", "workspace", "member"]
    key_id: str | None
    member_id: str | None = None
    agency_id: str
    workspace_id: str | None
    workspaces: Literal["all"] | Sequence[str]
    scopes: Sequence[str]
    mode: str
    rate_limit: RateLimitShown | None
    addresses: Sequence[str] = Field(description="From where the key may be used; empty: from anywhere.")

    @classmethod
    def of_key(cls, key: Key) -> "WhoShown":
        """A key as it reads itself."""
        return cls(
            kind=key.scope,
            key_id=key.id,
            agency_id=key.agency_id,
            workspace_id=key.workspace_id,
            workspaces="all" if key.reach.workspace_ids is None else key.reach.workspace_ids,
            scopes=sorted(key.held),
            mode=key.mode,
            rate_limit=RateLimitShown.of(key.rate_limit),
            addresses=[str(network) for network in key.ip_allowlist],
        )

    @classmethod
    def of_member(cls, caller: Caller) -> "WhoShown":
        """A member as they read themselves."""
        return cls(
            kind="member",
            key_id=None,
            member_id=caller.actor_id,
            agency_id=caller.agency_id,
            workspace_id=caller.workspace_id,
            workspaces="all" if caller.reach.workspace_ids is None else caller.reach.workspace_ids,
            scopes=sorted(caller.scopes),
            mode=caller.mode,
            rate_limit=RateLimitShown.of(MEMBER_RATE),
            addresses=[],
        )


class ListKeys(Body):
    """Which part of the keys, from the newest on."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None
    q: str | None = Field(
        None, min_length=1, max_length=200, description="A part of the name or description, or the hint or id."
    )
    status: list[Status] = Field(default_factory=list, description="May stand several times.")
    mode: Literal["live", "test"] | None = None
    created_by: str | None = Field(None, min_length=1, max_length=60, description="The id of a member or a key.")
    unused_since_days: int | None = Field(None, ge=1, le=3650, description="Not used, or never, in so many days.")

    def filters(self) -> KeyFilters:
        """What is asked for, in the words of the house."""
        return KeyFilters(self.q, self.status, self.mode, self.created_by, self.unused_since_days)
