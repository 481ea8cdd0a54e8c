"""How audit entries and outbox rows are kept."""

from collections.abc import Sequence
from typing import Any, Final

from colonnade.ground.core.ids import first_id, new_ids
from colonnade.ground.db import columns
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.audit.model import Entry, Filters, canonical_texts
from colonnade.tenancy.audit.seals import Link, Sealed

_SKEW_SECONDS: Final = 86_400
"""Ids are in the order of the clocks of those who record, which may differ from the database's by less than this."""

_COLUMNS: Final = (
    "e.agency_id, e.id, e.workspace_id, e.at, e.actor_kind, e.actor_id, e.actor_name, e.event, e.resource_id, "
    "e.before, e.after, e.payload_digest, e.request_id, host(e.address) as address"
)

_ADD: Final = """
with fact as (
    select $1::text as agency_id, * from unnest(
        @1::id[], @2::id[], @@3::text[], @@4::timestamptz[], @@5::text[], @@6::text[], @@7::text[], @@8::text[],
        @@9::text[], @@10::jsonb[], @@11::jsonb[], @@12::bytea[], @@13::text[], @@14::text[], @15::bytea[])
    as f (id, event_id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
          before, after, payload_digest, request_id, address, hmac)
), entry as (
    insert into audit_entry (agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
                             before, after, payload_digest, request_id, address, hmac, key_id)
    select agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
           before, after, payload_digest, request_id, address::inet, hmac, $2::integer
    from fact
), waiting as (
    insert into audit_unsealed (agency_id, workspace_id, entry_id) select agency_id, workspace_id, id from fact
)
insert into outbox (agency_id, id, workspace_id, event, resource_id, audit_id, at)
select agency_id, event_id, workspace_id, event, resource_id, id, at from fact
"""
ADD: Final = columns.numbered(_ADD, 3)


async def add(tx: Tx, entries: Sequence[Entry]) -> None:
    """Write the entries under the current key, each with its place in the queues of sealing and of telling."""
    digest, texts = tx.pepper.digest, canonical_texts(entries)
    rows = [
        (
            *(entry.id, event_id, entry.workspace_id, entry.at, entry.actor_kind, entry.actor_id, entry.actor_name),
            *(entry.event, entry.resource_id, entry.before, entry.after, entry.payload_digest),
            *(entry.request_id, entry.address, digest(text)),
        )
        for entry, event_id, text in zip(entries, new_ids("evt", len(entries)), texts, strict=True)
    ]
    await tx.execute(ADD, tx.agency_id, tx.pepper.current, *columns.sent(_ADD, rows))


def _entry(row: Record) -> Entry:
    return Entry(**dict(row))


def _conditions(tx: Tx, filters: Filters, after_id: str | None, *, first: int) -> tuple[str, list[Any]]:
    """The conditions that a page has besides its agency, with the values behind its numbers, from this one on."""
    wanted: list[tuple[str, Any]] = [
        ("e.event = {}", filters.event),
        ("e.resource_id = {}", filters.resource_id),
        ("e.workspace_id = {}", filters.workspace_id),
        ("e.workspace_id = any ({}::text[])", tx.reach.workspace_ids),
        ("e.actor_id = {}", filters.actor_id),
        ("e.at >= {}", filters.since),
        ("e.id >= {}", None if filters.since is None else first_id("aud", filters.since, later_seconds=-_SKEW_SECONDS)),
        ("e.at < {}", filters.until),
        ("e.id < {}", None if filters.until is None else first_id("aud", filters.until, later_seconds=_SKEW_SECONDS)),
        ("e.id < {}", after_id),
    ]
    asked = [(text, value) for text, value in wanted if value is not None]
    texts = [f"and {text.format(f'${n}')}" for n, (text, _) in enumerate(asked, start=first)]
    return " ".join(texts), [value for _, value in asked]


async def page(tx: Tx, filters: Filters, *, limit: int, after_id: str | None) -> list[Entry]:
    """Entries from the newest to the oldest that lie behind the given one."""
    conditions, values = _conditions(tx, filters, after_id, first=3)
    sql = f"select {_COLUMNS} from audit_entry e where e.agency_id = $1 {conditions} order by e.id desc limit $2"
    return [_entry(row) for row in await tx.fetch(sql, tx.agency_id, limit, *values)]


async def page_sealed(tx: Tx, filters: Filters, *, limit: int, after_id: str | None) -> list[Sealed]:
    """The same with what seals them; to who does not reach the whole agency no link is shown."""
    conditions, values = _conditions(tx, filters, after_id, first=3)
    sql = f"""
        select {_COLUMNS}, e.hmac, e.key_id, s.position, s.previous_hash, s.hash, s.mac, s.key_id as link_key_id
        from audit_entry e left join audit_seal s on s.agency_id = $1 and s.entry_id = e.id
        where e.agency_id = $1 {conditions} order by e.id desc limit $2
    """
    return [_sealed(row) for row in await tx.fetch(sql, tx.agency_id, limit, *values)]


def _sealed(row: Record) -> Sealed:
    values = dict(row)
    own_mac, own_key = values.pop("hmac"), values.pop("key_id")
    parts = [values.pop(name) for name in ("position", "previous_hash", "hash", "mac", "link_key_id")]
    entry = Entry(**values)
    position, previous, made, mac, key_id = parts
    link = None if position is None else Link(position, entry.id, previous, made, mac, key_id)
    return Sealed(entry, own_mac, own_key, link)
