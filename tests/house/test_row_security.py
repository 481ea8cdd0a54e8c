"""The third wall alone: every reading statement of the stores, without its condition on the agency, shows no stranger.

What a statement is asked for is taken from rows of the victim, so that in the victim's own scope most of them find it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database
from tests.house.catalogue import Table, tables
from tests.house.installed import Installed, ids_in, photograph
from tests.house.sources import sources, sql_texts
from tests.house.test_tables import GLOBAL
from tests.house.world import World, installed, ours, theirs

__all__ = ["installed", "ours", "tables", "theirs"]

OF_THE_AGENCY: Final = re.compile(r"\b(?:\w+\.)?agency_id = \$1\b")
WRITES: Final = re.compile(r"\b(insert into|update|delete from|for update|for share|nextval)\b")
NAMED: Final = re.compile(r"\b(?:from|join)\s+([a-z_]+)\b")
FOUND_AT_LEAST: Final = 35
"""So many statements must find something of the victim in the victim's own scope, or the test would be an empty one."""

USUAL: Final[Mapping[str, Any]] = {
    "int2": 100,
    "int4": 100,
    "int8": 100,
    "bool": False,
    "timestamptz": datetime(2100, 1, 1, tzinfo=UTC),
    "date": datetime(2100, 1, 1, tzinfo=UTC).date(),
}
"""What is asked for where a statement does not say which column it means; null where the type is another one."""

ECHOES: Final = "from unnest($"
"""By which a statement answers for each thing that it was asked for, found or not."""

INCOMPLETE: Final = (asyncpg.PostgresSyntaxError, asyncpg.DataError, asyncpg.UndefinedParameterError)
"""Texts that are completed only when they are used."""

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Stripped:
    """One statement without its condition."""

    where: str
    text: str
    tables: tuple[str, ...]

    def wanted(self, number: int) -> str | None:
        """The column that this parameter is compared with."""
        found = re.search(rf"\b(\w+) (?:=|in|>=|<=) (?:any \()?\(?\${number}\b", self.text)
        return found[1] if found else None

    def values(self, types: list[asyncpg.Type], rows: Rows, agency_id: str) -> list[Any]:
        """What to ask for: the victim's own."""
        return [agency_id, *(self._value(number, one, rows) for number, one in enumerate(types[1:], 2))]

    def _value(self, number: int, of_type: asyncpg.Type, rows: Rows) -> Any:
        column = self.wanted(number) or ""
        known = [rows[name][column] for name in self.tables if rows.get(name, {}).get(column) is not None]
        if known:
            return [known[0]] if of_type.kind == "array" else known[0]
        return USUAL.get(of_type.name)


def _statements(tenant: set[str]) -> Iterator[Stripped]:
    for source in sources():
        for line, text in sql_texts(source):
            named = tuple(name for name in NAMED.findall(text) if name in tenant)
            if named and OF_THE_AGENCY.search(text) and not WRITES.search(text):
                yield Stripped(f"{source.name}:{line}", OF_THE_AGENCY.sub("$1::text is not null", text), named)


async def _rows(owner: Any, agency_id: str, tenant: set[str]) -> dict[str, dict[str, Any]]:
    """One row of each table of the agency."""
    async with owner.transaction(readonly=True):
        await owner.execute(f"set local app.agency_id = '{agency_id}'; set local app.workspace_ids = '*'")
        return {
            table: dict(row)
            for table in tenant
            if (row := await owner.fetchrow(f"select * from {table} where agency_id = $1 limit 1", agency_id))
        }


async def _told(database: Database, reach: Reach, statement: Stripped, rows: Rows, agency_id: str) -> set[str]:
    """The ids in what the statement finds; none where it is the beginning of one only, or not for this role."""
    async with database.transaction(reach, read_only=True) as tx:
        try:
            prepared = await tx._connection.prepare(statement.text)
            values = statement.values(list(prepared.get_parameters()), rows, agency_id)
            echoed = ids_in(repr(values)) if ECHOES in statement.text else set()
            return ids_in(repr(await prepared.fetch(*values))) - echoed
        except (*INCOMPLETE, asyncpg.InsufficientPrivilegeError):
            return set()


async def test_without_its_condition_no_statement_shows_another_agencys_rows(
    installed: Installed, ours: World, theirs: World, tables: dict[str, Table], owner: Any
) -> None:
    tenant = {name for name, table in tables.items() if "agency_id" in table.columns} - set(GLOBAL)
    victim = theirs.home.agency_id
    rows = await _rows(owner, victim, tenant)
    lines = (await photograph(owner, victim)).values()
    hidden = {one for each in lines for line in each for one in ids_in(line)} - {victim}
    finding, leaking = set(), set()
    for statement in _statements(tenant):
        for database in (installed.database, installed.worker):
            own = await _told(database, theirs.home.reach, statement, rows, victim)
            strange = await _told(database, ours.home.reach, statement, rows, victim)
            finding |= {statement.where} if own & hidden else set()
            leaking |= {statement.where} if strange & hidden else set()
    assert leaking == set()
    assert len(finding) >= FOUND_AT_LEAST, sorted(finding)
