"""Where the database keeps something: every column of every table, and the log of its server."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg

from tests.sweep.known import Known

TABLES: Final = """
select c.oid::regclass::text as name, array_agg(a.attname::text order by a.attnum) as columns
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
group by c.oid order by 1
"""
_BYTES: Final = re.compile(rb"\\x([0-9a-f]{20,})")
_AT_ONCE: Final = 1 << 20

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Leaks = Counter[tuple[str, str]]
"""How many secrets of which kind stand in which place."""


async def in_tables(superuser: Connection, known: Known) -> Leaks:
    """What stands in the tables, by `table.column`; read past row security."""
    leaks: Leaks = Counter()
    for table in await superuser.fetch(TABLES):
        async for lines in _lines(superuser, table["name"]):
            for line in _suspicious(lines, known):
                leaks += _in_columns(table["name"], table["columns"], line, known)
    return leaks


def in_file(path: Path, known: Known) -> Leaks:
    """What stands in a log, by the file's name."""
    if not path.exists():
        return Counter()
    return Counter((path.name, kind) for kind in known.found(path.read_bytes(), strangers=True).values())


async def _lines(superuser: Connection, table: str) -> AsyncIterator[bytes]:
    """The rows of a table, about a mebibyte at a time, cut at the ends of lines."""
    held: list[bytes] = []

    async def take(data: bytes) -> None:
        held.append(data)

    await superuser.copy_from_query(f"select * from {table}", output=take)
    text, begin = b"".join(held), 0
    while begin < len(text):
        end = text.find(b"\n", begin + _AT_ONCE) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _suspicious(lines: bytes, known: Known) -> list[bytes]:
    """The lines with a secret in them; most often there is none in all of them."""
    if not known.found(_with_bytes(lines), strangers=True):
        return []
    return [line for line in lines.split(b"\n") if known.found(_with_bytes(line), strangers=True)]


def _in_columns(table: str, columns: list[str], line: bytes, known: Known) -> Leaks:
    leaks: Leaks = Counter()
    for column, value in zip(columns, line.split(b"\t"), strict=True):
        kinds = known.found(_with_bytes(value), strangers=True).values()
        leaks.update((f"{table}.{column}", kind) for kind in kinds)
    return leaks


def _with_bytes(text: bytes) -> bytes:
    """The text as it is copied out, and after it what its hexadecimal digits stand for."""
    digits = [one for one in _BYTES.findall(text) if len(one) % 2 == 0]
    return b"\n".join([text, *(bytes.fromhex(one.decode()) for one in digits)])
