"""Agencies with workspaces and credits, each fresh, for the tests of this slice."""

from dataclasses import dataclass

from colonnade import credits
from colonnade.credits.model import HoldRequest
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.scopes import AGENCY_SCOPES, WORKSPACE_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies

ADD_WORKSPACE = """
insert into workspace (agency_id, id, name, sort_name, slug, settings, created_at, updated_at)
values ($1, $2, $2, $2, $3, $4, now(), now())
"""


@dataclass(frozen=True)
class Home:
    """An agency, its master key as a caller, and its workspaces in the order of making."""

    database: Database
    caller: Caller
    workspaces: tuple[str, ...]

    @property
    def agency_id(self) -> str:
        return self.caller.agency_id

    def key_of(self, workspace_id: str) -> Caller:
        """A key of that workspace alone."""
        reach = Reach(self.agency_id, (workspace_id,))
        return Caller(
            CallerKind.WORKSPACE_KEY, reach, WORKSPACE_SCOPES, new_id("key"), "client", new_request_id()
        ).within(workspace_id)

    def run_in(self, workspace_id: str) -> Caller:
        """A run of that workspace."""
        reach = Reach(self.agency_id, (workspace_id,))
        return Caller(CallerKind.RUN, reach, WORKSPACE_SCOPES, new_id("inv"), "run", new_request_id()).within(
            workspace_id
        )


async def a_home(
    database: Database, *, workspaces: int = 2, granted: int = 0, pool: str | None = None, timezone: str = "UTC"
) -> Home:
    """A fresh agency; `granted` milli-credits lie in its own pool, `pool` is every workspace's own `creditPool`."""
    operator = agencies.entering(new_id("agency"))
    ids = tuple(new_id("ws") for _ in range(workspaces))
    async with database.transaction(operator.reach) as tx:
        await agencies.create(tx, operator, name="Nine Oaks")
        await agencies.update_settings(tx, operator, patch={"timezone": timezone})
        for identity in ids:
            settings = {"creditPool": pool} if pool else {}
            slug = identity.replace("_", "-")
            await tx.execute(ADD_WORKSPACE, tx.agency_id, identity, slug, settings)
        if granted:
            await credits.grant(tx, operator, amount=MilliCredits(granted))
    caller = Caller(
        CallerKind.AGENCY_KEY, Reach(operator.agency_id), AGENCY_SCOPES, new_id("key"), "master", new_request_id()
    )
    return Home(database, caller, ids)


def a_request(workspace_id: str, amount: int, **fields: str | None) -> HoldRequest:
    """A wish for so many milli-credits, under a reference of its own."""
    defaults: dict[str, str | None] = {"feature": "generation", "reference": new_id("inv"), "run_id": None}
    return HoldRequest(workspace_id, MilliCredits(amount), **{**defaults, **fields})  # type: ignore[arg-type]
