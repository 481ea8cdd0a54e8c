"""Things that tests begin with: a fresh agency for each test, workspaces in it, and callers for both."""

from dataclasses import dataclass
from typing import Any

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.scopes import AGENCY_SCOPES, WORKSPACE_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import people, sessions, workspaces
from colonnade.tenancy.workspaces import Workspace


@dataclass(frozen=True, slots=True)
class Home:
    """An agency of the test's own: its id, a caller with its master key, and the member who owns it."""

    agency_id: str
    caller: Caller
    owner_id: str

    @property
    def reach(self) -> Reach:
        return self.caller.reach


def agency_caller(agency_id: str, *, scopes: frozenset[str] = AGENCY_SCOPES, address: str | None = None) -> Caller:
    """A caller with an agency key; the master one unless scopes are given."""
    return Caller(
        CallerKind.AGENCY_KEY, Reach(agency_id), scopes, new_id("key"), "a key of the tests", new_request_id(), address
    )


async def an_agency(database: Database, *, name: str = "Northlight") -> Home:
    """A fresh agency with an owner and nothing else."""
    founded = await people.found_agency(database, name=name, owner_email=f"owner@{new_id('person')[7:]}.example")
    return Home(founded.agency.id, agency_caller(founded.agency.id), founded.owner.id)


async def a_workspace(database: Database, home: Home, **fields: Any) -> Workspace:
    """A workspace of the agency; the fields are named as on the wire."""
    async with database.transaction(home.reach) as tx:
        return await workspaces.create(tx, home.caller, fields={"name": "Acme", **fields})


def workspace_caller(home: Home, workspace: Workspace, *, scopes: frozenset[str] = WORKSPACE_SCOPES) -> Caller:
    """A caller with a key of this workspace alone."""
    return Caller(
        CallerKind.WORKSPACE_KEY,
        Reach(home.agency_id, (workspace.id,)),
        scopes,
        new_id("key"),
        "a workspace key of the tests",
        new_request_id(),
        workspace_id=workspace.id,
    )


async def a_signed_in(
    database: Database,
    home: Home,
    role: str = "owner",
    *,
    workspaces: dict[str, str] | None = None,
    second_factor: bool = False,
    cookie: str = "colonnade_session",
) -> dict[str, str]:
    """The headers of a member who is signed in: the session's cookie, and the token that its writes bring along.

    A fresh member, but for the owner, who is there already. `workspaces` are the only ones where they work, each with
    their role there.
    """
    async with database.transaction(home.reach) as tx:
        email = f"{role}@{new_id('person')[7:]}.example"
        known = await people.owner(tx) if role == "owner" else None
        if known is None:
            person_id = await people.ensure_person(tx, email=email, name=f"The {role}")
            known = await people.add_member(tx, home.caller, person_id=person_id, role=role)
        if workspaces is not None:
            wanted = [people.Assignment(one, there) for one, there in workspaces.items()]  # type: ignore[arg-type]
            await people.change(tx, home.caller, known.id, people.Change(workspaces=wanted), people.without_estate())
        person = await sessions.person(tx, known.person_id)
        place = sessions.Membership(home.agency_id, "", known.id, known.role)
        caller = sessions.Visitor(new_request_id(), "192.0.2.1").member(person, place)
        started = await sessions.start(tx, caller, person, user_agent="tests", second_factor=second_factor)
    token = sessions.csrf_token(database.pepper, started.session.id)
    return {"cookie": f"{cookie}={started.secret.reveal()}", "x-csrf-token": token}
