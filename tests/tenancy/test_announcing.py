"""The outbox: what was committed is told once, to whoever listens, and then it is gone."""

import pytest

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy.audit import Announcement
from colonnade.tenancy.audit.jobs import announce
from tests.factories import a_workspace, an_agency

COUNT = "select count(*) from outbox where agency_id = $1"


async def drained(database: Database, reactions: dict[str, list[object]]) -> None:
    while await announce(database, "worker of the tests", reactions):  # type: ignore[arg-type]
        continue


async def left(worker_database: Database, agency_id: str) -> int:
    async with worker_database.transaction(Reach(agency_id)) as tx:
        return int(await tx.fetchval(COUNT, agency_id))


async def test_a_reaction_hears_of_its_event_within_the_agency_that_it_happened_in(
    database: Database, worker_database: Database
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    heard: list[tuple[str, str]] = []

    async def listen(tx: Tx, announcement: Announcement) -> None:
        heard.append((tx.agency_id, announcement.resource_id))

    await drained(worker_database, {"workspaces.created": [listen]})

    assert (home.agency_id, workspace.id) in heard
    assert len([one for one in heard if one[1] == workspace.id]) == 1
    assert await left(worker_database, home.agency_id) == 0


async def test_a_reaction_that_fails_keeps_its_announcement_for_later(
    database: Database, worker_database: Database
) -> None:
    home = await an_agency(database)
    await a_workspace(database, home)

    async def fail(_tx: Tx, announcement: Announcement) -> None:
        if announcement.agency_id == home.agency_id:
            raise RuntimeError("the world is not ready")

    await drained(worker_database, {"workspaces.created": [fail]})

    assert await left(worker_database, home.agency_id) == 1


async def test_a_command_that_is_rolled_back_announces_nothing(database: Database, worker_database: Database) -> None:
    home = await an_agency(database)
    await drained(worker_database, {})

    with pytest.raises(Refused):
        await a_workspace(database, home, primaryDomain="not a host")

    assert await left(worker_database, home.agency_id) == 0
