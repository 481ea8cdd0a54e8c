"""The shapes of members and invitations on the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from colonnade.ground.core.refusals import BadField
from colonnade.ground.web import Body, Call, Flag, Instant, Name, Shown, dated_position, examples
from colonnade.tenancy.people.model import (
    EMAIL_MOST,
    EVERYWHERE,
    MOST_ASSIGNMENTS,
    Assignment,
    Change,
    Draft,
    Extent,
    Filters,
    Keys,
    Listed,
    Paging,
    Role,
    WorkspaceRole,
)

INCLUDES: Final = ("workspaces",)
SHOWN_ASSIGNMENTS: Final = 100
"""So many assignments stand in the line of a member; all of them have a list of their own."""


class AssignmentBody(Body):
    """A role in one workspace."""

    workspace_id: str = Field(max_length=64)
    role: WorkspaceRole

    def assignment(self) -> Assignment:
        """The same in the words of the house."""
        return Assignment(self.workspace_id, self.role)


class InviteMember(Body):
    """Whom to invite, and to what."""

    model_config = examples(
        {"email": "ana@north.example", "role": "manager", "name": "Ana Lopes"},
        {
            "email": "ben@freelance.example",
            "role": "viewer",
            "workspaces": [{"workspaceId": "ws_01jx8k2m3n4p5q6r7s8t9vwxyz", "role": "manager"}],
        },
    )
    email: str = Field(min_length=3, max_length=EMAIL_MOST)
    role: Role
    workspaces: Literal["all"] | list[AssignmentBody] = Field(
        "all", description="`all`, or the only ones in which a manager or viewer will work, each with the role there."
    )
    name: Name | None = Field(None, description="How a person who is new here is called until they say otherwise.")

    def draft(self) -> Draft:
        """What is wanted, in the words of the house."""
        return Draft(self.email, self.role, _wanted(self.workspaces), self.name)


class ChangeMember(Body):
    """A merge patch of a member; what is left out stays."""

    model_config = examples(
        {"role": "manager", "workspaces": "all"},
        {"workspaces": [{"workspaceId": "ws_01jx8k2m3n4p5q6r7s8t9vwxyz", "role": "viewer"}]},
    )
    role: Role | None = None
    workspaces: Extent | list[AssignmentBody] | None = Field(
        None,
        description="`all`; `assigned` for those that were assigned one by one; or a list that replaces these.",
    )

    def change(self, keys: Keys) -> Change:
        """What shall be other, in the words of the house; neither of the fields can be missing."""
        for name, value in (("role", self.role), ("workspaces", self.workspaces)):
            if value is None and name in self.model_fields_set:
                raise BadField(f"/{name}", "cannot be null")
        wanted = None if self.workspaces is None else _wanted(self.workspaces)
        return Change(self.role, wanted, keys)


def _wanted(workspaces: Extent | list[AssignmentBody]) -> Any:
    if isinstance(workspaces, str):
        return workspaces
    if len(workspaces) > MOST_ASSIGNMENTS:
        raise BadField("/workspaces", f"may name at most {MOST_ASSIGNMENTS} workspaces at once")
    return [one.assignment() for one in workspaces]


class WhatOfKeys(Body):
    """What becomes of the keys that the member made."""

    keys: Keys = Field(
        "keep",
        description="`keep`: they belong to the agency and stand; `narrow`: they lose what the role does not hold; "
        "`revoke`: they end.",
    )


class LeavingKeys(Body):
    """What becomes of the keys that the member made."""

    keys: Literal["keep", "revoke"] = Field(
        "keep", description="`keep`: they belong to the agency and stand; `revoke`: they end at once."
    )


class TransferAgency(Body):
    """To whom the agency goes."""

    model_config = examples({"toMemberId": "mem_01jx8k2m3n4p5q6r7s8t9vwxyz"})
    to_member_id: str = Field(max_length=64)
    leave: Flag = Field(False, description="True: the caller leaves the agency instead of becoming an admin.")


class Cut(Body):
    """Which part of a list, from the newest on."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None

    def paging(self, call: Call, what: str) -> Paging:
        """How the list is cut, in the words of the house."""
        return Paging(self.limit, dated_position(call.cursor(what, self.cursor)), self.count == "exact")


class ListMembers(Cut):
    """Which members, and with which blocks."""

    role: Role | None = None
    status: Literal["active", "invited"] | None = None
    q: str | None = Field(None, max_length=200, description="A part of the e-mail address or the name.")
    include: str | None = Field(None, max_length=100, description="`workspaces`.")

    def filters(self) -> Filters:
        """What is asked for."""
        return Filters(self.role, self.status, self.q or None)


class ReadMember(Body):
    """What is told of the member beyond the usual fields."""

    include: str | None = Field(None, max_length=100, description="`workspaces`.")


class ListAssignments(Body):
    """Which part of a member's assignments."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None


def wants_workspaces(include: str | None) -> bool:
    """Whether assignments are asked for; an unknown block is a bad field."""
    names = [name.strip() for name in (include or "").split(",") if name.strip()]
    for name in names:
        if name not in INCLUDES:
            raise BadField("?include", f"`{name[:50]}` is not known; known are {', '.join(INCLUDES)}")
    return "workspaces" in names


class AssignmentShown(Shown):
    """A role in one workspace."""

    workspace_id: str
    role: WorkspaceRole

    @classmethod
    def of(cls, assignment: Assignment) -> "AssignmentShown":
        """The assignment as callers read it."""
        return cls(workspace_id=assignment.workspace_id, role=assignment.role)


class MemberShown(Shown):
    """A member, or somebody who is invited to become one."""

    id: str = Field(description="`mem_…`, or `invite_…` while invited.")
    status: Literal["active", "invited"]
    email: str
    name: str | None
    role: Role
    workspaces: Extent = Field(description="`assigned`: in none but those that were assigned.")
    two_factor: bool = Field(description="Whether the person signs in with a second factor.")
    last_seen_at: Instant | None = Field(description="The latest call of a session that is open.")
    expires_at: Instant | None = Field(description="Until when an invitation can be accepted.")
    invited_by: str | None = Field(description="The member or key that invited.")
    mail: Literal["waiting", "sent", "failed"] | None = Field(description="What became of an invitation's mail.")
    created_at: Instant
    updated_at: Instant
    assigned: Sequence[AssignmentShown] | None = Field(
        None, description=f"With `include=workspaces`: the first {SHOWN_ASSIGNMENTS} assignments; else null."
    )
    assigned_total: int | None = Field(None, description="With `include=workspaces`: how many assignments there are.")
    keys_made: int | None = Field(
        None, description="Of a single member, for who may read keys: how many of their keys are good."
    )

    @classmethod
    def of(cls, listed: Listed, blocks: Mapping[str, Any]) -> "MemberShown":
        """The member as callers read it, with these blocks."""
        return cls(
            id=listed.id,
            status=listed.status,
            email=listed.email,
            name=listed.name,
            role=listed.role,
            workspaces="all" if listed.role in EVERYWHERE else listed.workspaces,
            two_factor=listed.two_factor,
            last_seen_at=listed.last_seen_at,
            expires_at=listed.expires_at,
            invited_by=listed.invited_by,
            created_at=listed.created_at,
            updated_at=listed.updated_at,
            mail=blocks.get("mail"),
            assigned=blocks.get("assigned"),
            assigned_total=blocks.get("assigned_total"),
            keys_made=blocks.get("keys_made"),
        )
