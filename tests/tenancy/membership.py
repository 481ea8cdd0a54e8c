"""People for tests about members: signed-in callers, more members, and invitations that were mailed."""

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.scopes import ROLES
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, people, workspaces
from colonnade.tenancy.people import Arrival, Draft, Estate, Invitation, Member
from tests.factories import Home


def an_email(name: str = "somebody") -> str:
    """An address that nobody else has."""
    return f"{name}@{new_id('person')[7:]}.example"


def signed_in(home: Home, member_id: str, role: str = "owner") -> Caller:
    """The caller that a member is who has signed in."""
    return Caller(
        CallerKind.MEMBER, Reach(home.agency_id), ROLES[role], member_id, "a member of the tests", new_request_id()
    )


def the_owner(home: Home) -> Caller:
    """The agency's first owner, signed in."""
    return signed_in(home, home.owner_id)


async def a_member(database: Database, home: Home, role: str = "manager", email: str | None = None) -> Member:
    """One more member of the agency."""
    operator = agencies.entering(home.agency_id)
    async with database.transaction(home.reach) as tx:
        person_id = await people.ensure_person(tx, email=email or an_email(role))
        return await people.add_member(tx, operator, person_id=person_id, role=role)


async def an_invitation(database: Database, home: Home, caller: Caller | None = None, **draft: object) -> Invitation:
    """An open invitation that no mail has gone out for yet."""
    wanted = Draft(**{"email": an_email("guest"), "role": "manager", **draft})  # type: ignore[arg-type]
    async with database.transaction(home.reach) as tx:
        return await people.invite(tx, caller or the_owner(home), wanted)


async def mailed(database: Database, home: Home, invitation_id: str) -> Secret:
    """The token of the link that the mail about it carries."""
    async with database.transaction(home.reach) as tx:
        minted = await people.mint_invitation(tx, invitation_id)
    assert minted is not None
    return minted.token


async def accepted(database: Database, home: Home, invitation: Invitation) -> Member:
    """The member that its receiver becomes."""
    async with database.transaction(home.reach) as tx:
        person_id = await people.ensure_person(tx, email=invitation.email)
        return await people.accept_invitation(tx, invitation.id, Arrival(person_id, new_request_id()))


async def no_keys(*_: object) -> int:
    """Nobody of these tests made a key."""
    return 0


def estate() -> Estate:
    """What becomes of a member's things: their workspaces go over, keys there are none."""
    return Estate(workspaces.hand_over, no_keys, no_keys, no_keys)
