"""How HTTP says members and invitations, and the handing over of the agency."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.ids import is_id
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Call, PageOf, Who, access, call_of, dated_cursor, entity_tag, router
from colonnade.tenancy import people
from colonnade.tenancy.people.model import Estate, Listed, Settled
from colonnade.tenancy.people.shapes import (
    SHOWN_ASSIGNMENTS,
    AssignmentShown,
    ChangeMember,
    InviteMember,
    LeavingKeys,
    ListAssignments,
    ListMembers,
    MemberShown,
    ReadMember,
    TransferAgency,
    WhatOfKeys,
    wants_workspaces,
)

MailStates = Callable[[Tx, Sequence[str]], Awaitable[Mapping[str, str]]]
"""Tells what became of the latest mail about each of these invitations."""

ESTATE: Final = "member_estate"
"""The name under which the application's state may hold what becomes of the things of a member."""

MAIL_STATES: Final = "mail_states"
"""The name under which the application's state may hold what knows the mails."""

STANDING_KEYS: Final = "Colonnade-Standing-Keys"
"""The header that tells how many keys of a member who left are still good."""

routes = router("Members")


def _estate(call: Call) -> Estate:
    known: Estate = getattr(call.request.app.state, ESTATE, people.without_estate())
    return known


async def _mails(call: Call, tx: Tx, listed: Sequence[Listed]) -> Mapping[str, str]:
    known: MailStates | None = getattr(call.request.app.state, MAIL_STATES, None)
    invited = [one.id for one in listed if one.status == "invited"]
    return {} if known is None or not invited else await known(tx, invited)


async def _shown(call: Call, tx: Tx, listed: Sequence[Listed], *, with_workspaces: bool) -> list[MemberShown]:
    blocks: dict[str, dict[str, Any]] = {one.id: {} for one in listed}
    for identity, state in (await _mails(call, tx, listed)).items():
        blocks[identity]["mail"] = state
    if with_workspaces:
        found = await people.first_assignments(tx, [one.id for one in listed], SHOWN_ASSIGNMENTS)
        for identity, (assigned, total) in found.items():
            blocks[identity] |= {"assigned": [*map(AssignmentShown.of, assigned)], "assigned_total": total}
    return [MemberShown.of(one, blocks[one.id]) for one in listed]


async def _one(call: Call, tx: Tx, listed: Listed, *, with_workspaces: bool = False) -> MemberShown:
    shown = (await _shown(call, tx, [listed], with_workspaces=with_workspaces))[0]
    if listed.status == "active" and call.caller.holds("keys:read"):
        shown.keys_made = await _estate(call).count_keys(tx, call.caller, listed.id)
    return shown


@routes.get("/v1/members", response_model=PageOf[MemberShown])
@access(Who.AGENCY, "members:read")
async def list_members(request: Request, query: Annotated[ListMembers, Query()]) -> Response:
    """List members and open invitations.

    The newest first. `status`, `role` and `q` (a part of e-mail or name) restrict; `include=workspaces` adds where
    each of them works.
    """
    call = call_of(request)
    include = wants_workspaces(query.include)
    paging = query.paging(call, "members")
    async with call.reading() as tx:
        found = await people.page(tx, call.caller, query.filters(), paging)
        data = await _shown(call, tx, found.items, with_workspaces=include)
    following = call.next_cursor("members", dated_cursor(found.next))
    return call.answer(200, PageOf[MemberShown](data=data, next_cursor=following, total=found.total))


@routes.post("/v1/members", status_code=201, response_model=MemberShown)
@access(Who.AGENCY, "members:write")
async def invite_member(request: Request, body: InviteMember) -> Response:
    """Invite somebody.

    A mail follows with a link that makes its receiver a member, once and within seven days. Nobody gives a role whose
    scopes they lack; only an owner who is signed in invites an owner.
    """
    call = call_of(request)
    async with call.writing() as tx:
        invitation = await people.invite(tx, call.caller, body.draft())
        shown = await _one(call, tx, await people.listed(tx, invitation.id))
        return call.answer(201, shown, headers={"Location": f"/v1/members/{invitation.id}"})


@routes.delete("/v1/members/me", status_code=204)
@access(Who.MEMBER)
async def leave_agency(request: Request, query: Annotated[LeavingKeys, Query()]) -> Response:
    """Leave the agency.

    Ends the caller's own membership and its sessions at once; workspaces that they own fall to an owner. The last
    owner stays.
    """
    call = call_of(request)
    async with call.writing() as tx:
        settled = await people.leave(tx, call.caller, _estate(call), revoke_keys=query.keys == "revoke")
        return call.answer(204, headers=_standing(settled))


@routes.get("/v1/members/{member_id}", response_model=MemberShown)
@access(Who.AGENCY, "members:read")
async def read_member(request: Request, member_id: str, query: Annotated[ReadMember, Query()]) -> Response:
    """Read a member, or an open invitation."""
    call = call_of(request)
    include = wants_workspaces(query.include)
    async with call.reading() as tx:
        listed = await people.get(tx, call.caller, member_id)
        shown = await _one(call, tx, listed, with_workspaces=include)
    return call.answer(200, shown, headers=entity_tag(listed.version))


@routes.get("/v1/members/{member_id}/workspaces", response_model=PageOf[AssignmentShown])
@access(Who.AGENCY, "members:read")
async def list_assignments(request: Request, member_id: str, query: Annotated[ListAssignments, Query()]) -> Response:
    """List the workspaces that were assigned to a member.

    With the role in each. Owners and admins, and others with `workspaces: all`, work in all the others as well.
    """
    call = call_of(request)
    what = f"assignments {member_id}"
    position = call.cursor(what, query.cursor)
    after_id = str(position[0]) if position else None
    async with call.reading() as tx:
        found, more = await people.assignments(tx, call.caller, member_id, limit=query.limit, after_id=after_id)
        total = (await people.first_assignments(tx, [member_id], 0))[member_id][1]
    data = [*map(AssignmentShown.of, found)]
    following = call.next_cursor(what, [found[-1].workspace_id] if more else None)
    return call.answer(200, PageOf[AssignmentShown](data=data, next_cursor=following, total=total))


@routes.patch("/v1/members/{member_id}", response_model=MemberShown)
@access(Who.AGENCY, "members:write")
async def change_member(
    request: Request, member_id: str, body: ChangeMember, query: Annotated[WhatOfKeys, Query()]
) -> Response:
    """Change what a member may do, and where.

    It counts in their sessions within a second. Keys that they made stand, unless `keys` says otherwise. Only an owner
    who is signed in makes or unmakes owners, and the last one stays. An invitation is withdrawn and made anew instead.
    """
    call = call_of(request)
    async with call.writing() as tx:
        await people.change(
            tx,
            call.caller,
            member_id,
            body.change(query.keys),
            _estate(call),
            expected_version=call.expected_version(),
        )
        listed = await people.listed(tx, member_id)
        shown = await _one(call, tx, listed, with_workspaces=True)
        return call.answer(200, shown, headers=entity_tag(listed.version))


@routes.delete("/v1/members/{member_id}", status_code=204)
@access(Who.AGENCY, "members:write")
async def remove_member(request: Request, member_id: str, query: Annotated[LeavingKeys, Query()]) -> Response:
    """Remove a member, or withdraw an invitation.

    A member's sessions end at once, and open invitations by them are withdrawn; workspaces that they own fall to who
    removes them, or to an owner. Keys that they made belong to the agency and stand, unless `keys=revoke` is said; the
    answer's header `Colonnade-Standing-Keys` tells how many do.
    """
    call = call_of(request)
    async with call.writing() as tx:
        if is_id("invite", member_id):
            await people.withdraw(tx, call.caller, member_id)
            return call.answer(204)
        settled = await people.remove(
            tx,
            call.caller,
            member_id,
            _estate(call),
            revoke_keys=query.keys == "revoke",
            expected_version=call.expected_version(),
        )
        return call.answer(204, headers=_standing(settled))


def _standing(settled: Settled) -> dict[str, str]:
    return {} if settled.keys_standing is None else {STANDING_KEYS: str(settled.keys_standing)}


@routes.post("/v1/members/{invitation_id}/resend", response_model=MemberShown)
@access(Who.AGENCY, "members:write")
async def resend_invitation(request: Request, invitation_id: str) -> Response:
    """Send an invitation again.

    With a new link, good for seven days; the link before is dead at once.
    """
    call = call_of(request)
    async with call.writing() as tx:
        invitation = await people.resend(tx, call.caller, invitation_id)
        return call.answer(200, await _one(call, tx, await people.listed(tx, invitation.id)))


@routes.post("/v1/agency/transfer", response_model=MemberShown)
@access(Who.MEMBER, "members:write")
async def transfer_agency(request: Request, body: TransferAgency) -> Response:
    """Hand the agency over.

    By an owner who is signed in: the other member becomes an owner, the caller an admin, or with `leave` nobody any
    more.
    """
    call = call_of(request)
    async with call.writing() as tx:
        owner = await people.hand_over(tx, call.caller, body.to_member_id, _estate(call), leave=body.leave)
        listed = await people.listed(tx, owner.id)
        return call.answer(200, await _one(call, tx, listed), headers=entity_tag(listed.version))
