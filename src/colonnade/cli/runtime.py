"""What every command needs first: the settings, and a database that answers and has this version's schema."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg
from pydantic import ValidationError

from colonnade.cli.console import err, fail
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db import embedded, external
from colonnade.ground.db.database import LOST, UNREACHABLE, Database
from colonnade.ground.db.migrating import MigrationRefused, migrate
from colonnade.installation import APP, address_of, direct_address_of, former_role_passwords, owner_of, role_passwords
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


def pepper_for_signatures(settings: Settings) -> Pepper:
    """The secret that signatures are checked with, where this installation has one; none is made for that."""
    if settings.secret_key is None and not settings.secret_file.exists():
        fail(f"There is no secret in {settings.data}; without it no signature can be checked.")
    return pepper_of(settings)


@contextlib.contextmanager
def database_running(settings: Settings) -> Iterator[embedded.Cluster | None]:
    """The embedded server, started for this command unless `up` runs it or the database is an external one."""
    if settings.database_url is not None or embedded.is_locked(settings.data):
        yield None
        return
    if settings.half_restored.exists():
        raise embedded.CannotStart(
            f"A restore into {settings.data} did not come to its end; empty that folder and restore again."
        )
    cluster = embedded.start(settings.data, account=settings.database_user, on_wait=_say)
    try:
        yield cluster
    finally:
        cluster.stop()


def _say(sentence: str) -> None:
    err.print(sentence)


async def bring_up_to_date(settings: Settings, *, adopt_roles: bool = False) -> list[str]:
    """Apply the migrations that are missing; the names of those that were. In an external database roles come first."""
    address = direct_address_of(settings)
    with entering_database():
        if settings.database_url is not None:
            passwords = external.RolePasswords(role_passwords(settings), former_role_passwords(settings), adopt_roles)
            await external.prepare(address, owner_of(settings), passwords)
        connection = await asyncpg.connect(**address.arguments(owner_of(settings)))
    try:
        return await migrate(connection, STEPS)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ClosedDoor(f"The owner of the database lacks a right that migrations need: {error}.") from error
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def opened(settings: Settings, role: str = APP) -> AsyncIterator[Database]:
    """The door for one command."""
    database = Database(
        address_of(settings),
        role,
        pepper_of(settings),
        most_connections=4,
        through_pooler=settings.database_pooled,
    )
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
            err.print(f"  {bad.pointer or 'request'}: {bad.detail}", markup=False)
        fail("Nothing was done; correct what is named above and try again." if refused.errors else refused.sentence)
    except (embedded.CannotStart, external.CannotPrepare, MigrationRefused, ClosedDoor) as error:
        fail(str(error))
    except LOST as error:
        fail(f"The database went away ({type(error).__name__}); what was under way is undone. Give the command again.")


class ClosedDoor(Exception):
    """The database does not answer, or does not let us in."""


@contextlib.contextmanager
def entering_database() -> Iterator[None]:
    """Turn what a first connection may run into, into one sentence."""
    try:
        yield
    except (*UNREACHABLE, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ClosedDoor(f"The database does not let us in: {said}") from error


async def agencies_here(settings: Settings) -> list[asyncpg.Record]:
    """The agencies of this installation, the oldest first, without their test twins."""
    connection = await asyncpg.connect(**direct_address_of(settings).arguments(owner_of(settings)))
    try:
        rows = await connection.fetch("select agency_id, name from list_agencies() where not is_test")
        return list(rows)
    finally:
        await connection.close()
