"""Agencies with several brands and credits, and bulk actions in them; each verb in a transaction of its own."""

from dataclasses import dataclass, replace
from typing import Any

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.runs import bulk, invocations
from colonnade.runs.bulk import BulkAction, Item, PlanLine, Selection, Slice, Wish
from colonnade.runs.invocations import Run
from colonnade.tenancy import agencies, workspaces
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_workspace, an_agency

INVOKE: dict[str, Any] = {"skill": "draft_post", "input": {"topic": "A fair comparison"}}
COST = 11_000
"""What is held for one draft_post, in milli-credits."""


@dataclass
class Fleet:
    """An agency, its workspaces in the order of making, and what tests do with bulk actions there."""

    database: Database
    home: Home
    ids: list[str]

    def key_of(self, *ids: str) -> Caller:
        """An agency key that reaches these workspaces only."""
        return replace(self.home.caller, reach=Reach(self.home.agency_id, ids), actor_id=new_id("key"))

    async def start(self, wish: Wish | None = None, caller: Caller | None = None) -> BulkAction:
        caller = caller or self.home.caller
        async with self.database.transaction(caller.reach) as tx:
            return await bulk.start(tx, caller, wish or an_invocation())

    async def plan(self, wish: Wish | None = None, caller: Caller | None = None) -> list[PlanLine]:
        caller = caller or self.home.caller
        async with self.database.transaction(caller.reach) as tx:
            return await bulk.plan(tx, caller, wish or an_invocation())

    async def get(self, action: BulkAction, caller: Caller | None = None) -> BulkAction:
        caller = caller or self.home.caller
        async with self.database.transaction(caller.reach, read_only=True) as tx:
            return await bulk.get(tx, caller, action.id)

    async def cancel(self, action: BulkAction) -> BulkAction:
        async with self.database.transaction(self.home.reach) as tx:
            return await bulk.cancel(tx, self.home.caller, action.id)

    async def items(self, action: BulkAction, caller: Caller | None = None) -> dict[str, Item]:
        caller = caller or self.home.caller
        async with self.database.transaction(caller.reach, read_only=True) as tx:
            found, more, _ = await bulk.items(tx, caller, action.id, (), Slice(limit=10_000))
        assert not more
        return {item.workspace_id: item for item in found}

    async def runs(self, action: BulkAction) -> list[Run]:
        async with self.database.transaction(self.home.reach) as tx:
            where = invocations.RunFilter(bulk_id=action.id)
            return list((await invocations.page(tx, self.home.caller, where, limit=10_000)).runs)

    async def count(self, table: str) -> int:
        async with self.database.transaction(self.home.reach) as tx:
            found: int = await tx.fetchval(f"select count(*) from {table} where agency_id = $1", self.home.agency_id)
            return found

    async def workspace(self, workspace_id: str) -> Workspace:
        async with self.database.transaction(self.home.reach) as tx:
            return await workspaces.get(tx, self.home.caller, workspace_id)

    async def change(self, workspace_id: str, **patch: Any) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await workspaces.update(tx, self.home.caller, workspace_id, patch=patch)

    async def archive(self, workspace_id: str) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await workspaces.archive(tx, self.home.caller, workspace_id)

    async def set_agency(self, **settings: Any) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await agencies.update_settings(tx, self.home.caller, patch=settings)


def an_invocation(*ids: str, tag: str | None = None, **config: Any) -> Wish:
    """A run of draft_post in these workspaces, or in all of them."""
    return Wish("agent.invoke", Selection(ids or None, tag), {**INVOKE, **config})


def a_change(*ids: str, **patch: Any) -> Wish:
    """The same patch for these workspaces, or for all of them."""
    return Wish("workspace.update", Selection(ids or None), patch)


async def a_fleet(database: Database, *, brands: int = 2, granted: int = 1_000_000) -> Fleet:
    """A fresh agency with credits in its own pool and some brands."""
    home = await an_agency(database)
    made = [(await a_workspace(database, home, name=f"Brand {number}")).id for number in range(brands)]
    if granted:
        async with database.transaction(home.reach) as tx:
            await credits.grant(tx, home.caller, amount=MilliCredits(granted))
    return Fleet(database, home, made)
