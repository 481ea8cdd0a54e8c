"""Loads Absurd's schema from its wheel, makes the queues, and lets the worker's role alone see them."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import absurdctl

from colonnade.ground.db.database import Connection

VERSION: Final = "0.5.1"
SHA256: Final = "9119e6ae8cee54e3aca5d98bb3279bded79e44cc82d02fdff83bbc95d6c7d0dc"
QUEUES: Final = ("interactive", "bulk", "system")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class SchemaMismatch(Exception):
    """The engine's text or the version in the database is not the one that this release was tested with."""


async def install(
    connection: Connection, *, queues: Sequence[str] = QUEUES, worker_role: str = "colonnade_worker"
) -> None:
    """Bring engine, queues and rights to where this release needs them; safe to run again.

    Runs in the caller's transaction as the database's owner, who need not be a superuser. The role must exist.
    """
    for name in (*queues, worker_role):
        _check_name(name)
    if await connection.fetchval("select to_regprocedure('absurd.get_schema_version()') is null"):
        await connection.execute(_text())
    await check_version(connection)
    for queue in queues:
        await connection.execute("select absurd.create_queue($1)", queue)
    await connection.execute(_rights(worker_role))


async def check_version(connection: Connection) -> None:
    """Refuse a database whose engine is of another version."""
    found = await connection.fetchval("select absurd.get_schema_version()")
    if found != VERSION:
        raise SchemaMismatch(f"The database holds version {found} of the engine; this release needs {VERSION}.")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain lower-case name")


def _text() -> str:
    text: str = absurdctl.BUNDLED_SCHEMA_SQL
    if hashlib.sha256(text.encode()).hexdigest() != SHA256:
        raise SchemaMismatch("The engine's schema text is not the one that this release was tested with.")
    return text


def _rights(role: str) -> str:
    # The tables of a queue are made by `create_queue` and inherit no grant: this runs after every one of them.
    return f"""
        revoke all on schema absurd from public;
        revoke all on all tables in schema absurd from public;
        revoke all on all functions in schema absurd from public;
        grant usage on schema absurd to {role};
        grant select, insert, update, delete on all tables in schema absurd to {role};
        grant execute on all functions in schema absurd to {role};
    """
