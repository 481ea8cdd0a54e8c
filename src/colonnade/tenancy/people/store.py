"""How members are kept; persons are global and reached through their functions alone."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.people.model import Filters, Listed, Member, Paging, Person

_COLUMNS: Final = "id, person_id, role, workspaces, version, created_at, updated_at"
ENSURE_PERSON: Final = "select ensure_person($1, $2, $3)"
PERSONS: Final = "select id, email, name from people_of_agency($1)"
ADD: Final = f"""
insert into member (agency_id, id, person_id, role, workspaces, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $6)
on conflict (agency_id, person_id) do nothing returning {_COLUMNS}
"""
FIND: Final = f"select {_COLUMNS} from member where agency_id = $1 and id = $2"
LOCK: Final = f"{FIND} for no key update"
LOCK_OWNERS: Final = """
select id from member where agency_id = $1 and role = 'owner' order by id for no key update
"""
CHANGE: Final = f"""
update member set role = $3, workspaces = $4, updated_at = $5, version = version + 1
where agency_id = $1 and id = $2 returning {_COLUMNS}
"""
TOUCH: Final = "update member set updated_at = $3, version = version + 1 where agency_id = $1 and id = $2"
REMOVE: Final = """
with gone as (delete from member where agency_id = $1 and id = $2 returning agency_id, id, person_id)
insert into former_member (agency_id, id, person_id, left_at) select agency_id, id, person_id, $3 from gone
"""
FORMER: Final = "select person_id from former_member where agency_id = $1 and id = $2"
PAGE: Final = "select * from page_members($1, $2, $3, $4, $5, $6, $7)"
COUNT: Final = "select count(*) from page_members($1, $2, $3, null, null, null, $4)"
BY_EMAIL: Final = "select member_by_email($1)"
ADDRESSEE: Final = "select id, email, name from addressee($1)"
FIND_BY_PERSON: Final = f"select {_COLUMNS} from member where agency_id = $1 and person_id = $2"
OWNERS: Final = f"select {_COLUMNS} from member where agency_id = $1 and role = 'owner' order by created_at, id"
OWNER: Final = f"{OWNERS} limit 1"


def _member(row: Record | None) -> Member | None:
    return None if row is None else Member(**dict(row))


async def ensure_person(tx: Tx, email: str, name: str | None) -> str:
    """The id of the person with this address, made if there is none."""
    identity: str | None = await tx.fetchval(ENSURE_PERSON, new_id("person"), email, name)
    assert identity is not None, "a person that was made is not there"
    return identity


async def persons(tx: Tx, ids: Sequence[str]) -> dict[str, Person]:
    """Those of the ids who are people of the agency in scope."""
    return {row["id"]: Person(**dict(row)) for row in await tx.fetch(PERSONS, list(ids))}


STANDING: Final = "select id from member where agency_id = $1 and id = any ($2)"


async def standing(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are members' of the agency in scope."""
    return {row["id"] for row in await tx.fetch(STANDING, tx.agency_id, list(ids))}


async def add(tx: Tx, person_id: str, role: str, workspaces: str = "all") -> Member | None:
    """The new member; none when the person is one already."""
    row = await tx.fetchrow(ADD, tx.agency_id, new_id("mem"), person_id, role, workspaces, await tx.now())
    return _member(row)


async def find(tx: Tx, member_id: str) -> Member | None:
    """The member with this id."""
    return _member(await tx.fetchrow(FIND, tx.agency_id, member_id))


async def find_by_person(tx: Tx, person_id: str) -> Member | None:
    """The membership of this person."""
    return _member(await tx.fetchrow(FIND_BY_PERSON, tx.agency_id, person_id))


async def owners(tx: Tx) -> list[Member]:
    """Every owner, the one of the longest standing first."""
    return [Member(**dict(row)) for row in await tx.fetch(OWNERS, tx.agency_id)]


async def owner(tx: Tx) -> Member | None:
    """The owner of the longest standing."""
    return _member(await tx.fetchrow(OWNER, tx.agency_id))


async def lock(tx: Tx, member_id: str) -> Member | None:
    """The member with this id; nobody else changes them until this transaction ends."""
    return _member(await tx.fetchrow(LOCK, tx.agency_id, member_id))


async def id_by_email(tx: Tx, email: str) -> str | None:
    """The id of the member with this address."""
    member_id: str | None = await tx.fetchval(BY_EMAIL, email)
    return member_id


async def lock_owners(tx: Tx) -> list[str]:
    """The ids of all owners; nobody else makes or unmakes one of them until this transaction ends."""
    return [row["id"] for row in await tx.fetch(LOCK_OWNERS, tx.agency_id)]


async def change(tx: Tx, member_id: str, role: str, workspaces: str) -> Member:
    """Write role and extent; the version goes up by one."""
    changed = _member(await tx.fetchone(CHANGE, tx.agency_id, member_id, role, workspaces, await tx.now()))
    assert changed is not None
    return changed


async def touch(tx: Tx, member_id: str) -> None:
    """The version goes up by one, because an assignment changed."""
    await tx.execute(TOUCH, tx.agency_id, member_id, await tx.now())


async def remove(tx: Tx, member_id: str) -> None:
    """The membership ends; its assignments go with it, and that it was there is kept."""
    await tx.execute(REMOVE, tx.agency_id, member_id, await tx.now())


async def find_former(tx: Tx, member_id: str) -> str | None:
    """The person behind a membership that has ended."""
    person_id: str | None = await tx.fetchval(FORMER, tx.agency_id, member_id)
    return person_id


async def page(tx: Tx, filters: Filters, paging: Paging, ids: Sequence[str] | None = None) -> list[Listed]:
    """Members and open invitations from the newest on, behind the given position, and one more than wanted."""
    at, last_id = paging.after or (None, None)
    wanted = None if ids is None else list(ids)
    rows = await tx.fetch(PAGE, filters.status, filters.role, filters.q, wanted, at, last_id, paging.limit + 1)
    return [Listed(**dict(row)) for row in rows]


async def count(tx: Tx, filters: Filters, *, most: int) -> int:
    """How many pass the filters; stops counting at `most`."""
    counted: int = await tx.fetchval(COUNT, filters.status, filters.role, filters.q, most)
    return counted


async def addressee(tx: Tx, person_id: str) -> Person | None:
    """Somebody who is, or was, a member of the agency in scope; for workers that write to them."""
    row = await tx.fetchrow(ADDRESSEE, person_id)
    return None if row is None else Person(**dict(row))
