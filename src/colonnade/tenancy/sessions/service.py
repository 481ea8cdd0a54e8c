"""What members can do about signing in: sessions, password, second factor; each about nobody but themselves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from colonnade.ground.core.addresses import read_address
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.envelope import MasterKeys, seal, unseal
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.core.secrets import Secret, new_token
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, audit
from colonnade.tenancy.sessions import codes as factors
from colonnade.tenancy.sessions import store
from colonnade.tenancy.sessions.codes import Enrolment
from colonnade.tenancy.sessions.model import (
    IDLE,
    LONGEST,
    Codes,
    Person,
    Session,
    Started,
    code_refused,
    cut,
    session_ended,
    two_factor,
)

KIND: Final = "session"
RESET_KIND: Final = "reset"


async def start(
    tx: Tx, caller: Caller, person: Person, *, user_agent: str, second_factor: bool, expires_at: datetime | None = None
) -> Started:
    """Sign the member in with one browser: a new session under a new text, whatever the browser had before.

    It is over after fourteen days, or at the time that is given.
    """
    started = await _started(tx, caller, person.id, (user_agent, second_factor, expires_at))
    after = {"personId": person.id, "secondFactor": second_factor, "userAgent": started.session.user_agent}
    await audit.record(tx, caller, "sessions.started", started.session.id, after=after)
    return started


async def move(tx: Tx, caller: Caller, before: Session) -> Started:
    """Go on in another agency with what was proven for the session before, for as long as that would have lasted."""
    started = await _started(tx, caller, before.person_id, (before.user_agent, before.second_factor, before.expires_at))
    after = {"personId": before.person_id, "secondFactor": before.second_factor, "instead": before.id}
    await audit.record(tx, caller, "sessions.started", started.session.id, after=after)
    return started


async def own(tx: Tx, caller: Caller) -> Session:
    """The session behind this very call."""
    session = await store.find(tx, caller.actor_id, caller.session_id or "")
    if session is None:  # it was ended while the call was under way
        raise session_ended()
    return session


async def page(tx: Tx, caller: Caller, *, limit: int = 50, after_id: str | None = None) -> tuple[list[Session], bool]:
    """The member's own sessions in this agency, from the newest on, and whether there are more."""
    found = await store.page(tx, caller.actor_id, idle=IDLE, limit=limit + 1, after_id=after_id)
    return found[:limit], len(found) > limit


async def end(tx: Tx, caller: Caller, session_id: str) -> None:
    """End one of the member's own sessions at once, in every process."""
    if await store.end(tx, caller.actor_id, session_id) is None:
        raise NotFound("session")
    await audit.record(tx, caller, "sessions.ended", session_id)


async def end_others(tx: Tx, caller: Caller) -> int:
    """End all of the member's sessions in this agency but the one that calls; how many."""
    session = await own(tx, caller)
    count = await store.end_others(tx, caller.actor_id, session.id)
    if count:
        await audit.record(tx, caller, "sessions.ended", session.id, after={"others": count})
    return count


async def rename(tx: Tx, caller: Caller, name: str) -> Person:
    """Give oneself another name; it is the same in every agency."""
    person = await store.person(tx, (await own(tx, caller)).person_id)
    if person.name == name:
        return person
    await store.rename(tx, person.id, name)
    await audit.record(tx, caller, "people.renamed", person.id, before={"name": person.name}, after={"name": name})
    return replace(person, name=name)


async def change_password(tx: Tx, caller: Caller, encoded: str) -> Started:
    """Replace the password; all sessions of the person end, in every agency, and this one goes on under a new text."""
    session = await own(tx, caller)
    await store.keep_password(tx, session.person_id, encoded)
    renewed = await _renewed(tx, caller, session, second_factor=session.second_factor)
    await audit.record(tx, caller, "people.password_changed", session.person_id, after={"by": "password"})
    return renewed


async def begin_totp(tx: Tx, caller: Caller, masters: MasterKeys) -> Enrolment:
    """Show a fresh secret for an authenticator, once; it counts from its first code on."""
    person = await store.person(tx, (await own(tx, caller)).person_id)
    agency = await agencies.in_force(tx)
    made = factors.enrolment(person.email, agency.name)
    if not await store.keep_totp(tx, person.id, seal(masters, made.secret.reveal(), _context(person.id))):
        raise Refused("auth.two_factor_enrolled", "A second factor is in use; take it away first.")
    return made


async def confirm_totp(tx: Tx, caller: Caller, masters: MasterKeys, code: str) -> tuple[Started, Sequence[Secret]]:
    """Sign in with this authenticator from now on: the first code confirms it. Shows the recovery codes, once.

    Every session of the person that was begun without it ends; this one goes on under a new text.
    """
    session = await own(tx, caller)
    person = await store.person(tx, session.person_id)
    if person.is_enrolled:
        raise Refused("auth.two_factor_enrolled", "This second factor is in use already.")
    await _use_code(tx, person, masters, code)
    made = await _new_recovery_codes(tx, person.id)
    renewed = await _renewed(tx, caller, session, second_factor=True)
    await audit.record(tx, caller, "people.totp_enabled", person.id)
    return renewed, made


async def remove_totp(tx: Tx, caller: Caller, masters: MasterKeys, shown: Codes) -> Started:
    """Sign in without a second factor from now on; takes a code of the one that goes."""
    session = await own(tx, caller)
    person = await store.person(tx, session.person_id)
    await prove(tx, person, masters, shown)
    await store.keep_totp(tx, person.id, None)
    renewed = await _renewed(tx, caller, session, second_factor=False)
    await audit.record(tx, caller, "people.totp_disabled", person.id)
    return renewed


async def renew_recovery_codes(tx: Tx, caller: Caller, masters: MasterKeys, shown: Codes) -> Sequence[Secret]:
    """Fresh recovery codes, shown once; the old ones are void."""
    person = await store.person(tx, (await own(tx, caller)).person_id)
    await prove(tx, person, masters, shown)
    made = await _new_recovery_codes(tx, person.id)
    await audit.record(tx, caller, "people.recovery_codes_made", person.id)
    return made


async def mint_reset(tx: Tx, person_id: str) -> Secret:
    """The text of a link by which the person chooses a password anew: for an hour, once, the newest alone."""
    token = new_token(RESET_KIND)
    await store.keep_reset(tx, person_id, tx.pepper.digest(token.reveal()))
    return token


async def prove(tx: Tx, person: Person, masters: MasterKeys, shown: Codes) -> None:
    """Use up what somebody shows as second factor; refuses what is wrong, was used before, or what nobody set up."""
    if not person.is_enrolled:
        raise Refused("auth.two_factor_absent", "No second factor is set up.")
    if shown.recovery_code:
        if not await store.use_recovery_code(tx, person.id, factors.recovery_digests(tx.pepper, shown.recovery_code)):
            raise code_refused()
        return
    await _use_code(tx, person, masters, shown.code or "")


async def _use_code(tx: Tx, person: Person, masters: MasterKeys, code: str) -> None:
    if person.totp is None:
        raise Refused("auth.two_factor_absent", "No second factor was begun; POST /v1/me/totp begins one.")
    secret = unseal(masters, person.totp, _context(person.id))
    step = factors.step_of(secret, code, await tx.now())
    if step is None or not await store.use_step(tx, person.id, step):
        raise code_refused()


async def _new_recovery_codes(tx: Tx, person_id: str) -> Sequence[Secret]:
    made = factors.new_recovery_codes()
    await store.keep_recovery_codes(
        tx, person_id, [factors.recovery_digests(tx.pepper, code.reveal())[0] for code in made]
    )
    return made


async def _renewed(tx: Tx, caller: Caller, before: Session, *, second_factor: bool) -> Started:
    await store.end_of_person(tx, before.person_id)
    return await _started(tx, caller, before.person_id, (before.user_agent, second_factor, before.expires_at))


async def _started(tx: Tx, caller: Caller, person_id: str, terms: tuple[str, bool, datetime | None]) -> Started:
    user_agent, second_factor, expires_at = terms
    now, secret = await tx.now(), new_token(KIND)
    address = read_address(caller.address)
    session = Session(
        agency_id=tx.agency_id,
        id=new_id("sess"),
        member_id=caller.actor_id,
        person_id=person_id,
        second_factor=second_factor,
        address=None if address is None else str(address),
        user_agent=cut(user_agent),
        created_at=now,
        last_seen_at=now,
        expires_at=expires_at or now + LONGEST,
    )
    made = await store.add(tx, session, tx.pepper.digest(secret.reveal()))
    agency = await agencies.in_force(tx)
    required = bool(agency.settings.get("requireTwoFactor"))
    return Started(made, secret, two_factor(second_factor=second_factor, is_required=required))


def _context(person_id: str) -> Sequence[str]:
    return "person_secret", "totp", person_id
