"""The first words with a fresh server: whether it answers, and the roles and the database that must be there.

Rights inside the database belong to the migrations.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import asyncpg

from colonnade.ground.db.address import Address
from colonnade.ground.db.embedded.refusals import CannotStart

DATABASE = "colonnade"
_ATTRIBUTES = {
    "colonnade_owner": "login nosuperuser createrole createdb nobypassrls",
    "colonnade_app": "login nosuperuser nocreaterole nocreatedb nobypassrls",
    "colonnade_worker": "login nosuperuser nocreaterole nocreatedb nobypassrls",
    "colonnade_lookup": "nologin nosuperuser nocreaterole nocreatedb nobypassrls",
}
# A statement that fails would otherwise be written to the log together with the password in it.
_QUIET = {
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
}
# An answer may also break off in the middle: the server is then about to end, which its process will show.
_NOT_YET = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
)

T = TypeVar("T")


def prepare_when_answering(address: Address) -> bool:
    """Make the roles and the database when the server answers; false when it does not answer yet."""
    return _apart(lambda: _prepare(address))


def _apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run this in an event loop of its own, whether or not the caller's thread has one that is running."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-start") as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


async def _prepare(address: Address) -> bool:
    try:
        connection = await asyncpg.connect(
            **address.arguments("postgres", database="postgres"), timeout=10, server_settings=_QUIET
        )
        try:
            await _make_roles(connection, address.passwords)
            await _make_database(connection)
        finally:
            await connection.close()
    except PermissionError:
        raise CannotStart(
            "This process may not enter the folder of its own database; give it the rights of that folder's owner."
        ) from None
    except _NOT_YET:
        return False
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        raise CannotStart(
            "The passwords in database.json are not those of this database; put the right file back,"
            " or move it away and start again, and new passwords are made."
        ) from None
    except asyncpg.PostgresError as error:
        raise CannotStart(f"The database answers, but its roles could not be made ({error.sqlstate}).") from None
    return True


async def _make_roles(connection: "asyncpg.Connection[asyncpg.Record]", passwords: Mapping[str, str]) -> None:
    known = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
    for role, attributes in _ATTRIBUTES.items():
        verb = "alter" if role in known else "create"
        await connection.execute(f"{verb} role {role} {attributes}")
        if role in passwords:
            await connection.execute(
                await connection.fetchval(
                    "select format('alter role %I password %L', $1::text, $2::text)", role, passwords[role]
                )
            )
    member = await connection.fetchval("select pg_has_role('colonnade_owner', 'colonnade_lookup', 'member')")
    if not member:
        await connection.execute("grant colonnade_lookup to colonnade_owner")


async def _make_database(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    if not await connection.fetchval("select exists (select from pg_database where datname = $1)", DATABASE):
        await connection.execute(f"create database {DATABASE} owner colonnade_owner template template0")
