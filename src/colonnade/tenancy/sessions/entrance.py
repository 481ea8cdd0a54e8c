"""Coming in: from an e-mail address and a password, or a link, to a session. Nobody is known before it has ended.

Attempts are counted first, passwords are hashed outside of any transaction, and then one transaction does the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.envelope import MasterKeys
from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.core.secrets import is_token
from colonnade.ground.db.batches import BatchWriter
from colonnade.ground.db.database import Database
from colonnade.tenancy import audit, people
from colonnade.tenancy.keys import Limiter
from colonnade.tenancy.sessions import service, store
from colonnade.tenancy.sessions.attempts import Attempts
from colonnade.tenancy.sessions.hashing import Hasher
from colonnade.tenancy.sessions.model import (
    Attempt,
    Codes,
    Membership,
    Person,
    SignedIn,
    Visitor,
    dead_link,
    read_email,
    refuse_weak,
    wrong_credentials,
)

_log = structlog.get_logger("colonnade.sessions")

_REFUSALS: Final = {"auth.wrong_credentials": "password", "auth.code_refused": "code"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """What somebody with the link of an invitation sends."""

    token: str
    name: str | None
    password: str | None
    codes: Codes


class Entrance:
    """One for each process: the way in for people."""

    def __init__(self, database: Database, limiter: Limiter, masters: MasterKeys, hasher: Hasher | None = None) -> None:
        self.masters = masters
        self.hasher = hasher or Hasher()
        self.attempts = Attempts(limiter, database.pepper)
        self._database = database
        self._links: BatchWriter[tuple[str, Visitor]] = BatchWriter("links asked for", self._ask_for_links)

    async def close(self) -> None:
        """Write down what was asked for, and end."""
        await self._links.close()
        self.hasher.close()

    async def log_in(self, attempt: Attempt, visitor: Visitor) -> SignedIn:
        """Sign in with e-mail address and password, and a second factor where one is set up.

        An address that nobody has costs and answers the same as a wrong password. A refusal is written down in the
        agency of the person whom it was about.
        """
        email = read_email(attempt.email)
        await self.attempts.password(email, visitor.address)
        person = await store.person_by_email(self._database, email)
        verdict = await self.hasher.verify(person.password if person else None, attempt.password)
        if person is None:
            raise wrong_credentials()
        memberships = await store.memberships(self._database, person.id)
        if not verdict.fits:
            raise await self._refused(wrong_credentials(), person, memberships, visitor)
        place = _chosen(memberships, attempt.agency_id)
        await self._prove(person, memberships, attempt.codes, visitor)
        encoded = await self.hasher.hash(attempt.password) if verdict.is_stale else None
        return await self._enter(person, place, memberships, visitor, encoded)

    async def ask_for_link(self, email: str, visitor: Visitor) -> None:
        """Take note that somebody wants to choose a password anew; returns the same, as quickly, for every address."""
        known = read_email(email)
        await self.attempts.link(known, visitor.address)
        self._links.add((known, visitor))

    async def choose_password(self, token: str, password: str, visitor: Visitor) -> None:
        """Use up a link and replace the password of its person; all of their sessions end, everywhere."""
        person = await self._behind_link(token)
        refuse_weak(password, person.email)
        encoded = await self.hasher.hash(password)
        place = _chosen(await store.memberships(self._database, person.id), None)
        caller = visitor.member(person, place)
        async with self._database.transaction(caller.reach) as tx:
            if not await store.use_reset(tx, person.id, tx.pepper.digests(token)):
                raise dead_link()
            await store.keep_password(tx, person.id, encoded)
            await store.end_of_person(tx, person.id)
            await audit.record(tx, caller, "people.password_changed", person.id, after={"by": "link"})

    async def accept_invitation(self, arrival: Arrival, visitor: Visitor, signed_in: Caller | None = None) -> SignedIn:
        """Become a member by the link of an invitation, and be signed in.

        Who has a password gives it, and the second factor where there is one; who has none chooses one.
        """
        found = await people.find_invitation(self._database, arrival.token)
        if found is None:
            raise dead_link()
        known = await store.person_by_email(self._database, found.email)
        await self._refuse_another(signed_in, known, found.email)
        encoded = await self._welcome(known, found.email, arrival, visitor)
        async with self._database.transaction(Reach(found.agency_id)) as tx:
            person_id = await people.ensure_person(tx, email=found.email, name=arrival.name or found.name)
            comer = people.Arrival(person_id, visitor.request_id, visitor.address)
            member = await people.accept_invitation(tx, found.id, comer)
            if encoded is not None:
                await store.keep_password(tx, person_id, encoded)
            person = await store.person(tx, person_id)
            place = Membership(found.agency_id, found.agency_name, member.id, member.role)
            started = await service.start(
                tx,
                visitor.member(person, place),
                person,
                user_agent=visitor.user_agent,
                second_factor=person.is_enrolled,
            )
        return SignedIn(started, person, place, await store.memberships(self._database, person_id))

    async def switch(self, caller: Caller, agency_id: str, visitor: Visitor) -> SignedIn:
        """Go on in another agency of the same person; the session in this one ends first."""
        async with self._database.transaction(Reach(caller.agency_id)) as tx:
            before = await service.own(tx, caller)
            person = await store.person(tx, before.person_id)
        memberships = await store.memberships(self._database, person.id)
        place = _chosen(memberships, agency_id)
        entering = visitor.member(person, place)
        async with self._database.transaction(Reach(caller.agency_id)) as leaving:
            # Whoever ends all sessions of the person meanwhile waits for both, and then ends the new one too.
            await store.hold(leaving, person.id)
            await service.end(leaving, caller, before.id)
            async with self._database.transaction(entering.reach) as tx:
                started = await service.move(tx, entering, before)
        return SignedIn(started, person, place, memberships)

    async def leave(self, caller: Caller | None) -> None:
        """End the session that a browser had before it signed in anew."""
        if caller is None or caller.session_id is None:
            return
        async with self._database.transaction(Reach(caller.agency_id)) as tx:
            if await store.end(tx, caller.actor_id, caller.session_id) is not None:
                await audit.record(tx, caller, "sessions.ended", caller.session_id)

    async def encoded_instead(self, person: Person, current: str, new: str, visitor: Visitor) -> str:
        """What is kept of a new password, once the current one was given; not yet kept."""
        refuse_weak(new, person.email, "/new")
        await self.attempts.password(person.email, visitor.address)
        if not (await self.hasher.verify(person.password, current)).fits:
            memberships = await store.memberships(self._database, person.id)
            raise await self._refused(wrong_credentials(), person, memberships, visitor)
        return await self.hasher.hash(new)

    async def _refuse_another(self, signed_in: Caller | None, known: Person | None, email: str) -> None:
        if signed_in is None or signed_in.session_id is None:
            return
        async with self._database.transaction(Reach(signed_in.agency_id)) as tx:
            session = await store.find(tx, signed_in.actor_id, signed_in.session_id)
        if session is not None and (known is None or session.person_id != known.id):
            raise Refused("invitations.other_person", f"This invitation is for {email}; sign out first.")

    async def _welcome(self, known: Person | None, email: str, arrival: Arrival, visitor: Visitor) -> str | None:
        """What is to be kept of the password that somebody who is invited chooses; none where they have one."""
        if known is None or known.password is None:
            if arrival.password is None:
                raise BadField("/password", "is required: choose one")
            refuse_weak(arrival.password, email)
            return await self.hasher.hash(arrival.password)
        await self.attempts.password(email, visitor.address)
        memberships = await store.memberships(self._database, known.id)
        if not (await self.hasher.verify(known.password, arrival.password or "")).fits:
            raise await self._refused(wrong_credentials(), known, memberships, visitor)
        await self._prove(known, memberships, arrival.codes, visitor)
        return None

    async def _prove(self, person: Person, memberships: Sequence[Membership], shown: Codes, visitor: Visitor) -> None:
        if not person.is_enrolled:
            return
        if not shown.are_there:
            raise Refused("auth.code_needed", "Send the `code` of your authenticator too, or a `recoveryCode`.")
        await self.attempts.code(person.id)
        try:
            async with self._database.transaction(Reach(_home(memberships).agency_id)) as tx:
                await service.prove(tx, person, self.masters, shown)
        except Refused as refused:
            raise await self._refused(refused, person, memberships, visitor) from refused

    async def _enter(
        self,
        person: Person,
        place: Membership,
        memberships: Sequence[Membership],
        visitor: Visitor,
        encoded: str | None,
    ) -> SignedIn:
        caller = visitor.member(person, place)
        async with self._database.transaction(caller.reach) as tx:
            if await store.hold(tx, person.id) != (person.password, person.is_enrolled):
                raise wrong_credentials()  # they were replaced while these were looked at
            if encoded is not None:
                await store.keep_password(tx, person.id, encoded)
            started = await service.start(
                tx, caller, person, user_agent=visitor.user_agent, second_factor=person.is_enrolled
            )
        return SignedIn(started, person, place, memberships)

    async def _refused(
        self, refusal: Refused, person: Person, memberships: Sequence[Membership], visitor: Visitor
    ) -> Refused:
        """The refusal, once it is written down where somebody of the agency may see it."""
        if memberships:
            caller = visitor.nobody(memberships[0].agency_id)
            async with self._database.transaction(caller.reach) as tx:
                after = {"email": person.email, "wrong": _REFUSALS.get(refusal.reason, refusal.reason)}
                await audit.record(tx, caller, "sessions.refused", person.id, after=after)
        return refusal

    async def _behind_link(self, token: str) -> Person:
        digests = self._database.pepper.digests(token) if is_token(service.RESET_KIND, token) else []
        person_id = await store.find_reset(self._database, digests) if digests else None
        person = None if person_id is None else await store.person_by_id(self._database, person_id)
        if person is None:
            raise dead_link()
        return person

    async def _ask_for_links(self, asked: Sequence[tuple[str, Visitor]]) -> None:
        for email, visitor in asked:
            try:
                await self._ask(email, visitor)
            except Exception:
                _log.exception("sessions.link_not_asked_for", request_id=visitor.request_id)

    async def _ask(self, email: str, visitor: Visitor) -> None:
        person = await store.person_by_email(self._database, email)
        memberships = await store.memberships(self._database, person.id) if person else []
        if person is None or not memberships:
            return
        caller = visitor.nobody(memberships[0].agency_id)
        async with self._database.transaction(caller.reach) as tx:
            await audit.record(tx, caller, "people.reset_requested", person.id)


def _chosen(memberships: Sequence[Membership], agency_id: str | None) -> Membership:
    if agency_id is None:
        return _home(memberships)
    for one in memberships:
        if one.agency_id == agency_id:
            return one
    raise Refused("auth.no_agency", "You are not a member of this agency.")


def _home(memberships: Sequence[Membership]) -> Membership:
    if not memberships:
        raise Refused("auth.no_agency", "You are not a member of any agency any more; ask for an invitation.")
    return memberships[0]
