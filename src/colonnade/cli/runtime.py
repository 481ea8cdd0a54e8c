"""What every command needs first: the settings, and a database that answers and has this version's schema."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg
from pydantic import ValidationError

from colonnade.cli.console import err, fail
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db import embedded
from colonnade.ground.db.database import Database
from colonnade.ground.db.migrating import MigrationRefused, migrate
from colonnade.installation import address_of, direct_address_of, owner_of
from colonnade.schema import STEPS
from colonnade.settings import PREFIX, Settings, pepper_of

Answer = TypeVar("Answer")


def read_settings(**given: Any) -> Settings:
    """The settings, with what the command line gives on top; bad ones end the command, each with its sentence."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for one in error.errors():
            name = PREFIX + "_".join(str(part) for part in one["loc"]).upper()
            err.print(f"[bold red]✗[/] {name}: {one['msg'].removeprefix('Value error, ')}.")
        fail("Correct these settings and try again; `colonnade doctor` shows all of them.", 2)


@contextlib.contextmanager
def database_running(settings: Settings) -> Iterator[embedded.Cluster | None]:
    """The embedded server, started for this command unless `up` runs it or the database is an external one."""
    if settings.database_url is not None or embedded.is_locked(settings.data):
        yield None
        return
    cluster = embedded.start(settings.data, account=settings.database_user, on_wait=_say)
    try:
        yield cluster
    finally:
        cluster.stop()


def _say(sentence: str) -> None:
    err.print(sentence)


async def bring_up_to_date(settings: Settings) -> list[str]:
    """Apply the migrations that are missing; the names of those that were."""
    address = direct_address_of(settings)
    connection = await asyncpg.connect(**address.arguments(owner_of(settings)))
    try:
        return await migrate(connection, STEPS)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def opened(settings: Settings, role: str = "colonnade_app") -> AsyncIterator[Database]:
    """The door for one command."""
    database = Database(address_of(settings), role, pepper_of(settings), most_connections=4)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def with_database(settings: Settings, work: Callable[[Database], Awaitable[Answer]]) -> Answer:
    """Do a command's work on a running, current database; refusals become one sentence and exit code 1."""
    with explained(), database_running(settings):
        return asyncio.run(_work(settings, work))


async def _work(settings: Settings, work: Callable[[Database], Awaitable[Answer]]) -> Answer:
    await bring_up_to_date(settings)
    async with opened(settings) as database:
        return await work(database)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what commands may run into, into one sentence each."""
    try:
        yield
    except Refused as refused:
        for bad in refused.errors:
            err.print(f"  {bad.pointer or 'request'}: {bad.detail}")
        fail(refused.sentence)
    except (embedded.CannotStart, MigrationRefused) as error:
        fail(str(error))


async def agencies_here(settings: Settings) -> list[asyncpg.Record]:
    """The agencies of this installation, the oldest first, without their test twins."""
    connection = await asyncpg.connect(**direct_address_of(settings).arguments(owner_of(settings)))
    try:
        rows = await connection.fetch("select agency_id, name from list_agencies() where not is_test")
        return list(rows)
    finally:
        await connection.close()
