"""Persons, members, where members work, invitations, and an agency with its first owner."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Tx
from colonnade.tenancy.agencies import Agency

EMAIL_MOST = 320
INVITATION_LASTS: Final = timedelta(days=7)
MOST_INVITATIONS: Final = 1_000
MOST_MAILS: Final = 10
"""So many mails about invitations an agency may have sent to one address within a day."""
MOST_ASSIGNMENTS: Final = 1_000
"""So many workspaces may be named at once; a member may work in more."""

COUNTED: Final = 1_000
"""Up to here a list tells its exact total; beyond, only who asks for it pays for the count."""

EVERYWHERE: Final = frozenset({"owner", "admin"})
"""Roles that reach every workspace, whatever is said of single ones."""

_MEANING_MORE: Final = frozenset(' @,;:<>()[]\\"')
"""Characters by which a mail's header would read one address as something else, or as several."""

Role = Literal["owner", "admin", "manager", "viewer"]
WorkspaceRole = Literal["manager", "viewer"]
Extent = Literal["all", "assigned"]
"""Whether a manager or viewer works in every workspace of the agency, or in those that were assigned."""


@dataclass(frozen=True, slots=True)
class Person:
    """A human being, known by an e-mail address; may be a member of several agencies."""

    id: str
    email: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an agency, with the role that says what they may do, and how far it reaches."""

    id: str
    person_id: str
    role: str
    workspaces: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Assignment:
    """The role of a member in one workspace."""

    workspace_id: str
    role: WorkspaceRole


Keys = Literal["keep", "narrow", "revoke"]
"""What becomes of the keys that a member made: they belong to the agency and stand, unless somebody asks otherwise."""

Wanted = Extent | Sequence[Assignment]
"""Where somebody shall work: everywhere, in what is assigned already, or in exactly these."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list of members: a member, or somebody who is invited to become one."""

    id: str
    person_id: str | None
    email: str
    name: str | None
    role: str
    workspaces: str
    version: int
    status: Literal["active", "invited"]
    expires_at: datetime | None
    invited_by: str | None
    created_at: datetime
    updated_at: datetime
    two_factor: bool
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Colleague:
    """Who may work in a workspace, as what, and whether the agency or the workspace says so."""

    member_id: str
    person_id: str
    email: str
    name: str | None
    role: str
    source: Literal["agency", "workspace"]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Filters:
    """Which members a list shows; a field that is none does not restrict."""

    role: str | None = None
    status: str | None = None
    q: str | None = None


Position = tuple[datetime, str]
"""Where a page ended: when its last row was made, and its id."""


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is cut, the newest first: the length of a page, the position after which it goes on."""

    limit: int = 50
    after: Position | None = None
    counts_all: bool = False
    """Count beyond the first thousand too."""


@dataclass(frozen=True, slots=True)
class MemberPage:
    """A page of the list of members, where the next one begins (none: this is the last), and how many there are."""

    items: Sequence[Listed]
    next: Position | None
    total: int | None


@dataclass(frozen=True, slots=True)
class ColleaguePage:
    """The same for the members of one workspace."""

    items: Sequence[Colleague]
    next: Position | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Draft:
    """Whom somebody invites, and to what."""

    email: str
    role: Role
    workspaces: Wanted = "all"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What shall be other about a member; a field that is none stays."""

    role: Role | None = None
    workspaces: Wanted | None = None
    keys: Keys = "keep"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open door for one e-mail address; the link to it is known to its receiver alone."""

    id: str
    email: str
    name: str | None
    role: str
    workspaces: Sequence[Mapping[str, Any]] | None
    invited_by: str
    invited_by_name: str
    expires_at: datetime
    accepted_at: datetime | None
    withdrawn_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether it is neither used nor withdrawn; it may have expired."""
        return self.accepted_at is None and self.withdrawn_at is None


@dataclass(frozen=True, slots=True)
class FoundInvitation:
    """What stands behind the link of an invitation that is still good."""

    agency_id: str
    agency_name: str
    id: str
    email: str
    name: str | None
    role: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class MailedInvitation:
    """An invitation with its only link: what the mail is made of."""

    invitation: Invitation
    token: Secret


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who accepts an invitation, and by which request."""

    person_id: str
    request_id: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Estate:
    """What higher slices keep for a member who leaves, or whose role changes: workspaces and keys."""

    hand_over_workspaces: Callable[[Tx, str, str | None], Awaitable[int]]
    """Gives all workspaces of one member to another; how many."""
    count_keys: Callable[[Tx, Caller, str], Awaitable[int]]
    """How many keys that the member made are good."""
    revoke_keys: Callable[[Tx, Caller, str], Awaitable[int]]
    """Ends them; how many."""
    narrow_keys: Callable[[Tx, Caller, str, frozenset[str]], Awaitable[int]]
    """Takes from them what is not among these scopes; how many keys changed."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the things of a member who left."""

    workspaces: int
    new_owner_id: str | None
    keys_revoked: int
    keys_standing: int | None
    """None where whoever did it may not read keys."""


@dataclass(frozen=True, slots=True)
class Founded:
    """A fresh agency, its first owner, and the operator who entered it, to go on with its first key."""

    agency: Agency
    owner: Member
    operator: Caller


def total_of(counted: int, paging: Paging) -> int | None:
    """The total that is told, of a count that stopped one behind the most that is told unasked."""
    return counted if paging.counts_all or counted <= COUNTED else None


def to_count(paging: Paging) -> int:
    """Where counting may stop."""
    return 2**31 - 1 if paging.counts_all else COUNTED + 1


def normalized_email(text: str, pointer: str = "/email") -> str:
    """The address in lower case; refuses what cannot be one."""
    email = text.strip().lower()
    name, at, host = email.rpartition("@")
    is_plain = email.isprintable() and len(email) <= EMAIL_MOST and _MEANING_MORE.isdisjoint(name + host)
    if not (name and at and "." in host.strip(".") and is_plain):
        raise BadField(pointer, "must be an e-mail address")
    return email


def without_estate() -> Estate:
    """Where nothing above keeps things for members, nobody leaves any."""

    async def none(*_: object) -> int:
        return 0

    return Estate(none, none, none, none)


def ended() -> Refused:
    """The refusal of an invitation that opens nothing any more; it does not tell why."""
    return Refused("invitations.ended", "This invitation was used, withdrawn or replaced, or it has expired.")


def last_owner() -> Refused:
    """The refusal to leave an agency without an owner."""
    return Refused("members.last_owner", "This is the agency's only owner; make somebody else an owner first.")
