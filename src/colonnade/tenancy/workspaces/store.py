"""How workspaces are kept. The row's own id is its workspace: the reach names it beside the agency."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.workspaces.model import Profile, Workspace, taken
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
ADD: Final = f"""
insert into workspace (agency_id, id, {_SET}, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)
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
CLASHES: Final = f"""
select id, slug = $4 as slug, external_id = $5 as external_id,
       primary_domain = $6 and archived_at is null and not $7 as primary_domain
from workspace
where {WITHIN} and id <> $3
  and (slug = $4 or external_id = $5 or (primary_domain = $6 and archived_at is null and not $7))
limit 3
"""
LOCK_SLUGS: Final = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
SLUGS: Final = "select slug from workspace where agency_id = $1 and slug like $2 || '%'"
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


async def add(tx: Tx, profile: Profile) -> Workspace | None:
    """The new workspace; none when slug, external id or domain are another's, even one's that commits just now."""
    row = await tx.fetchrow(ADD, tx.agency_id, new_id("ws"), *_values(profile), await tx.now())
    return None if row is None else workspace_of(row)


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


async def clashes(tx: Tx, profile: Profile, *, besides: str = "") -> Mapping[str, str]:
    """What of this profile other workspaces have already: `slug`, `external_id`, `primary_domain` -> whose."""
    rows = await tx.fetch(
        CLASHES,
        *(*reach_of(tx), besides, profile.slug, profile.external_id, profile.primary_domain),
        profile.allow_duplicate_domain,
    )
    return {name: row["id"] for name in _CONSTRAINTS.values() for row in rows if row[name]}


async def slugs_like(tx: Tx, base: str, *, locked: bool) -> list[str]:
    """Slugs that begin like this; `locked` makes others who look for a free one wait until we have ours."""
    if locked:
        await tx.execute(LOCK_SLUGS, f"slug\0{tx.agency_id}\0{base}".replace("\0", "|"))
    return [row["slug"] for row in await tx.fetch(SLUGS, tx.agency_id, base)]


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
