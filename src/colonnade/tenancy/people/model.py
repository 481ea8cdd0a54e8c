"""Persons, members, and an agency with its first owner."""

from dataclasses import dataclass
from datetime import datetime

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField
from colonnade.tenancy.agencies import Agency

EMAIL_MOST = 320


@dataclass(frozen=True, slots=True)
class Person:
    """A human being, known by an e-mail address; may be a member of several agencies."""

    id: str
    email: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an agency, with the role that says what they may do."""

    id: str
    person_id: str
    role: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Founded:
    """A fresh agency, its first owner, and the operator who entered it, to go on with its first key."""

    agency: Agency
    owner: Member
    operator: Caller


def normalized_email(text: str, pointer: str = "/email") -> str:
    """The address in lower case; refuses what cannot be one."""
    email = text.strip().lower()
    name, at, host = email.rpartition("@")
    is_plain = email.isprintable() and " " not in email and len(email) <= EMAIL_MOST
    if not (name and at and "." in host.strip(".") and is_plain):
        raise BadField(pointer, "must be an e-mail address")
    return email
