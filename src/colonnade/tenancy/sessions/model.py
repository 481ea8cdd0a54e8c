"""Sessions and their rules: how long they last, what a password must be, what a browser keeps."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from colonnade.ground.core.callers import Caller, CallerKind, Reach, TwoFactor
from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.core.scopes import ROLES
from colonnade.ground.core.secrets import Secret

IDLE: Final = timedelta(hours=12)
"""A session that nobody uses for so long is over."""
LONGEST: Final = timedelta(days=14)
"""So long after the password was given it is asked for again, whatever happens."""
RESET_LASTS: Final = timedelta(hours=1)

PASSWORD_LEAST: Final = 12
PASSWORD_MOST: Final = 256
_USER_AGENT_MOST: Final = 255

_COMMON_PARTS: Final = (
    *("password", "passwort", "passw0rd", "p@ssword", "letmein", "welcome", "iloveyou", "administrator", "admin"),
    *("qwertyuiop", "qwertzuiop", "qwerty", "asdfghjkl", "1q2w3e4r5t", "changeme", "colonnade", "trustno1", "sunshine"),
    *("football", "baseball", "princess", "dragon", "monkey", "secret", "starwars", "superman", "abc123"),
    *("1234567890", "123456789", "12345678", "123456", "0987654321", "987654321", "abcdefgh", "abcdefghijkl"),
)
"""The commonest beginnings; what is made of nothing but these, digits and repeats is guessed first."""


@dataclass(frozen=True, slots=True)
class Session:
    """A member who is signed in with one browser; the cookie's text is not part of it."""

    agency_id: str
    id: str
    member_id: str
    person_id: str
    second_factor: bool
    """Whether it was begun with a second factor."""
    address: str | None
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime

    def is_over(self, at: datetime) -> bool:
        """Whether its time has come, or nobody has used it for too long."""
        return self.expires_at <= at or self.last_seen_at + IDLE <= at


@dataclass(frozen=True, slots=True)
class Person:
    """A person with what they prove themselves with."""

    id: str
    email: str
    name: str | None
    password: str | None = field(repr=False)
    totp: bytes | None = field(repr=False)
    totp_confirmed_at: datetime | None
    recovery_codes: int

    @property
    def is_enrolled(self) -> bool:
        """Whether a second factor is asked of them."""
        return self.totp_confirmed_at is not None

    @property
    def shown_name(self) -> str:
        """The name, or the address of who has told none."""
        return self.name or self.email


@dataclass(frozen=True, slots=True)
class Membership:
    """One of the agencies in which a person is a member."""

    agency_id: str
    name: str
    member_id: str
    role: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands at the door, before anything is proven."""

    request_id: str
    address: str | None
    user_agent: str = ""

    def nobody(self, agency_id: str) -> Caller:
        """The caller that is written down while nothing is proven."""
        return Caller(
            kind=CallerKind.NOBODY,
            reach=Reach(agency_id),
            scopes=frozenset(),
            actor_id="nobody",
            actor_name="not signed in",
            request_id=self.request_id,
            address=self.address,
        )

    def member(self, person: Person, place: Membership) -> Caller:
        """The caller that is written down once it is."""
        return Caller(
            kind=CallerKind.MEMBER,
            reach=Reach(place.agency_id),
            scopes=ROLES[place.role],
            actor_id=place.member_id,
            actor_name=person.shown_name,
            request_id=self.request_id,
            address=self.address,
        )


@dataclass(frozen=True, slots=True)
class Codes:
    """What somebody shows as a second factor: a code of the authenticator, or one that was written down."""

    code: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)

    @property
    def are_there(self) -> bool:
        """Whether anything was shown at all."""
        return bool(self.code or self.recovery_code)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody sends to sign in."""

    email: str
    password: str = field(repr=False)
    codes: Codes = field(default_factory=Codes)
    agency_id: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A new session and the only text that opens it."""

    session: Session
    secret: Secret
    two_factor: TwoFactor


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in, where, and where else they could have."""

    started: Started
    person: Person
    place: Membership
    memberships: Sequence[Membership]


def cut(user_agent: str) -> str:
    """What a browser says of itself, as far as it is kept."""
    return "".join(letter for letter in user_agent if letter.isprintable())[:_USER_AGENT_MOST]


def two_factor(*, second_factor: bool, is_required: bool) -> TwoFactor:
    """What a session has of a second factor."""
    if second_factor:
        return "enrolled"
    return "required" if is_required else "off"


def read_email(text: str) -> str:
    """The address as it is kept; what cannot be one is nobody's."""
    return text.strip().lower()[:320]


def normal_password(text: str) -> str:
    """The password in one spelling, so that every keyboard types the same (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", text)


def refuse_weak(password: str, email: str, pointer: str = "/password") -> None:
    """Refuse a password that is too short, is the address, or is guessed first; nothing is asked of its letters."""
    text = normal_password(password)
    if not PASSWORD_LEAST <= len(text) <= PASSWORD_MOST:
        raise BadField(pointer, f"must have {PASSWORD_LEAST} to {PASSWORD_MOST} characters")
    folded = text.casefold()
    if folded in {email, email.partition("@")[0]}:
        raise BadField(pointer, "must not be the e-mail address")
    if _is_common(folded):
        raise BadField(pointer, "is among the first that are tried; choose another, several words for instance")


def _is_common(folded: str) -> bool:
    rest = folded
    for part in _COMMON_PARTS:
        rest = rest.replace(part, "")
    return not rest.strip("0123456789!.-_ ") or len(set(folded)) <= 3


def wrong_credentials() -> Refused:
    """The refusal that tells nothing of whether the address is known."""
    return Refused("auth.wrong_credentials", "The e-mail address and the password do not fit together.")


def session_ended() -> Refused:
    """The refusal of a cookie behind which there is no session."""
    return Refused("auth.session_ended", "This session is over; sign in again.")


def code_refused() -> Refused:
    """The refusal of a code that is wrong or used."""
    return Refused("auth.code_refused", "This code is wrong, too old, or was used before.")


def dead_link() -> BadField:
    """The refusal of a link that opens nothing, whatever the cause."""
    return BadField("/token", "opens nothing: it was used, is too old, was replaced by a newer one, or never was")
