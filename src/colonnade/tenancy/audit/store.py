"""How audit entries and outbox rows are kept."""

from collections.abc import Sequence
from typing import Any, Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.audit.model import Entry, Filters, canonical_text

_COLUMNS: Final = (
    "agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id, before, after, "
    "payload_digest, request_id, host(address) as address"
)

ADD: Final = """
with fact as (
    select $1::text as agency_id, * from unnest(
        $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::jsonb[], $11::jsonb[], $12::bytea[], $13::text[], $14::text[], $15::bytea[], $16::text[])
    as f (id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
          before, after, payload_digest, request_id, address, hmac, event_id)
), entry as (
    insert into audit_entry (agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
                             before, after, payload_digest, request_id, address, hmac, key_id)
    select agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
           before, after, payload_digest, request_id, address::inet, hmac, $17::integer
    from fact
), waiting as (
    insert into audit_unsealed (agency_id, workspace_id, entry_id) select agency_id, workspace_id, id from fact
)
insert into outbox (agency_id, id, workspace_id, event, resource_id, audit_id, at)
select agency_id, event_id, workspace_id, event, resource_id, id, at from fact
"""


async def add(tx: Tx, entries: Sequence[Entry]) -> None:
    """Write the entries under the current key, each with its place in the queues of sealing and of telling."""
    rows = [
        (
            *(entry.id, entry.workspace_id, entry.at, entry.actor_kind, entry.actor_id, entry.actor_name),
            *(entry.event, entry.resource_id, entry.before, entry.after, entry.payload_digest),
            *(entry.request_id, entry.address, tx.pepper.digest(canonical_text(entry)), new_id("evt")),
        )
        for entry in entries
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    await tx.execute(ADD, tx.agency_id, *columns, tx.pepper.current)


def _entry(row: Record) -> Entry:
    return Entry(**dict(row))


async def page(tx: Tx, filters: Filters, *, limit: int, after_id: str | None) -> list[Entry]:
    """Entries from the newest to the oldest that lie behind the given one."""
    wanted: list[tuple[str, Any]] = [
        ("event = {}", filters.event),
        ("resource_id = {}", filters.resource_id),
        ("workspace_id = {}", filters.workspace_id),
        ("workspace_id = any ({}::text[])", tx.reach.workspace_ids),
        ("actor_id = {}", filters.actor_id),
        ("at >= {}", filters.since),
        ("at < {}", filters.until),
        ("id < {}", after_id),
    ]
    asked = [(text, value) for text, value in wanted if value is not None]
    conditions = " and ".join(["agency_id = $1", *(text.format(f"${n}") for n, (text, _) in enumerate(asked, start=3))])
    sql = f"select {_COLUMNS} from audit_entry where {conditions} order by id desc limit $2"
    return [_entry(row) for row in await tx.fetch(sql, tx.agency_id, limit, *(value for _, value in asked))]
