"""People and their memberships: a person is one e-mail address everywhere, a member is a person in one agency."""

from colonnade.tenancy.people.model import Founded, Member, Person
from colonnade.tenancy.people.service import add_member, ensure_person, find_member, found_agency, owner, persons

__all__ = [
    "Founded",
    "Member",
    "Person",
    "add_member",
    "ensure_person",
    "find_member",
    "found_agency",
    "owner",
    "persons",
]
