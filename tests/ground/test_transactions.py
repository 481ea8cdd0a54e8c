import asyncio
import contextlib

import asyncpg
import pytest

from colonnade.ground.db.database import LOST, Database
from tests.factories import Home, an_agency


async def lose_the_connection(database: Database, home: Home) -> None:
    async with database.transaction(home.reach) as tx:
        with contextlib.suppress(*LOST):
            await tx.fetch("select pg_terminate_backend(pg_backend_pid())")
        await asyncio.sleep(0.2)  # the pool takes the connection away once its end has arrived
        raise LookupError


async def test_a_block_whose_connection_was_ended_raises_its_own_error(database: Database) -> None:
    home = await an_agency(database)

    with pytest.raises(LookupError):
        await lose_the_connection(database, home)

    async with database.transaction(home.reach) as tx:
        assert await tx.fetch("select 1 as one")


def test_errors_of_files_are_none_of_the_databases() -> None:
    assert not issubclass(FileNotFoundError, LOST)
    assert issubclass(asyncpg.ConnectionDoesNotExistError, LOST)
