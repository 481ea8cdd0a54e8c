"""API keys and their rules: what a key may hold, until when it is good, and from where it may call.

No clock and no database here: instants and addresses are handed in.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict

from colonnade.ground.core.addresses import Network, read_address, read_network
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import BadFields, FieldError, Refused
from colonnade.ground.core.scopes import PRESETS, SCOPES, expand, holdable
from colonnade.ground.core.secrets import Secret

KeyScope = Literal["agency", "workspace"]
State = Literal["active", "expired", "revoked"]
Status = Literal["active", "rolling", "expiring", "expired", "revoked"]

MOST_NETWORKS: Final = 100
MOST_WORKSPACES: Final = 1000
MOST_REQUESTS: Final = 1_000_000
LONGEST_WINDOW_SECONDS: Final = 86_400
LONGEST_OVERLAP_SECONDS: Final = 604_800
EXPIRING_DAYS: Final = 7
"""So many days before its end a key is told to be expiring."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in a window that opens with the first of them."""

    requests: int
    window_seconds: int


USUAL_RATE: Final = RateLimit(100, 60)
MEMBER_RATE: Final = RateLimit(300, 60)
"""How often somebody who is signed in may call; a page asks several things at once."""


@dataclass(frozen=True, slots=True)
class RatePatch:
    """What is sent of a rate limit in a merge patch: the other half stays as it is."""

    requests: int | None = None
    window_seconds: int | None = None

    def on(self, current: RateLimit | None) -> RateLimit:
        """The rate limit with the patch applied; a key without one begins with the usual."""
        base = current or USUAL_RATE
        requests = base.requests if self.requests is None else self.requests
        return RateLimit(requests, base.window_seconds if self.window_seconds is None else self.window_seconds)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as everybody may see it; its text is not part of it and cannot be read back."""

    agency_id: str
    workspace_id: str | None
    id: str
    scope: KeyScope
    name: str
    description: str
    hint: str
    scopes: tuple[str, ...]
    """As given: `*` stands for all that the kind may hold, in later versions too."""
    workspaces: tuple[str, ...] | None
    ip_allowlist: tuple[Network, ...]
    rate_limit: RateLimit | None
    mode: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int
    last_used_at: datetime | None = None
    last_used_ip: str | None = None
    text_made_at: datetime | None = None
    """Since when its newest text is there; known where the key was read to be shown."""
    old_text_ends_at: datetime | None = None
    """Until when the last text that was rolled away is, or was, good."""

    def state(self, at: datetime) -> State:
        """What the key is at this instant; derived, never stored."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "active"

    def status(self, at: datetime) -> Status:
        """The same in more words: whether an old text is still good beside the new one, whether its end is near."""
        state = self.state(at)
        if state != "active":
            return state
        if self.old_text_ends_at is not None and self.old_text_ends_at > at:
            return "rolling"
        near = self.expires_at is not None and self.expires_at <= at + timedelta(days=EXPIRING_DAYS)
        return "expiring" if near else "active"

    @property
    def held(self) -> frozenset[str]:
        """The scopes that the key holds, `*` written out; a scope that no longer exists is not held."""
        return expand(self.scopes, self.scope) & holdable(self.scope)

    @property
    def reach(self) -> Reach:
        """What a transaction of this key may see."""
        only = self.workspaces if self.workspace_id is None else (self.workspace_id,)
        return Reach(self.agency_id, only)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key, or a new secret of one: the only place where a key's text is in clear."""

    key: Key
    secret: Secret


@dataclass(frozen=True, slots=True)
class KeyFilters:
    """Which keys a list shows; what is none or empty does not restrict."""

    q: str | None = None
    """A part of the name or the description, or the whole hint or id."""
    status: Sequence[Status] = ()
    mode: str | None = None
    created_by: str | None = None
    unused_days: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants of a new key. `workspaces` none means all; `rate_limit` none means unlimited."""

    name: str
    description: str = ""
    scopes: Sequence[str] | None = None
    preset: str | None = None
    workspaces: Sequence[str] | None = None
    ip_allowlist: Sequence[str] = field(default_factory=tuple)
    rate_limit: RateLimit | None = USUAL_RATE
    expires_at: datetime | None = None
    mode: str | None = None
    """`live` or `test`; none is the maker's own. A test key belongs to the agency's test twin."""


class Changes(TypedDict, total=False):
    """What may be changed of a key; only the names that are there are changed."""

    name: str
    description: str
    scopes: Sequence[str]
    ip_allowlist: Sequence[str]
    rate_limit: RateLimit | RatePatch | None
    expires_at: datetime | None


def revoked(at: datetime) -> Refused:
    """The refusal of a key that somebody ended; says when."""
    when = format_instant(at)
    return Refused("keys.revoked", f"This key was revoked at {when}.", details={"revokedAt": when})


def expired(at: datetime) -> Refused:
    """The refusal of a key, or of a rolled secret, whose time is over; says since when."""
    when = format_instant(at)
    return Refused("keys.expired", f"This key expired at {when}.", details={"expiredAt": when})


def address_refused() -> Refused:
    """The refusal of a call from elsewhere; the allowlist itself is not told to who is not on it."""
    return Refused(
        "keys.address_refused", "Calls from this address are not on the allowlist of the key or of its agency."
    )


@contextlib.contextmanager
def noting(errors: list[FieldError]) -> Iterator[None]:
    """Take note of bad fields and go on, so that all of a request's are named at once."""
    try:
        yield
    except BadFields as bad:
        errors += bad.errors


def granted_scopes(scopes: Sequence[str] | None, preset: str | None, kind: KeyScope) -> tuple[str, ...]:
    """The scopes to store: an unknown or foreign name in a list is a bad field, a preset is cut to the kind."""
    if scopes is not None and preset is not None:
        raise BadFields([FieldError("/preset", "cannot stand beside `scopes`; send one of them")])
    if scopes is not None:
        return _listed(scopes, kind)
    if preset is None and kind == "agency":
        sentence = "an agency key needs `scopes` or `preset`"
        raise BadFields([FieldError("/scopes", sentence), FieldError("/preset", sentence)])
    return _preset(preset or "workspace", kind)


def _listed(scopes: Sequence[str], kind: KeyScope) -> tuple[str, ...]:
    errors = [FieldError("/scopes", "must name at least one scope")] if not scopes else []
    for number, name in enumerate(scopes):
        if name != "*" and name not in SCOPES:
            errors.append(FieldError(f"/scopes/{number}", "is not a scope"))
        elif name != "*" and name not in holdable(kind):
            errors.append(FieldError(f"/scopes/{number}", f"is nothing that a key of a {kind} may hold"))
    if errors:
        raise BadFields(errors)
    return ("*",) if "*" in scopes else tuple(sorted(set(scopes)))


def _preset(preset: str, kind: KeyScope) -> tuple[str, ...]:
    if preset not in PRESETS:
        raise BadFields([FieldError("/preset", f"must be one of {', '.join(PRESETS)}")])
    scopes = PRESETS[preset] & holdable(kind)
    if not scopes:
        raise BadFields([FieldError("/preset", f"holds nothing that a key of a {kind} may hold")])
    return ("*",) if scopes == holdable(kind) else tuple(sorted(scopes))


def networks(texts: Sequence[str], pointer: str = "/ipAllowlist") -> tuple[Network, ...]:
    """The addresses and CIDR blocks of an allowlist; every bad entry is named with what is wrong."""
    found: list[Network] = []
    errors: list[FieldError] = []
    if len(texts) > MOST_NETWORKS:
        raise BadFields([FieldError(pointer, f"may have at most {MOST_NETWORKS} entries")])
    for number, text in enumerate(texts):
        try:
            found.append(read_network(text))
        except ValueError as error:
            errors.append(FieldError(f"{pointer}/{number}", str(error)))
    if errors:
        raise BadFields(errors)
    return tuple(dict.fromkeys(found))


def is_on(allowlist: Iterable[Network], address: str | None) -> bool:
    """Whether an address is on the list; one that is unknown or no address is on none."""
    known = read_address(address)
    return known is not None and any(known in network for network in allowlist)
