"""Agencies with workspaces and credits, each fresh, for the tests of this slice."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg

from colonnade import credits
from colonnade.credits import HoldRequest, UsageLine
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies
from tests import factories


@dataclass(frozen=True)
class Home:
    """An agency, its master key as a caller, and its workspaces in the order of making."""

    database: Database
    origin: factories.Home
    workspaces: tuple[str, ...]

    @property
    def caller(self) -> Caller:
        return self.origin.caller

    @property
    def agency_id(self) -> str:
        return self.caller.agency_id

    def key_of(self, workspace_id: str, kind: CallerKind = CallerKind.WORKSPACE_KEY) -> Caller:
        """A key of that workspace alone."""
        reach = Reach(self.agency_id, (workspace_id,))
        return replace(self.caller, kind=kind, reach=reach, actor_id=new_id("key"), workspace_id=workspace_id)

    def run_in(self, workspace_id: str) -> Caller:
        """A run of that workspace."""
        return self.key_of(workspace_id, CallerKind.RUN)


async def a_home(database: Database, *, workspaces: int = 2, granted: int = 0, **settings: Any) -> Home:
    """A fresh agency with workspaces; `granted` milli-credits lie in its own pool."""
    home = await factories.an_agency(database)
    made = [await factories.a_workspace(database, home, name=f"Brand {number}") for number in range(workspaces)]
    async with database.transaction(home.reach) as tx:
        if settings:
            await agencies.update_settings(tx, home.caller, patch=settings)
        if granted:
            await credits.grant(tx, home.caller, amount=MilliCredits(granted))
    return Home(database, home, tuple(workspace.id for workspace in made))


def a_request(workspace_id: str, amount: int, reference: str | None = None, run_id: str | None = None) -> HoldRequest:
    """A wish for so many milli-credits, under a reference of its own."""
    return HoldRequest(workspace_id, MilliCredits(amount), "generation", reference or new_id("inv"), run_id)


def used(amount: int, feature: str = "generation", **fields: Any) -> UsageLine:
    """A line of so many milli-credits."""
    return UsageLine(feature, MilliCredits(amount), **fields)


async def work(home: Home, workspace_id: str, *lines: UsageLine) -> None:
    """A piece of work that uses exactly these, by the agency's key."""
    amount = sum(line.credits for line in lines)
    async with home.database.transaction(home.caller.reach) as tx:
        hold = await credits.hold(tx, home.caller, a_request(workspace_id, amount))
        await credits.settle(tx, home.caller, hold.id, lines)


async def account_balances(home: Home) -> dict[str, int]:
    """Every account that is not empty."""
    async with home.database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch("select id, balance from credit_account where agency_id = $1", home.agency_id)
    return {row["id"]: row["balance"] for row in rows if row["balance"]}


async def available(home: Home, workspace_id: str) -> int:
    """What the workspace could spend now."""
    async with home.database.transaction(home.caller.reach) as tx:
        return await credits.available(tx, home.caller, workspace_id)


@contextlib.asynccontextmanager
async def turning_the_clock(address: Address, home: Home) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The owner of the tables inside the agency: nobody else can turn the clock."""
    owner = await asyncpg.connect(**address.arguments("colonnade_owner"))
    try:
        async with owner.transaction():
            await owner.execute("select set_config('app.agency_id', $1, true)", home.agency_id)
            await owner.execute("select set_config('app.workspace_ids', '*', true)")
            yield owner
    finally:
        await owner.close()


async def let_grants_expire(address: Address, home: Home) -> None:
    """Let the time of every grant with an end be over."""
    async with turning_the_clock(address, home) as owner:
        await owner.execute(
            "update credit_grant set expires_at = now() - interval '1 second' where expires_at is not null"
        )


async def let_holds_expire(address: Address, home: Home) -> None:
    """Let the time of every hold with an end be over."""
    async with turning_the_clock(address, home) as owner:
        await owner.execute(
            "update credit_hold set expires_at = now() - interval '1 second' where expires_at is not null"
        )


async def let_cycles_end(address: Address, home: Home, *, after: timedelta = timedelta(0)) -> None:
    """Let the last cycle end so long from now on, or have ended: all of its time lies so much earlier."""
    async with turning_the_clock(address, home) as owner:
        await owner.execute(
            """update credit_cycle c set starts_at = starts_at - l.by, ends_at = ends_at - l.by
               from (select max(ends_at) - (now() + $1::interval) as by from credit_cycle) l""",
            after,
        )
