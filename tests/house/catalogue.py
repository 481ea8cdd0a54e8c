"""What a migrated database says of itself: tables, columns, keys, references, policies, rights, functions."""

import re
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import pytest_asyncio

_TABLES: Final = """
select c.oid::int8 as oid, c.relname::text as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
       c.relispartition as is_partition, pg_get_userbyid(c.relowner)::text as owner,
       coalesce(obj_description(c.oid), '') as comment
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by c.relname
"""
_COLUMNS: Final = """
select a.attrelid::int8 as oid, a.attname::text as name, format_type(a.atttypid, null) as type,
       a.attnotnull as required, coalesce(l.collname::text, '') as collation
from pg_attribute a left join pg_collation l on l.oid = a.attcollation
where a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum
"""
_KEYS: Final = """
select k.conrelid::int8 as oid, k.contype::text as kind, coalesce(k.confrelid::regclass::text, '') as target,
       array(select a.attname::text from unnest(k.conkey) with ordinality as u (n, place)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.n order by u.place) as columns,
       array(select a.attname::text from unnest(k.confkey) with ordinality as u (n, place)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.n order by u.place) as referred
from pg_constraint k where k.contype in ('p', 'u', 'f')
"""
_POLICIES: Final = """
select p.polrelid::int8 as oid, p.polname::text as name, p.polcmd::text as command, p.polpermissive as permissive,
       array(select case r when 0 then 'public' else pg_get_userbyid(r)::text end
             from unnest(p.polroles) as r) as roles,
       pg_get_expr(p.polqual, p.polrelid) as visible, pg_get_expr(p.polwithcheck, p.polrelid) as writable
from pg_policy p
"""
_RIGHTS: Final = """
select t.oid::int8 as oid, coalesce(r.rolname::text, 'public') as role, upper(x.privilege_type) as right
from (select c.oid, c.relacl as acl from pg_class c where c.relnamespace = 'public'::regnamespace
      union all
      select a.attrelid, a.attacl from pg_attribute a where a.attacl is not null) as t
     cross join lateral aclexplode(t.acl) as x left join pg_roles r on r.oid = x.grantee
group by t.oid, r.rolname, x.privilege_type
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    type: str
    required: bool
    collation: str


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key, a unique one, or a reference to another table."""

    kind: str
    columns: tuple[str, ...]
    target: str
    referred: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of row security."""

    name: str
    command: str
    permissive: bool
    roles: tuple[str, ...]
    visible: str | None
    writable: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """One table with all that the house demands of it."""

    name: str
    owner: str
    tenancy: str
    """The class that its comment tells; empty when it tells none."""
    enabled: bool
    forced: bool
    is_partition: bool
    columns: dict[str, Column]
    keys: tuple[Key, ...]
    policies: tuple[Policy, ...]
    rights: dict[str, frozenset[str]]

    @property
    def is_month(self) -> bool:
        """Whether it holds one month of usage; such come and go."""
        return self.is_partition and re.fullmatch(r"usage_event_\d{4}_\d{2}", self.name) is not None

    @property
    def primary(self) -> tuple[str, ...]:
        """The columns of the primary key; none when there is none."""
        return next((key.columns for key in self.keys if key.kind == "p"), ())

    @property
    def unique(self) -> set[tuple[str, ...]]:
        """The columns of every key that says that there is only one."""
        return {key.columns for key in self.keys if key.kind in "pu"}

    @property
    def references(self) -> list[Key]:
        """The references to other tables."""
        return [key for key in self.keys if key.kind == "f"]

    def may(self, role: str) -> frozenset[str]:
        """What a role may do here, on the whole table or on some columns of it."""
        return self.rights.get(role, frozenset())


def _by_table(rows: list[asyncpg.Record]) -> dict[int, list[asyncpg.Record]]:
    found: dict[int, list[asyncpg.Record]] = {}
    for row in rows:
        found.setdefault(row["oid"], []).append(row)
    return found


async def read_tables(owner: Any) -> dict[str, Table]:
    """Every table of the schema by its name."""
    parts = [_by_table(await owner.fetch(sql)) for sql in (_COLUMNS, _KEYS, _POLICIES, _RIGHTS)]
    return {
        row["name"]: _table(row, *(part.get(row["oid"], []) for part in parts)) for row in await owner.fetch(_TABLES)
    }


def _table(row: Any, columns: list[Any], keys: list[Any], policies: list[Any], rights: list[Any]) -> Table:
    roles = {one["role"] for one in rights}
    return Table(
        name=row["name"],
        owner=row["owner"],
        tenancy=row["comment"].removeprefix("tenancy: ") if row["comment"].startswith("tenancy: ") else "",
        enabled=row["enabled"],
        forced=row["forced"],
        is_partition=row["is_partition"],
        columns={one["name"]: Column(one["type"], one["required"], one["collation"]) for one in columns},
        keys=tuple(Key(one["kind"], tuple(one["columns"]), one["target"], tuple(one["referred"])) for one in keys),
        policies=tuple(
            Policy(p["name"], p["command"], p["permissive"], tuple(p["roles"]), p["visible"], p["writable"])
            for p in policies
        ),
        rights={role: frozenset(one["right"] for one in rights if one["role"] == role) for role in roles},
    )


@pytest_asyncio.fixture
async def tables(owner: "asyncpg.Connection[asyncpg.Record]") -> dict[str, Table]:
    """Every table of the migrated database."""
    return await read_tables(owner)
