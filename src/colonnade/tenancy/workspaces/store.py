"""How workspaces are kept. The row's own id is its workspace: the reach names it beside the agency."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.workspaces.model import Name, Profile, Workspace, taken
from colonnade.tenancy.workspaces.naming import folded

COLUMNS: Final = (
    "agency_id, id, name, primary_domain, allow_duplicate_domain, slug, external_id, industry, timezone, tags, "
    "metadata, settings, brand, white_label, owner_id, archived_at, purging_at, version, created_at, updated_at"
)
_NAMES: Final = COLUMNS.split(", ")
WITHIN: Final = "agency_id = $1 and ($2::text[] is null or id = any ($2::text[])) and purged_at is null"

_SET: Final = (
    "name, sort_name, primary_domain, allow_duplicate_domain, slug, external_id, industry, timezone, tags, "
    "metadata, settings, brand, white_label, owner_id"
)
_SETTABLE: Final = _SET.split(", ")
ADD: Final = f"""
insert into workspace (agency_id, id, {_SET}, created_at, updated_at)
select $1, id, {_SET}, $2, $2
from jsonb_to_recordset($3) as fresh (
    id text, name text, sort_name text, primary_domain text, allow_duplicate_domain boolean, slug text,
    external_id text, industry text, timezone text, tags text[], metadata jsonb, settings jsonb, brand jsonb,
    white_label jsonb, owner_id text)
on conflict do nothing returning {COLUMNS}
"""
CHANGE: Final = f"""
update workspace
set ({_SET}) = row ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16),
    updated_at = $17, version = version + 1
where agency_id = $1 and id = $2 returning {COLUMNS}
"""
FIND: Final = f"select {COLUMNS} from workspace where {WITHIN} and id = $3"
FIND_BY_EXTERNAL: Final = f"select {COLUMNS} from workspace where {WITHIN} and external_id = $3"
FIND_MANY: Final = f"select {COLUMNS} from workspace where {WITHIN} and id = any ($3::text[])"
LOCK: Final = f"{FIND} for no key update"
# Each name along the index of its sort. As how many they are does not show in the plan, one plan is kept for all.
HOLDERS: Final = f"""
select named.sort, named.value, holder.id
from jsonb_to_recordset($4) as named (sort text, value text)
cross join lateral (
    select id from workspace where {WITHIN} and id <> $3 and named.sort = 'slug' and slug = named.value
    union all
    select id from workspace where {WITHIN} and id <> $3 and named.sort = 'external_id' and external_id = named.value
    union all
    select id from workspace
    where {WITHIN} and id <> $3 and named.sort = 'primary_domain' and primary_domain = named.value
      and archived_at is null
    limit 1
) as holder
"""
LOCK_SLUGS: Final = "select pg_advisory_xact_lock(hashtextextended('slug|' || $1, 0))"
# Plans that are kept since the tables were empty walk through all that there is by now.
PLAN_ANEW: Final = "discard plans"
# Of what a slug is made, nothing stands behind the brace.
SLUGS: Final = """
select w.slug from unnest($2::text[]) as wanted (beginning)
join workspace w on w.agency_id = $1 and w.slug >= wanted.beginning and w.slug < wanted.beginning || '{'
"""
ARCHIVE: Final = f"""
update workspace set archived_at = $3, updated_at = $3, version = version + 1
where agency_id = $1 and id = $2 returning {COLUMNS}
"""
RESTORE: Final = f"""
update workspace set archived_at = null, updated_at = $3, version = version + 1
where agency_id = $1 and id = $2 returning {COLUMNS}
"""

BEGIN_PURGE: Final = f"""
update workspace set purging_at = $3, purging_by = $4, updated_at = $3, version = version + 1
where agency_id = $1 and id = $2 returning {COLUMNS}
"""
PURGING: Final = "select purging_by from workspace where agency_id = $1 and id = $2 and purging_at is not null"
# The slug and the external id are free for others, and nothing of the brand is left.
BURY: Final = """
update workspace
set name = $3, sort_name = $3, slug = $4, primary_domain = null, allow_duplicate_domain = false, external_id = null,
    industry = null, timezone = 'UTC', tags = '{}', metadata = '{}', settings = '{}', brand = '{}', white_label = '{}',
    owner_id = null, purged_at = now(), updated_at = now(), version = version + 1
where agency_id = $1 and id = $2 and purging_at is not null and purged_at is null
"""
PURGE_ROWS: Final = "select purge_rows($1, $2)"
TOMBSTONE: Final = "purged workspace"

_CONSTRAINTS: Final = {
    "workspace_slug": "slug",
    "workspace_external_id": "external_id",
    "workspace_active_domain": "primary_domain",
}


def workspace_of(row: Record) -> Workspace:
    """The noun behind a row of these columns."""
    values = {name: row[name] for name in _NAMES}
    return Workspace(**{**values, "tags": tuple(values["tags"])})


def reach_of(tx: Tx) -> tuple[str, list[str] | None]:
    """The first two arguments of every text: the agency, and the workspaces in reach (none: all)."""
    within = tx.reach.workspace_ids
    return tx.agency_id, None if within is None else list(within)


def _values(profile: Profile) -> tuple[Any, ...]:
    return (
        *(profile.name, folded(profile.name), profile.primary_domain, profile.allow_duplicate_domain, profile.slug),
        *(profile.external_id, profile.industry, profile.timezone, list(profile.tags), profile.metadata),
        *(profile.settings, profile.brand, profile.white_label, profile.owner_id),
    )


async def add(tx: Tx, profiles: Sequence[Profile]) -> list[Workspace | None]:
    """The new workspaces; none where slug, external id or domain are another's, even one's that commits just now."""
    rows = [{"id": new_id("ws"), **dict(zip(_SETTABLE, _values(one), strict=True))} for one in profiles]
    added = {row["id"]: workspace_of(row) for row in await tx.fetch(ADD, tx.agency_id, await tx.now(), rows)}
    return [added.get(row["id"]) for row in rows]


async def find(tx: Tx, workspace_id: str) -> Workspace | None:
    """The workspace with this id."""
    row = await tx.fetchrow(FIND, *reach_of(tx), workspace_id)
    return None if row is None else workspace_of(row)


async def find_locked(tx: Tx, workspace_id: str) -> Workspace | None:
    """The same, and nobody else changes it until this transaction ends."""
    row = await tx.fetchrow(LOCK, *reach_of(tx), workspace_id)
    return None if row is None else workspace_of(row)


async def find_by_external(tx: Tx, external_id: str) -> Workspace | None:
    """The workspace that the agency's own systems know by this id."""
    row = await tx.fetchrow(FIND_BY_EXTERNAL, *reach_of(tx), external_id)
    return None if row is None else workspace_of(row)


async def find_many(tx: Tx, ids: Sequence[str]) -> list[Workspace]:
    """Those of the ids that are there and in reach."""
    return [workspace_of(row) for row in await tx.fetch(FIND_MANY, *reach_of(tx), list(ids))]


async def holders(tx: Tx, names: Iterable[Name], *, besides: str = "") -> Mapping[Name, str]:
    """Which of these names other workspaces have, and whose they are; of domains, those of active ones alone."""
    wanted = [{"sort": sort, "value": value} for sort, value in names]
    rows = await tx.fetch(HOLDERS, *reach_of(tx), besides, wanted)
    return {(row["sort"], row["value"]): row["id"] for row in rows}


async def plan_anew(tx: Tx) -> None:
    """Let the database look again for the best ways: for who is about to add so much that the best ones change."""
    await tx.execute(PLAN_ANEW)


async def lock_slugs(tx: Tx) -> None:
    """Others of the agency who look for free slugs wait until this transaction ends."""
    await tx.execute(LOCK_SLUGS, tx.agency_id)


async def slugs_like(tx: Tx, beginnings: Iterable[str]) -> list[str]:
    """Slugs that begin in one of these ways."""
    return [row["slug"] for row in await tx.fetch(SLUGS, tx.agency_id, sorted(set(beginnings)))]


async def change(tx: Tx, workspace_id: str, profile: Profile) -> Workspace:
    """Write the whole profile; the version goes up by one."""
    return await _guarded(tx, CHANGE, tx.agency_id, workspace_id, *_values(profile), await tx.now())


async def archive(tx: Tx, workspace_id: str) -> Workspace:
    """From now on it is read only."""
    return workspace_of(await tx.fetchone(ARCHIVE, tx.agency_id, workspace_id, await tx.now()))


async def restore(tx: Tx, workspace_id: str) -> Workspace:
    """It takes writes again; refused when its domain is another active one's by now."""
    return await _guarded(tx, RESTORE, tx.agency_id, workspace_id, await tx.now())


async def begin_purge(tx: Tx, workspace_id: str, by: Mapping[str, Any]) -> Workspace:
    """From now on it is being erased, in this name; its keys end."""
    return workspace_of(await tx.fetchone(BEGIN_PURGE, tx.agency_id, workspace_id, await tx.now(), dict(by)))


async def purging_by(tx: Tx, workspace_id: str) -> Mapping[str, Any] | None:
    """In whose name it is being erased; none when it is not."""
    found: Mapping[str, Any] | None = await tx.fetchval(PURGING, tx.agency_id, workspace_id)
    return found


async def purge_rows(tx: Tx, workspace_id: str, most: int) -> int:
    """Erase up to so many rows that lie inside of it; 0 when none are left."""
    gone: int = await tx.fetchval(PURGE_ROWS, workspace_id, most)
    return gone


async def bury(tx: Tx, workspace_id: str) -> bool:
    """Empty the row itself but for its id and dates; false when that was done before."""
    slug = workspace_id.replace("ws_", "purged-")
    return await tx.execute(BURY, tx.agency_id, workspace_id, TOMBSTONE, slug) == 1


async def _guarded(tx: Tx, sql: str, *arguments: Any) -> Workspace:
    """A change that a unique name may stop: the constraint's name is what the refusal is made of."""
    try:
        return workspace_of(await tx.fetchone(sql, *arguments))
    except asyncpg.UniqueViolationError as error:
        raise taken(_CONSTRAINTS[str(error.constraint_name)], None) from error
