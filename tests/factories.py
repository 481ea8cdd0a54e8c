"""Things that tests begin with: a fresh agency for each test, workspaces in it, and callers for both."""

from dataclasses import dataclass
from typing import Any

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.scopes import AGENCY_SCOPES, WORKSPACE_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import people, workspaces
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
