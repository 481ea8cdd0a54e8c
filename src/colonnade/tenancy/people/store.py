"""How members are kept; persons are global and reached through their functions alone."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.people.model import Member, Person

_COLUMNS: Final = "id, person_id, role, created_at, updated_at"
ENSURE_PERSON: Final = "select ensure_person($1, $2, $3)"
PERSONS: Final = "select id, email, name from people_of_agency($1)"
ADD: Final = f"""
insert into member (agency_id, id, person_id, role, created_at, updated_at) values ($1, $2, $3, $4, $5, $5)
on conflict (agency_id, person_id) do nothing returning {_COLUMNS}
"""
FIND: Final = f"select {_COLUMNS} from member where agency_id = $1 and id = $2"
FIND_BY_PERSON: Final = f"select {_COLUMNS} from member where agency_id = $1 and person_id = $2"
OWNER: Final = f"select {_COLUMNS} from member where agency_id = $1 and role = 'owner' order by created_at, id limit 1"


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


async def add(tx: Tx, person_id: str, role: str) -> Member | None:
    """The new member; none when the person is one already."""
    return _member(await tx.fetchrow(ADD, tx.agency_id, new_id("mem"), person_id, role, await tx.now()))


async def find(tx: Tx, member_id: str) -> Member | None:
    """The member with this id."""
    return _member(await tx.fetchrow(FIND, tx.agency_id, member_id))


async def find_by_person(tx: Tx, person_id: str) -> Member | None:
    """The membership of this person."""
    return _member(await tx.fetchrow(FIND_BY_PERSON, tx.agency_id, person_id))


async def owner(tx: Tx) -> Member | None:
    """The owner of the longest standing."""
    return _member(await tx.fetchrow(OWNER, tx.agency_id))
