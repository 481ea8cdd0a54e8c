"""Invitations: from the wish to have somebody in the agency to the member who accepted it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import BadField, BadFields, FieldError, NotFound, Refused
from colonnade.ground.core.scopes import ROLES
from colonnade.ground.core.secrets import is_token, new_token
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import audit
from colonnade.tenancy.people import assignment_store, invitation_store, store
from colonnade.tenancy.people.model import (
    EVERYWHERE,
    MOST_ASSIGNMENTS,
    MOST_INVITATIONS,
    MOST_MAILS,
    Arrival,
    Assignment,
    Draft,
    FoundInvitation,
    Invitation,
    MailedInvitation,
    Member,
    Wanted,
    ended,
    normalized_email,
)
from colonnade.tenancy.people.owning import require_owner

KIND: Final = "invite"
"""The kind in the token's text: `col_invite_…`."""


async def invite(tx: Tx, caller: Caller, draft: Draft) -> Invitation:
    """Invite whoever has this e-mail address; a mail with a link that opens once follows.

    Nobody gives a role whose scopes they lack, and only an owner invites an owner. Refused: an address that is a
    member's, or to which an invitation is open.
    """
    caller.require("members:write")
    if tx.reach.workspace_ids is not None:
        raise Refused("keys.wrong_kind", "Only who reaches all workspaces of the agency may invite.")
    email = normalized_email(draft.email)
    await require_grantable(tx, caller, draft.role, draft.workspaces)
    await _refuse_known(tx, email)
    by = (caller.actor_id, caller.actor_name)
    invitation = await invitation_store.add(tx, replace(draft, email=email), by)
    if invitation is None:
        standing = await invitation_store.find_open(tx, email)
        raise Refused(
            "members.invited",
            f"An invitation to {email} is open already; send it again, or withdraw it.",
            details={} if standing is None else {"invitationId": standing.id},
        )
    await audit.record(tx, caller, "members.invited", invitation.id, after=_told(invitation))
    return invitation


async def resend(tx: Tx, caller: Caller, invitation_id: str) -> Invitation:
    """Mail an open invitation anew: it lasts seven days from now, and the link before is dead at once."""
    caller.require("members:write")
    standing = await invitation_store.lock(tx, invitation_id)
    if standing is None:
        raise NotFound("invitation")
    await require_grantable(tx, caller, standing.role, "all")
    await _refuse_flood(tx, standing.email)
    invitation = await invitation_store.renew(tx, invitation_id)
    assert invitation is not None, "an invitation that is locked has gone"
    before, after = ({"expiresAt": format_instant(one.expires_at)} for one in (standing, invitation))
    await audit.record(tx, caller, "members.invitation_resent", invitation.id, before=before, after=after)
    return invitation


async def withdraw(tx: Tx, caller: Caller, invitation_id: str) -> Invitation:
    """End an open invitation; its link opens nothing from the commit on."""
    caller.require("members:write")
    invitation = await invitation_store.withdraw(tx, invitation_id)
    if invitation is None:
        raise NotFound("invitation")
    await audit.record(tx, caller, "members.invitation_withdrawn", invitation.id, before=_told(invitation))
    return invitation


async def mint_invitation(tx: Tx, invitation_id: str) -> MailedInvitation | None:
    """A fresh link for an invitation, for the mail that carries it: the newest is the only one that opens.

    None where there is nothing to mail any more: it was used or withdrawn, or it has expired.
    """
    token = new_token(KIND)
    invitation = await invitation_store.mint(tx, invitation_id, tx.pepper.digest(token.reveal()))
    return None if invitation is None else MailedInvitation(invitation, token)


async def find_invitation(database: Database, token: str) -> FoundInvitation | None:
    """What stands behind the token of a link, asked before anybody is known; none when it opens nothing any more."""
    if not is_token(KIND, token):
        return None
    return await invitation_store.look_up(database, database.pepper.digests(token))


async def accept_invitation(tx: Tx, invitation_id: str, arrival: Arrival) -> Member:
    """Make the invited person a member; of two who try at once one is refused, and so is everybody else.

    Refused too when who invited could no longer invite to this role: has left, or holds less than then.
    """
    invitation = await invitation_store.accept(tx, invitation_id)
    if invitation is None or not await _is_still_wanted(tx, invitation):
        raise ended()
    if await store.ensure_person(tx, invitation.email, invitation.name) != arrival.person_id:
        raise Refused("invitations.other_person", f"This invitation is for {invitation.email}.")
    extent = "all" if invitation.workspaces is None else "assigned"
    member = await store.add(tx, arrival.person_id, invitation.role, extent)
    if member is None:
        raise Refused("members.already", f"{invitation.email} is a member of this agency already.")
    assignments = [Assignment(one["workspaceId"], one["role"]) for one in invitation.workspaces or ()]
    there = await assignment_store.known(tx, [one.workspace_id for one in assignments])
    await assignment_store.assign(tx, member.id, [one for one in assignments if one.workspace_id in there])
    after = {**_told(invitation), "personId": member.person_id, "invitationId": invitation.id}
    await audit.record(tx, _arriving(tx, member, invitation, arrival), "members.added", member.id, after=after)
    return member


async def require_grantable(tx: Tx, caller: Caller, role: str, workspaces: Wanted) -> None:
    """Refuse a role that this caller may not give, or workspaces that are none; names all of them at once."""
    if role == "owner":
        await require_owner(tx, caller)
    caller.require_all(ROLES[role])
    if isinstance(workspaces, str):
        return
    for one in {assignment.role for assignment in workspaces}:
        caller.require_all(ROLES[one])
    if role in EVERYWHERE:
        raise BadField("/workspaces", f"is for managers and viewers; an {role} works everywhere")
    await require_known(tx, workspaces)


async def require_known(tx: Tx, assignments: Sequence[Assignment]) -> None:
    """Refuse assignments to what is no workspace in reach, or to one twice."""
    if len(assignments) > MOST_ASSIGNMENTS:
        raise BadField("/workspaces", f"may name at most {MOST_ASSIGNMENTS} workspaces at once")
    ids = [one.workspace_id for one in assignments]
    there = await assignment_store.known(tx, [one for one in ids if is_id("ws", one)])
    errors = [
        FieldError(f"/workspaces/{number}/workspaceId", "is no workspace of this agency")
        for number, identity in enumerate(ids)
        if identity not in there
    ]
    errors += [
        FieldError(f"/workspaces/{number}/workspaceId", "stands twice")
        for number, identity in enumerate(ids)
        if identity in ids[:number]
    ]
    if errors:
        raise BadFields(errors)


async def _refuse_known(tx: Tx, email: str) -> None:
    known = await store.id_by_email(tx, email)
    if known is not None:
        raise Refused("members.already", f"{email} is a member of this agency already.", details={"memberId": known})
    await _refuse_flood(tx, email)
    if await invitation_store.count_open(tx, most=MOST_INVITATIONS) >= MOST_INVITATIONS:
        raise Refused("members.too_many_invitations", f"{MOST_INVITATIONS} invitations are open; withdraw some first.")


async def _refuse_flood(tx: Tx, email: str) -> None:
    """Nobody's mailbox is filled by way of invitations, withdrawn and made anew or sent again."""
    if await invitation_store.mails_to(tx, email) >= MOST_MAILS:
        raise Refused(
            "invitations.too_many_mails",
            f"{MOST_MAILS} mails about invitations went to {email} within a day; try again tomorrow.",
            headers={"Retry-After": "3600"},
        )


async def _is_still_wanted(tx: Tx, invitation: Invitation) -> bool:
    """Whether who invited could do so now; keys and the operator are not asked again."""
    if not is_id("mem", invitation.invited_by):
        return True
    inviter = await store.find(tx, invitation.invited_by)
    if inviter is None:
        return False
    if invitation.role == "owner" and inviter.role != "owner":
        return False
    return ROLES[inviter.role] >= ROLES[invitation.role] | {"members:write"}


def _arriving(tx: Tx, member: Member, invitation: Invitation, arrival: Arrival) -> Caller:
    return Caller(
        kind=CallerKind.MEMBER,
        reach=tx.reach,
        scopes=ROLES[member.role],
        actor_id=member.id,
        actor_name=invitation.email,
        request_id=arrival.request_id,
        address=arrival.address,
    )


def _told(invitation: Invitation) -> dict[str, Any]:
    """What the audit log tells of an invitation, under the names of the wire."""
    return {
        "email": invitation.email,
        "role": invitation.role,
        "workspaces": "all" if invitation.workspaces is None else list(invitation.workspaces),
    }
