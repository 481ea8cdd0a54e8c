"""Signing in: how people enter an agency. Passwords, second factors, sessions and the links that replace a password.

A session makes a caller on every route, as a key does. Who is a member, and of what, is the slice `people`.
"""

from colonnade.tenancy.sessions.codes import Enrolment
from colonnade.tenancy.sessions.desk import STATE, Desk
from colonnade.tenancy.sessions.entrance import Arrival, Entrance
from colonnade.tenancy.sessions.hashing import Hasher
from colonnade.tenancy.sessions.keeper import Cookie, SessionKeeper, csrf_token, standing_of
from colonnade.tenancy.sessions.model import (
    IDLE,
    Attempt,
    Codes,
    Membership,
    Person,
    Session,
    SignedIn,
    Started,
    Visitor,
)
from colonnade.tenancy.sessions.service import (
    begin_totp,
    change_password,
    confirm_totp,
    end,
    end_others,
    mint_reset,
    own,
    page,
    remove_totp,
    rename,
    renew_recovery_codes,
    start,
)
from colonnade.tenancy.sessions.store import memberships, person, person_by_email, person_by_id

__all__ = [
    "IDLE",
    "STATE",
    "Arrival",
    "Attempt",
    "Codes",
    "Cookie",
    "Desk",
    "Enrolment",
    "Entrance",
    "Hasher",
    "Membership",
    "Person",
    "Session",
    "SessionKeeper",
    "SignedIn",
    "Started",
    "Visitor",
    "begin_totp",
    "change_password",
    "confirm_totp",
    "csrf_token",
    "end",
    "end_others",
    "memberships",
    "mint_reset",
    "own",
    "page",
    "person",
    "person_by_email",
    "person_by_id",
    "remove_totp",
    "rename",
    "renew_recovery_codes",
    "standing_of",
    "start",
]
