"""How keys and the digests of their secrets are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.keys.model import EXPIRING_DAYS, Key, KeyFilters, RateLimit

CHANNEL: Final = "colonnade_keys"
"""Where every process hears the id of a key that has changed."""

_COLUMNS: Final = (
    "k.agency_id, k.workspace_id, k.id, k.scope, k.name, k.description, k.hint, k.scopes, k.workspaces, "
    "k.ip_allowlist, k.rate_requests, k.rate_window_seconds, k.mode, k.expires_at, k.revoked_at, k.revoked_by, "
    "k.created_by, k.created_at, k.updated_at, k.version"
)
_USED: Final = "u.last_used_at, host(u.last_used_ip) as last_used_ip, s.text_made_at, s.old_text_ends_at"
_WITH_USE: Final = """api_key k
left join api_key_use u on u.agency_id = $1 and u.key_id = k.id
left join lateral (
    select max(t.created_at) filter (where t.ends_at is null) as text_made_at, max(t.ends_at) as old_text_ends_at
    from api_key_secret t where t.agency_id = $1 and t.key_id = k.id) s on true"""
_FIELDS: Final = (
    *("agency_id", "workspace_id", "id", "scope", "name", "description", "hint", "mode", "expires_at", "revoked_at"),
    *("revoked_by", "created_by", "created_at", "updated_at", "version"),
)


def key_of(row: Record) -> Key:
    """The noun behind a row of the key table or of the door's look-up."""
    requests, window = row["rate_requests"], row["rate_window_seconds"]
    values: dict[str, Any] = {name: row[name] for name in _FIELDS}
    return Key(
        **values,
        scopes=tuple(row["scopes"]),
        workspaces=None if row["workspaces"] is None else tuple(row["workspaces"]),
        ip_allowlist=tuple(row["ip_allowlist"]),
        rate_limit=None if requests is None else RateLimit(requests, window),
        last_used_at=row.get("last_used_at"),
        last_used_ip=row.get("last_used_ip"),
        text_made_at=row.get("text_made_at"),
        old_text_ends_at=row.get("old_text_ends_at"),
    )


ADD: Final = f"""
insert into api_key as k (agency_id, workspace_id, id, scope, name, description, hint, scopes, workspaces, ip_allowlist,
                          rate_requests, rate_window_seconds, mode, expires_at, created_by, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)
returning {_COLUMNS}
"""


async def add(tx: Tx, key: Key) -> Key:
    """Write a new key; a workspace that is not there breaks the foreign key."""
    rate = key.rate_limit
    row = await tx.fetchone(
        ADD,
        *(tx.agency_id, key.workspace_id, key.id, key.scope, key.name, key.description, key.hint),
        *(list(key.scopes), None if key.workspaces is None else list(key.workspaces), list(key.ip_allowlist)),
        *(None if rate is None else rate.requests, None if rate is None else rate.window_seconds),
        *(key.mode, key.expires_at, key.created_by, key.created_at),
    )
    return key_of(row)


LET_OPEN: Final = """
insert into api_key_secret (agency_id, workspace_id, key_id, digest, pepper_id, created_at)
values ($1, $2, $3, $4, $5, $6)
"""


async def add_secret(tx: Tx, key: Key, digest: bytes) -> None:
    """Let a secret open this key; the door learns of it by the same statement."""
    await tx.execute(LET_OPEN, tx.agency_id, key.workspace_id, key.id, digest, tx.pepper.current, await tx.now())


END_SECRETS: Final = """
update api_key_secret set ends_at = least(ends_at, $4)
where agency_id = $1 and workspace_id is not distinct from $2 and key_id = $3
"""


async def end_secrets(tx: Tx, key: Key, at: datetime) -> None:
    """Let every secret of the key end at this instant, or earlier where that was settled before."""
    await tx.execute(END_SECRETS, tx.agency_id, key.workspace_id, key.id, at)


FIND: Final = f"""
select {_COLUMNS}, {_USED} from {_WITH_USE}
where k.agency_id = $1 and k.workspace_id is not distinct from $2 and k.id = $3
"""


async def find(tx: Tx, key_id: str, workspace_id: str | None) -> Key | None:
    """The key with this id on this level: of the workspace, or of the agency itself."""
    row = await tx.fetchrow(FIND, tx.agency_id, workspace_id, key_id)
    return None if row is None else key_of(row)


FIND_ANY: Final = f"""
select {_COLUMNS}, {_USED} from {_WITH_USE}
where k.agency_id = $1 and k.id = $2 and ($3::text[] is null or k.workspace_id = any ($3))
"""


async def find_any(tx: Tx, key_id: str) -> Key | None:
    """The key with this id on whichever level, within reach."""
    within = tx.reach.workspace_ids
    row = await tx.fetchrow(FIND_ANY, tx.agency_id, key_id, None if within is None else list(within))
    return None if row is None else key_of(row)


LOCK: Final = f"""
select {_COLUMNS} from api_key k
where k.agency_id = $1 and k.workspace_id is not distinct from $2 and k.id = $3 for no key update
"""


async def lock(tx: Tx, key_id: str, workspace_id: str | None) -> Key | None:
    """The same key, kept from others until the end of the transaction."""
    row = await tx.fetchrow(LOCK, tx.agency_id, workspace_id, key_id)
    return None if row is None else key_of(row)


_STATUS: Final = """case
    when k.revoked_at is not null then 'revoked'
    when k.expires_at <= now() then 'expired'
    when s.old_text_ends_at > now() then 'rolling'
    when k.expires_at <= now() + make_interval(days => $9) then 'expiring'
    else 'active' end"""
"""`Key.status` for conditions."""

# Written so that either side of the `or` reaches an index, which `is not distinct from` never does.
_CHOSEN: Final = f"""
where k.agency_id = $1 and (k.workspace_id = $2 or ($2::text is null and k.workspace_id is null))
and ($3::text is null or strpos(lower(k.name || ' ' || k.description), lower($3)) > 0 or k.hint = $3 or k.id = $3)
and ($4::text is null or k.mode = $4) and ($5::text is null or k.created_by = $5)
and ($6::integer is null or coalesce(u.last_used_at, k.created_at) < now() - make_interval(days => $6))
and ($7::text[] is null or {_STATUS} = any ($7))
"""

PAGE: Final = f"""
select {_COLUMNS}, {_USED} from {_WITH_USE} {_CHOSEN} and ($8::text is null or k.id < $8)
order by k.id desc limit $10
"""


async def page(tx: Tx, workspace_id: str | None, filters: KeyFilters, *, limit: int, after_id: str | None) -> list[Key]:
    """Keys of one level that the filters leave, the newest first, behind the given one."""
    rows = await tx.fetch(PAGE, tx.agency_id, workspace_id, *_chosen(filters), after_id, EXPIRING_DAYS, limit)
    return [key_of(row) for row in rows]


def _chosen(filters: KeyFilters) -> tuple[Any, ...]:
    wanted = list(filters.status) or None
    return filters.q, filters.mode, filters.created_by, filters.unused_days, wanted


COUNT: Final = f"""
select count(*) from (select from {_WITH_USE} {_CHOSEN} and $8::text is null limit $10) as counted
"""


async def count(tx: Tx, workspace_id: str | None, filters: KeyFilters, *, most: int) -> int:
    """How many keys of this level the filters leave; stops counting at `most`."""
    arguments = (*_chosen(filters), None, EXPIRING_DAYS, most)
    counted: int = await tx.fetchval(COUNT, tx.agency_id, workspace_id, *arguments)
    return counted


GOOD: Final = """
select id from api_key
where agency_id = $1 and id = any ($2) and revoked_at is null and (expires_at is null or expires_at > now())
"""


async def good_among(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are keys of the agency, on any level in reach, and good now."""
    return {row["id"] for row in await tx.fetch(GOOD, tx.agency_id, list(ids))}


UPDATE: Final = f"""
update api_key k
set name = $4, description = $5, scopes = $6, ip_allowlist = $7, rate_requests = $8, rate_window_seconds = $9,
    expires_at = $10, hint = $11, updated_at = $12, version = version + 1
where agency_id = $1 and workspace_id is not distinct from $2 and id = $3
returning {_COLUMNS}
"""


async def update(tx: Tx, key: Key) -> Key:
    """Write what may change of a key."""
    rate = key.rate_limit
    row = await tx.fetchone(
        UPDATE,
        *(tx.agency_id, key.workspace_id, key.id),
        *(key.name, key.description, list(key.scopes), list(key.ip_allowlist)),
        *(None if rate is None else rate.requests, None if rate is None else rate.window_seconds),
        *(key.expires_at, key.hint, await tx.now()),
    )
    return key_of(row)


REVOKE: Final = f"""
update api_key k
set revoked_at = $4, revoked_by = $5, updated_at = $4, version = version + 1
where agency_id = $1 and workspace_id is not distinct from $2 and id = $3 and revoked_at is null
returning {_COLUMNS}
"""


async def revoke(tx: Tx, key_id: str, workspace_id: str | None, by: str) -> Key | None:
    """End the key; none when it was ended before."""
    row = await tx.fetchrow(REVOKE, tx.agency_id, workspace_id, key_id, await tx.now(), by)
    return None if row is None else key_of(row)


MADE_BY: Final = f"""
select {_COLUMNS} from api_key k
where k.agency_id = $1 and k.created_by = $2 and k.revoked_at is null and (k.expires_at is null or k.expires_at > $3)
order by k.id for no key update
"""


async def lock_made_by(tx: Tx, maker_id: str) -> list[Key]:
    """The keys of this maker that are good, on every level in reach, kept from others until the end."""
    return [key_of(row) for row in await tx.fetch(MADE_BY, tx.agency_id, maker_id, await tx.now())]


COUNT_MADE_BY: Final = """
select count(*) from api_key
where agency_id = $1 and created_by = $2 and revoked_at is null and (expires_at is null or expires_at > $3)
"""


async def count_made_by(tx: Tx, maker_id: str) -> int:
    """How many keys of this maker are good."""
    counted: int = await tx.fetchval(COUNT_MADE_BY, tx.agency_id, maker_id, await tx.now())
    return counted


async def announce(tx: Tx, key_id: str) -> None:
    """Tell every process, at the commit, that what it knows of this key is old."""
    await tx.execute("select pg_notify($1, $2)", CHANNEL, key_id)


@dataclass(frozen=True, slots=True)
class Found:
    """What the door knows of a secret: its key, until when it is good, and when this was read."""

    digest: bytes
    key: Key
    ends_at: datetime | None
    agency_allowlist: Sequence[str]
    loaded_at: datetime


TEXT_ENDS: Final = """
select ends_at from api_key_secret
where agency_id = $1 and workspace_id is not distinct from $2 and key_id = $3 and digest = $4
"""


async def secret_ends(tx: Tx, key: Key, digest: bytes) -> datetime | None:
    """Until when this secret opens the key; none is as long as the key, which is so of the newest alone."""
    row = await tx.fetchone(TEXT_ENDS, tx.agency_id, key.workspace_id, key.id, digest)
    ends: datetime | None = row["ends_at"]
    return ends


END_TEXT: Final = """
update api_key_secret set ends_at = least(ends_at, $5)
where agency_id = $1 and workspace_id is not distinct from $2 and key_id = $3 and digest = $4
"""


async def end_secret(tx: Tx, key: Key, digest: bytes) -> None:
    """Let this one secret of the key end now."""
    await tx.execute(END_TEXT, tx.agency_id, key.workspace_id, key.id, digest, await tx.now())


LOOK_UP: Final = "select * from door_key($1)"


def found_of(row: Record) -> Found:
    """The noun behind a row of the door's look-up."""
    allowlist = row["agency_allowlist"]
    listed = [text for text in allowlist if isinstance(text, str)] if isinstance(allowlist, list) else []
    return Found(row["digest"], key_of(row), row["secret_ends_at"], listed, row["loaded_at"])
