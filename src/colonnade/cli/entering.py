"""How commands enter an agency: as the operator, who is recorded as such in the agency's audit log."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from colonnade.cli.console import fail
from colonnade.cli.runtime import agencies_here, with_database
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database, Tx
from colonnade.settings import Settings
from colonnade.tenancy import agencies

Answer = TypeVar("Answer")
InAgency = Callable[[Database, Caller], Awaitable[Answer]]


def within_agency(settings: Settings, named: str | None, work: InAgency[Answer]) -> Answer:
    """Do a command's work in the named agency, or in the only one."""

    async def enter(database: Database) -> Answer:
        agency_id = chosen(await agencies_here(settings), named)
        return await work(database, agencies.entering(agency_id))

    return with_database(settings, enter)


def in_transaction(settings: Settings, named: str | None, verb: Callable[[Tx, Caller], Awaitable[Answer]]) -> Answer:
    """The same for a command that is one verb in one transaction."""

    async def work(database: Database, operator: Caller) -> Answer:
        async with database.transaction(operator.reach) as tx:
            return await verb(tx, operator)

    return within_agency(settings, named, work)


def chosen(here: Sequence[asyncpg.Record], named: str | None) -> str:
    """The agency that is named, or the only one; anything else ends the command."""
    known = {str(row["agency_id"]): str(row["name"]) for row in here}
    if named is not None:
        if named not in known:
            fail(f"There is no agency {named} here; `colonnade agency list` shows those that are.")
        return named
    if not known:
        fail("There is no agency yet; make one with: colonnade agency create --name NAME --owner-email ADDRESS")
    if len(known) > 1:
        fail("Several agencies are here; name one with --agency (`colonnade agency list` shows them).")
    return next(iter(known))
