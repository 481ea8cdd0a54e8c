"""Members: who they are, what they may do, how they leave, and how an agency gets another owner."""

from collections.abc import Sequence
from typing import Any

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.core.scopes import ROLES
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit
from colonnade.tenancy.people import assignment_store, invitation_store, store
from colonnade.tenancy.people.inviting import require_grantable
from colonnade.tenancy.people.model import (
    MOST_ASSIGNMENTS,
    Assignment,
    Change,
    Estate,
    Filters,
    Listed,
    Member,
    MemberPage,
    Paging,
    Settled,
    to_count,
    total_of,
)
from colonnade.tenancy.people.owning import require_other_owner, require_owner


async def page(tx: Tx, caller: Caller, filters: Filters, paging: Paging) -> MemberPage:
    """Members and open invitations of the agency, from the newest on, and how many there are."""
    caller.require("members:read")
    found = await store.page(tx, filters, paging)
    total = total_of(await store.count(tx, filters, most=to_count(paging)), paging)
    items, last = found[: paging.limit], found[-2] if len(found) > paging.limit else None
    return MemberPage(items, None if last is None else (last.created_at, last.id), total)


async def get(tx: Tx, caller: Caller, identity: str) -> Listed:
    """One member, or one open invitation, by its id."""
    caller.require("members:read")
    return await listed(tx, identity)


async def listed(tx: Tx, identity: str) -> Listed:
    """The same, for the answer of a verb that has just written it; asks for no scope."""
    found = await store.page(tx, Filters(), Paging(limit=1), [identity])
    if not found:
        raise NotFound("member")
    return found[0]


async def assignments(
    tx: Tx, caller: Caller, member_id: str, *, limit: int, after_id: str | None = None
) -> tuple[list[Assignment], bool]:
    """The workspaces in which a member has a role of their own, by id, and whether there are more."""
    caller.require("members:read")
    if await store.find(tx, member_id) is None:
        raise NotFound("member")
    found = await assignment_store.of_member(tx, member_id, after_id=after_id, limit=limit + 1)
    return found[:limit], len(found) > limit


async def first_assignments(tx: Tx, member_ids: Sequence[str], most: int) -> dict[str, tuple[list[Assignment], int]]:
    """The first few assignments of each of these members, and how many each has; in two queries, however many."""
    first = await assignment_store.first_of(tx, member_ids, most)
    totals = await assignment_store.counts(tx, member_ids)
    return {identity: (first.get(identity, []), totals.get(identity, 0)) for identity in member_ids}


async def change(
    tx: Tx, caller: Caller, member_id: str, wish: Change, estate: Estate, *, expected_version: int | None = None
) -> Member:
    """Give a member another role, or other workspaces; heard by their sessions at the commit.

    Nobody gives a role whose scopes they lack, only an owner makes or unmakes owners, and the last one stays. A list
    of workspaces replaces what was assigned before. What changes nothing writes nothing.
    """
    caller.require("members:write")
    member = await _opened(tx, member_id, expected_version)
    role, before = wish.role or member.role, await _told(tx, member)
    await _require_allowed(tx, caller, member, role, wish)
    extent = await _assign(tx, member, wish)
    after = {**before, "role": role, "workspaces": extent}
    if not isinstance(wish.workspaces, str | None):
        after["assigned"] = [_assigned(one) for one in sorted(wish.workspaces, key=lambda one: one.workspace_id)]
    if after == before and wish.keys == "keep":
        return member
    changed = await store.change(tx, member_id, role, extent)
    if wish.keys == "revoke":
        after["keysRevoked"] = await estate.revoke_keys(tx, caller, member_id)
    elif wish.keys == "narrow":
        after["keysNarrowed"] = await estate.narrow_keys(tx, caller, member_id, ROLES[role])
    await audit.record(tx, caller, "members.updated", member_id, before=before, after=after)
    return changed


async def remove(
    tx: Tx,
    caller: Caller,
    member_id: str,
    estate: Estate,
    *,
    revoke_keys: bool = False,
    expected_version: int | None = None,
) -> Settled:
    """End a membership at once, and with it what it could do; open invitations by it are withdrawn.

    Workspaces that the member owned fall to the member who removes, or else to an owner. Only an owner removes an
    owner, and nobody the last one.
    """
    caller.require("members:write")
    member = await _opened(tx, member_id, expected_version)
    if member.role == "owner":
        await require_owner(tx, caller)
    return await _part(tx, caller, member, estate, revoke_keys=revoke_keys)


async def leave(tx: Tx, caller: Caller, estate: Estate, *, revoke_keys: bool = False) -> Settled:
    """End one's own membership; everybody may, but for the last owner."""
    if caller.kind is not CallerKind.MEMBER:
        raise Refused("keys.wrong_kind", "Only a member who is signed in can leave; a key is revoked instead.")
    member = await _opened(tx, caller.actor_id, None)
    return await _part(tx, caller, member, estate, revoke_keys=revoke_keys)


async def hand_over(tx: Tx, caller: Caller, to_member_id: str, estate: Estate, *, leave: bool = False) -> Member:
    """Make a member an owner in one's own place: the caller becomes an admin, or leaves.

    By an owner who is signed in, never by a key. The operator may as well: then every other owner becomes an admin.
    """
    caller.require("members:write")
    owners = await store.lock_owners(tx)
    await require_owner(tx, caller)
    heir = await store.lock(tx, to_member_id)
    if heir is None or heir.id == caller.actor_id:
        raise BadField("/toMemberId", "must be another member of this agency")
    owner = heir if heir.role == "owner" else await store.change(tx, heir.id, "owner", heir.workspaces)
    giving = owners if caller.kind is CallerKind.OPERATOR else [caller.actor_id]
    lowered = [identity for identity in giving if identity != heir.id]
    for identity in lowered:
        await store.change(tx, identity, "admin", "all")
    after = {"ownerId": owner.id, "adminIds": [] if leave else lowered}
    await audit.record(tx, caller, "agencies.transferred", owner.id, before={"ownerIds": owners}, after=after)
    if leave and caller.kind is CallerKind.MEMBER:
        await _part(tx, caller, await _opened(tx, caller.actor_id, None), estate, revoke_keys=False)
    return owner


async def _opened(tx: Tx, member_id: str, expected_version: int | None) -> Member:
    """The member, locked. Owners are locked before, always in this order, so that no two commands wait in a circle."""
    await store.lock_owners(tx)
    member = await store.lock(tx, member_id)
    if member is None:
        raise NotFound("member")
    if expected_version is not None and member.version != expected_version:
        raise Refused("request.precondition_failed", "The member has changed since the version in `If-Match`.")
    return member


async def _require_allowed(tx: Tx, caller: Caller, member: Member, role: str, wish: Change) -> None:
    if role != member.role and member.role == "owner":
        await require_owner(tx, caller)
        await require_other_owner(tx, member.id)
    wanted = "all" if wish.workspaces is None else wish.workspaces
    if role != member.role or wish.workspaces is not None:
        await require_grantable(tx, caller, role, wanted)


async def _assign(tx: Tx, member: Member, wish: Change) -> str:
    """Write the wished assignments; the extent that results."""
    if wish.workspaces is None:
        return member.workspaces
    if isinstance(wish.workspaces, str):
        return wish.workspaces
    await assignment_store.unassign_others(tx, member.id, [one.workspace_id for one in wish.workspaces])
    await assignment_store.assign(tx, member.id, wish.workspaces)
    return "assigned"


async def _part(tx: Tx, caller: Caller, member: Member, estate: Estate, *, revoke_keys: bool) -> Settled:
    if member.role == "owner":
        await require_other_owner(tx, member.id)
    heir = await _heir(tx, caller, member)
    workspaces = await estate.hand_over_workspaces(tx, member.id, heir)
    revoked = await estate.revoke_keys(tx, caller, member.id) if revoke_keys else 0
    standing = await estate.count_keys(tx, caller, member.id) if caller.holds("keys:read") else None
    withdrawn = await invitation_store.withdraw_by(tx, member.id)
    before = {"personId": member.person_id, **await _told(tx, member)}
    await store.remove(tx, member.id)
    after: dict[str, Any] = {"workspacesHandedOver": workspaces, "workspacesGoTo": heir}
    after |= {"keysRevoked": revoked, "keysStanding": standing, "invitationsWithdrawn": withdrawn}
    event = "members.left" if caller.actor_id == member.id else "members.removed"
    await audit.record(tx, caller, event, member.id, before=before, after=after)
    return Settled(workspaces, heir, revoked, standing)


async def _heir(tx: Tx, caller: Caller, member: Member) -> str | None:
    if caller.kind is CallerKind.MEMBER and caller.actor_id != member.id:
        return caller.actor_id
    others = [identity for identity in await store.lock_owners(tx) if identity != member.id]
    return others[0] if others else None


async def _told(tx: Tx, member: Member) -> dict[str, Any]:
    """What the audit log tells of a member, under the names of the wire."""
    assigned = await assignment_store.of_member(tx, member.id, after_id=None, limit=MOST_ASSIGNMENTS)
    told: dict[str, Any] = {"role": member.role, "workspaces": member.workspaces}
    return {**told, "assigned": [_assigned(one) for one in assigned]}


def _assigned(assignment: Assignment) -> dict[str, str]:
    return {"workspaceId": assignment.workspace_id, "role": assignment.role}
