"""What can be done about people: know them by their address, make them members, found an agency."""

from collections.abc import Sequence

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id, new_id
from colonnade.ground.core.scopes import ROLES
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import agencies, audit
from colonnade.tenancy.people import store
from colonnade.tenancy.people.model import Founded, Member, Person, normalized_email


async def found_agency(database: Database, *, name: str, owner_email: str) -> Founded:
    """Make an agency with its first owner: a command of the operator, whole in one transaction of its own."""
    email = normalized_email(owner_email, "/ownerEmail")
    operator = agencies.entering(new_id("agency"))
    async with database.transaction(operator.reach) as tx:
        agency = await agencies.create(tx, operator, name=name)
        person_id = await ensure_person(tx, email=email)
        member = await add_member(tx, operator, person_id=person_id, role="owner")
    return Founded(agency, member, operator)


async def ensure_person(tx: Tx, *, email: str, name: str | None = None) -> str:
    """The id of the person with this address, in whatever case it is written; a known person keeps their name."""
    return await store.ensure_person(tx, normalized_email(email), name)


async def add_member(tx: Tx, caller: Caller, *, person_id: str, role: str) -> Member:
    """Make a person a member; one who is a member already stays as they are. Nobody hands on what they lack."""
    caller.require("members:write")
    caller.require_all(ROLES[role])
    member = await store.add(tx, person_id, role)
    if member is None:
        standing = await store.find_by_person(tx, person_id)
        assert standing is not None, "a membership that stood in the way is not there"
        return standing
    await audit.record(tx, caller, "members.added", member.id, after={"personId": person_id, "role": role})
    return member


async def owner(tx: Tx) -> Member | None:
    """The agency's owner of the longest standing; a test twin has none."""
    return await store.owner(tx)


async def owners(tx: Tx) -> list[Member]:
    """All owners of the agency, the one of the longest standing first."""
    return await store.owners(tx)


async def find_member(tx: Tx, member_id: str) -> Member | None:
    """The member with this id, if the agency has one."""
    return await store.find(tx, member_id)


async def find_member_by_email(tx: Tx, email: str) -> Member | None:
    """The member with this address, in whatever case it is written."""
    member_id = await store.id_by_email(tx, normalized_email(email))
    return None if member_id is None else await store.find(tx, member_id)


async def persons(tx: Tx, ids: Sequence[str]) -> dict[str, Person]:
    """E-mail and name of people of this agency, by id; others are left out."""
    return await store.persons(tx, ids)


async def addressee(tx: Tx, identity: str) -> Person | None:
    """The person to write to about a person's or a member's id, also one who has just left; for workers alone."""
    if is_id("person", identity):
        return await store.addressee(tx, identity)
    member = await store.find(tx, identity)
    person_id = await store.find_former(tx, identity) if member is None else member.person_id
    return None if person_id is None else await store.addressee(tx, person_id)


async def standing(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are members' of the agency; the others never were, or are gone."""
    return await store.standing(tx, ids)
