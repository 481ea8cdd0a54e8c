"""Agencies with a sealed audit log, and hands that change it behind the house's back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import Connection, Database
from colonnade.tenancy import audit
from colonnade.tenancy.audit.jobs import Sealer
from tests.factories import Home, an_agency


async def all_sealed(worker_database: Database) -> None:
    """Seal until nothing of any agency waits."""
    sealer = Sealer(worker_database)
    while await sealer.round():
        continue


async def recorded(database: Database, home: Home, entries: int) -> None:
    """So many entries, each in a transaction of its own."""
    for number in range(entries):
        async with database.transaction(home.reach) as tx:
            await audit.record(
                tx, home.caller, "keys.updated", f"key_{number}", before={"limit": 0.5}, after={"name": f"é {number}"}
            )


async def a_sealed_home(database: Database, worker_database: Database, *, entries: int = 8) -> Home:
    """A fresh agency whose log holds so many sealed entries, and those of its founding before them."""
    home = await an_agency(database)
    await recorded(database, home, entries)
    await all_sealed(worker_database)
    return home


async def verdict_of(
    database: Database, home: Home, *, pepper: Pepper | None = None, known: audit.Place | None = None
) -> audit.Verdict:
    """What a verification finds now, with the usual keys or with others."""
    async with database.transaction(home.reach, read_only=True, snapshot=True) as tx:
        tx.pepper = pepper or tx.pepper
        return await audit.verify(tx, home.caller, known=known)


@asynccontextmanager
async def tampering(owner: Connection, home: Home) -> AsyncIterator[Connection]:
    """The database's owner, who may do everything with the rows of this agency."""
    async with owner.transaction():
        await owner.execute(f"set local app.agency_id = '{home.agency_id}'; set local app.workspace_ids = '*'")
        yield owner


async def links_of(owner: Connection, home: Home) -> list[Any]:
    """The chain as it is kept."""
    async with tampering(owner, home) as hands:
        return await hands.fetch("select * from audit_seal where agency_id = $1 order by position", home.agency_id)
