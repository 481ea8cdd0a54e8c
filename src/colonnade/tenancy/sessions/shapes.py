"""The shapes of signing in on the wire. What holds a secret hides it when it is printed."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field

from colonnade.ground.core.callers import Caller, TwoFactor
from colonnade.ground.core.secrets import Pepper, Secret
from colonnade.ground.web import Body, Instant, Name, Shown, examples
from colonnade.tenancy.sessions.codes import Enrolment
from colonnade.tenancy.sessions.entrance import Arrival
from colonnade.tenancy.sessions.keeper import csrf_token
from colonnade.tenancy.sessions.model import Attempt, Codes, Membership, Person, Session, SignedIn, Started

Email = Annotated[str, Field(min_length=3, max_length=320)]
Password = Annotated[str, Field(min_length=1, max_length=1024)]
NewPassword = Annotated[
    str,
    Field(min_length=1, max_length=1024, description="12 to 256 characters, none of the first to be tried."),
]
Code = Annotated[str, Field(min_length=1, max_length=64, description="Six digits of the authenticator.")]
RecoveryCode = Annotated[
    str, Field(min_length=1, max_length=64, description="One of those that were shown; each counts once.")
]
Token = Annotated[str, Field(min_length=1, max_length=200, description="What the link carries.")]


class LogIn(Body):
    """Who wants in."""

    model_config = examples({"email": "owner@northlight.example", "password": "correct horse battery staple"})
    email: Email
    password: Password = Field(repr=False)
    code: Code | None = Field(None, repr=False)
    recovery_code: RecoveryCode | None = Field(None, repr=False)
    agency_id: str | None = Field(None, description="Absent: the agency of the latest session, else the first one.")

    def attempt(self) -> Attempt:
        """What is tried, in the words of the house."""
        return Attempt(self.email, self.password, Codes(self.code, self.recovery_code), self.agency_id)


class SwitchAgency(Body):
    """Where to go on."""

    model_config = examples({"agencyId": "agency_01j0000000000000000000000e"})
    agency_id: str


class AskForLink(Body):
    """Whose password is to be chosen anew."""

    model_config = examples({"email": "owner@northlight.example"})
    email: Email


class AskedShown(Shown):
    """What everybody is told who asks for a link."""

    status: Literal["accepted"] = Field("accepted", description="If somebody has this address, a mail is on its way.")


class ChoosePassword(Body):
    """The link's token and the new password."""

    model_config = examples(
        {"token": "col_reset_00000000000000000000000000000000000000", "password": "correct horse battery staple"}
    )
    token: Token = Field(repr=False)
    password: NewPassword = Field(repr=False)


class AcceptInvitation(Body):
    """The invitation's token, with the password that one has, or that one chooses."""

    model_config = examples(
        {
            "token": "col_invite_00000000000000000000000000000000000000",
            "name": "Ada Lovelace",
            "password": "correct horse battery staple",
        }
    )
    token: Token = Field(repr=False)
    name: Name | None = None
    password: NewPassword | None = Field(None, repr=False)
    code: Code | None = Field(None, repr=False)
    recovery_code: RecoveryCode | None = Field(None, repr=False)

    def arrival(self) -> Arrival:
        """What is sent, in the words of the house."""
        return Arrival(self.token, self.name, self.password, Codes(self.code, self.recovery_code))


class ChangeMe(Body):
    """A merge patch (RFC 7396) of oneself."""

    model_config = examples({"name": "Ada Lovelace"})
    name: Name | None = None


class ChangePassword(Body):
    """The password that is, and the one that shall be."""

    model_config = examples({"current": "correct horse battery staple", "new": "seven quiet rivers under one roof"})
    current: Password = Field(repr=False)
    new: NewPassword = Field(repr=False)


class ConfirmTotp(Body):
    """The first code of a new authenticator."""

    model_config = examples({"code": "123456"})
    code: Code = Field(repr=False)


class ShowFactor(Body):
    """A code of the second factor that is in use."""

    model_config = examples({"code": "123456"}, {"recoveryCode": "abcde-fghjk"})
    code: Code | None = Field(None, repr=False)
    recovery_code: RecoveryCode | None = Field(None, repr=False)

    def codes(self) -> Codes:
        """What is shown, in the words of the house."""
        return Codes(self.code, self.recovery_code)


class ListSessions(Body):
    """Which part of the sessions, from the newest on."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None


class AgencyOfMine(Shown):
    """An agency in which the person is a member."""

    id: str
    name: str
    role: str

    @classmethod
    def of(cls, membership: Membership) -> "AgencyOfMine":
        """The membership as its person reads it."""
        return cls(id=membership.agency_id, name=membership.name, role=membership.role)


class MemberOfMine(Shown):
    """The person as a member of the agency."""

    id: str
    person_id: str
    email: str
    name: str | None
    role: str

    @classmethod
    def of(cls, person: Person, place: Membership) -> "MemberOfMine":
        """The member as they read themselves."""
        return cls(id=place.member_id, person_id=person.id, email=person.email, name=person.name, role=place.role)


class SignedInShown(Shown):
    """A session that has begun; the cookie beside this answer opens it."""

    member: MemberOfMine
    agency: AgencyOfMine
    agencies: Sequence[AgencyOfMine]
    csrf_token: str = Field(repr=False, description="Send it as `X-CSRF-Token` with every write of this session.")
    two_factor: TwoFactor = Field(description="`required`: the agency asks for one; only /v1/me is open until then.")
    expires_at: Instant

    @classmethod
    def of(cls, signed_in: SignedIn, pepper: Pepper) -> "SignedInShown":
        """The beginning of a session as its browser reads it."""
        started = signed_in.started
        return cls(
            member=MemberOfMine.of(signed_in.person, signed_in.place),
            agency=AgencyOfMine.of(signed_in.place),
            agencies=[AgencyOfMine.of(one) for one in signed_in.memberships],
            csrf_token=csrf_token(pepper, started.session.id),
            two_factor=started.two_factor,
            expires_at=started.session.expires_at,
        )


class RenewedShown(Shown):
    """The session goes on under a new cookie, and all others of the person have ended."""

    csrf_token: str | None = Field(
        repr=False, description="From now on this one; null in an answer that is repeated: `GET /v1/me` tells it."
    )
    two_factor: TwoFactor
    expires_at: Instant

    @classmethod
    def of(cls, started: Started, pepper: Pepper) -> "RenewedShown":
        """The new session as its browser reads it."""
        session = started.session
        return cls(
            csrf_token=csrf_token(pepper, session.id), two_factor=started.two_factor, expires_at=session.expires_at
        )

    def kept(self) -> Self:
        """What a replay shows."""
        return self.model_copy(update={"csrf_token": None})


class ConfirmedShown(RenewedShown):
    """The same, with the recovery codes."""

    recovery_codes: Sequence[str] = Field(repr=False, description="Shown once; write them down. Each counts once.")

    @classmethod
    def confirmed(cls, started: Started, pepper: Pepper, codes: Sequence[Secret]) -> "ConfirmedShown":
        """The new session and the codes as their owner reads them once."""
        renewed = RenewedShown.of(started, pepper)
        shown = [code.reveal() for code in codes]
        return cls(**{name: getattr(renewed, name) for name in RenewedShown.model_fields}, recovery_codes=shown)

    def kept(self) -> Self:
        """What a replay shows."""
        return self.model_copy(update={"csrf_token": None, "recovery_codes": []})


class RecoveryCodesShown(Shown):
    """Fresh recovery codes."""

    recovery_codes: Sequence[str] = Field(repr=False, description="Shown once; write them down. Each counts once.")


class MeShown(Shown):
    """Who is signed in."""

    member: MemberOfMine
    agency: AgencyOfMine
    agencies: Sequence[AgencyOfMine]
    scopes: Sequence[str] = Field(description="What the role allows in the agency.")
    workspaces: Literal["all"] | Sequence[str]
    scopes_in: Mapping[str, Sequence[str]] = Field(
        description="What is allowed in single workspaces, where it differs."
    )
    two_factor: TwoFactor
    csrf_token: str = Field(repr=False)
    session_id: str
    expires_at: Instant

    @classmethod
    def of(
        cls, caller: Caller, session: Session, person: Person, memberships: Sequence[Membership], pepper: Pepper
    ) -> "MeShown":
        """The member as they read themselves."""
        place = next(one for one in memberships if one.agency_id == session.agency_id)
        reach = caller.reach.workspace_ids
        return cls(
            member=MemberOfMine.of(person, place),
            agency=AgencyOfMine.of(place),
            agencies=[AgencyOfMine.of(one) for one in memberships],
            scopes=sorted(caller.scopes),
            workspaces="all" if reach is None else reach,
            scopes_in={one: sorted(scopes) for one, scopes in caller.scopes_in.items()},
            two_factor=caller.two_factor or "off",
            csrf_token=csrf_token(pepper, session.id),
            session_id=session.id,
            expires_at=session.expires_at,
        )


class SessionShown(Shown):
    """A browser in which the member is signed in."""

    id: str
    is_current: bool
    second_factor: bool
    address: str | None = Field(description="From where it was last used.")
    user_agent: str
    created_at: Instant
    updated_at: Instant = Field(description="When it was last used.")
    expires_at: Instant

    @classmethod
    def of(cls, session: Session, caller: Caller) -> "SessionShown":
        """The session as its member reads it."""
        return cls(
            id=session.id,
            is_current=session.id == caller.session_id,
            second_factor=session.second_factor,
            address=session.address,
            user_agent=session.user_agent,
            created_at=session.created_at,
            updated_at=session.last_seen_at,
            expires_at=session.expires_at,
        )


class TotpShown(Shown):
    """Whether a second factor is set up."""

    enrolled: bool
    confirmed_at: Instant | None
    recovery_codes_left: int

    @classmethod
    def of(cls, person: Person) -> "TotpShown":
        """The second factor as its person reads it; never the secret."""
        return cls(
            enrolled=person.is_enrolled,
            confirmed_at=person.totp_confirmed_at,
            recovery_codes_left=person.recovery_codes,
        )


class EnrolmentShown(Shown):
    """What the authenticator must be told, for the only time; null in an answer that is repeated."""

    secret: str | None = Field(repr=False, description="In base 32, for typing it in.")
    otpauth_uri: str | None = Field(repr=False)
    qr_code: str | None = Field(repr=False, description="The same URI as a picture: a `data:image/svg+xml` URI.")

    @classmethod
    def of(cls, made: Enrolment) -> "EnrolmentShown":
        """The secret as its owner reads it once."""
        return cls(secret=made.secret.reveal(), otpauth_uri=made.uri.reveal(), qr_code=made.picture.reveal())
