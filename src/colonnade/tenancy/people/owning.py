"""Owners: who may make and unmake them, and that an agency always has one."""

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy.people import store
from colonnade.tenancy.people.model import last_owner


async def require_owner(tx: Tx, caller: Caller) -> None:
    """Refuse whoever is not an owner now, by what the database says, or the operator of the installation."""
    if caller.kind is CallerKind.OPERATOR:
        return
    if caller.kind is CallerKind.MEMBER:
        member = await store.find(tx, caller.actor_id)
        if member is not None and member.role == "owner":
            return
    raise Refused("members.owners_only", "Only an owner of the agency who is signed in may do this.")


async def require_other_owner(tx: Tx, member_id: str) -> None:
    """Refuse when this member is the only owner.

    The rows of all owners stay locked until the end, so two owners cannot remove each other at once.
    """
    if set(await store.lock_owners(tx)) == {member_id}:
        raise last_owner()
