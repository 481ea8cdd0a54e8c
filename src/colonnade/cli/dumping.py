"""The embedded database as one file and back, through PostgreSQL's own programs, and the count of what is in it."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from colonnade.ground.db import embedded

SUPERUSER: Final = "postgres"
"""The one role that sees the rows of all agencies."""

_TABLES: Final = """
select quote_ident(n.nspname) || '.' || quote_ident(c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
order by 1
"""


class ToolFailed(Exception):
    """A program of PostgreSQL ended badly; the sentence holds its own last words."""


async def dump(data: Path, target: Path) -> tuple[dict[str, int], int]:
    """Write the running database to a file; how many rows each table has in it, and its newest migration.

    All three are of one instant, whatever is written meanwhile.
    """
    connection = await asyncpg.connect(**embedded.locate(data).arguments(SUPERUSER))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # This transaction waits for as long as the dump takes.
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            if not await connection.fetchval("select to_regclass('public.migration') is not null"):
                raise ToolFailed("There is nothing in this database yet; start it with: colonnade up")
            rows = await count_rows(connection)
            newest: int = await connection.fetchval("select max(number) from migration")
            words = ["--format=custom", "--no-password", f"--snapshot={snapshot}", f"--file={target}"]
            await asyncio.to_thread(_run, data, "pg_dump", words)
    finally:
        await connection.close()
    return rows, newest


async def load(data: Path, source: Path) -> dict[str, int]:
    """Fill the running, empty database from a file, whole or not at all; how many rows each table has then."""
    address = embedded.locate(data)
    words = ["--no-password", "--single-transaction", "--exit-on-error", f"--dbname={address.database}", str(source)]
    await asyncio.to_thread(_run, data, "pg_restore", words)
    connection = await asyncpg.connect(**address.arguments(SUPERUSER))
    try:
        rows = await count_rows(connection)
        await connection.execute("analyze")
    finally:
        await connection.close()
    return rows


async def count_rows(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    """How many rows each table has."""
    names = [str(row[0]) for row in await connection.fetch(_TABLES)]
    return {name: int(await connection.fetchval(f"select count(*) from {name}")) for name in names}


def _run(data: Path, program: str, words: Sequence[str]) -> None:
    environment, folder = embedded.tool_environment(data, role=SUPERUSER)
    path = embedded.tools(data) / program
    try:
        ended = subprocess.run(  # noqa: S603 (a program of PostgreSQL that we found ourselves)
            [path, *words], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise ToolFailed(f"{path} cannot be run: {error.strerror}.") from error
    if ended.returncode != 0:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ToolFailed(f"{program} did not come to its end: {said[-1] if said else 'it said nothing'}")
