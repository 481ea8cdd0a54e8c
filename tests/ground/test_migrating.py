"""Migrations on a database of their own: once, whole, and never over something else than what they know."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from colonnade.ground.db.address import Address
from colonnade.ground.db.migrating import MigrationRefused, migrate, migrations
from colonnade.schema import STEPS


@pytest_asyncio.fixture
async def empty(server: Address, worker_id: str) -> AsyncIterator[Address]:
    """A database with nothing in it."""
    name = f"colonnade_migrating_{worker_id}"
    owner = await asyncpg.connect(**server.arguments("colonnade_owner"))
    await owner.execute(f"create database {name}")
    yield Address(server.host, server.port, name, server.passwords)
    await owner.execute(f"drop database {name} with (force)")
    await owner.close()


async def apply(address: Address) -> list[str]:
    connection = await asyncpg.connect(**address.arguments("colonnade_owner"))
    try:
        return await migrate(connection, STEPS)
    finally:
        await connection.close()


async def say(address: Address, sql: str) -> None:
    connection = await asyncpg.connect(**address.arguments("colonnade_owner"))
    await connection.execute(sql)
    await connection.close()


async def test_a_second_run_finds_nothing_to_do(empty: Address) -> None:
    assert await apply(empty) == [migration.name for migration in migrations()]
    assert await apply(empty) == []


async def test_two_that_start_at_once_apply_each_text_once(empty: Address) -> None:
    first, second = await asyncio.gather(apply(empty), apply(empty))

    assert sorted([first, second]) == [[], [migration.name for migration in migrations()]]


async def test_a_text_that_was_changed_after_it_was_applied_is_refused_by_its_name(empty: Address) -> None:
    await apply(empty)
    await say(empty, "update migration set sha256 = 'that of another text' where number = 1")

    with pytest.raises(MigrationRefused, match="0001_ground has been changed"):
        await apply(empty)


async def test_a_database_that_a_newer_version_has_used_is_refused(empty: Address) -> None:
    await apply(empty)
    await say(empty, "insert into migration (number, name, sha256) values (9999, '9999_from_the_future', '')")

    with pytest.raises(MigrationRefused, match="a newer Colonnade"):
        await apply(empty)


async def test_a_kill_in_the_middle_leaves_nothing(empty: Address) -> None:
    async def stumble(_connection: object) -> None:
        raise KeyboardInterrupt

    connection = await asyncpg.connect(**empty.arguments("colonnade_owner"))
    with pytest.raises(KeyboardInterrupt):
        await migrate(connection, [stumble])
    await connection.close()

    assert await apply(empty) == [migration.name for migration in migrations()]
