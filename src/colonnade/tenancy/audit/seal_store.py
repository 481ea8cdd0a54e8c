"""How the chain is kept: links, its signed head, checkpoints, the queue of what waits to be sealed."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.audit.model import Entry
from colonnade.tenancy.audit.seals import Bad, Head, Link

_ENTRY: Final = (
    *("agency_id", "id", "workspace_id", "at", "actor_kind", "actor_id", "actor_name", "event", "resource_id"),
    *("payload_digest", "request_id"),
)
_COLUMNS: Final = ", ".join(f"e.{name}" for name in _ENTRY) + ", host(e.address) as address"

TRY_LOCK: Final = "select pg_try_advisory_xact_lock(74, hashtext($1))"

WAITING: Final = f"""
select {_COLUMNS}, e.hmac, u.xid
from audit_unsealed u join audit_entry e on e.agency_id = $1 and e.id = u.entry_id
where u.agency_id = $1 order by u.xid, u.entry_id limit $2
"""
NOTE_LOST: Final = """
update audit_unsealed u set lost = true
where u.agency_id = $1 and not u.lost
  and not exists (select from audit_entry e where e.agency_id = $1 and e.id = u.entry_id)
"""
HEAD: Final = "select * from audit_head where agency_id = $1"
LAST_CHECKPOINT: Final = "select * from audit_checkpoint where agency_id = $1 order by position desc limit 1"


def entry_of(row: Record, *, with_payload: bool = False) -> Entry:
    """The entry in a row; without its payload, unless that was read as well."""
    values: dict[str, Any] = {name: row[name] for name in (*_ENTRY, "address")}
    payload = (row["before"], row["after"]) if with_payload else (None, None)
    return Entry(**values, before=payload[0], after=payload[1])


async def lock(tx: Tx) -> bool:
    """Whether this transaction is the one that seals this agency's log now."""
    return bool(await tx.fetchval(TRY_LOCK, tx.agency_id))


async def waiting(tx: Tx, most: int) -> list[Record]:
    """What is to be sealed next: each follows all that was committed before its own transaction began."""
    return await tx.fetch(WAITING, tx.agency_id, most)


async def note_lost(tx: Tx) -> None:
    """Mark what waits for its seal and is no longer there, so that nobody looks for it again and everybody is told."""
    await tx.execute(NOTE_LOST, tx.agency_id)


async def head(tx: Tx) -> Head | None:
    """Where the chain ends."""
    row = await tx.fetchrow(HEAD, tx.agency_id)
    return None if row is None else Head(**dict(row))


async def last_checkpoint(tx: Tx) -> Head | None:
    """The newest checkpoint."""
    row = await tx.fetchrow(LAST_CHECKPOINT, tx.agency_id)
    return None if row is None else Head(**dict(row))


ADD_LINKS: Final = """
with link as (
    insert into audit_seal (agency_id, position, entry_id, previous_hash, hash, mac, key_id)
    select $1, l.position, l.entry_id, l.previous_hash, l.hash, l.mac, $7
    from unnest($2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])
         as l (position, entry_id, previous_hash, hash, mac)
)
delete from audit_unsealed u using unnest($8::xid8[], $3::text[]) as done (xid, entry_id)
where u.agency_id = $1 and u.xid = done.xid and u.entry_id = done.entry_id
"""
MOVE_HEAD: Final = """
insert into audit_head (agency_id, position, hash, at, mac, key_id) values ($1, $2, $3, $4, $5, $6)
on conflict (agency_id) do update set position = excluded.position, hash = excluded.hash, at = excluded.at,
    mac = excluded.mac, key_id = excluded.key_id
"""
ADD_CHECKPOINT: Final = """
insert into audit_checkpoint (agency_id, position, hash, at, mac, key_id) values ($1, $2, $3, $4, $5, $6)
"""


async def add_links(tx: Tx, links: Sequence[Link], xids: Sequence[int]) -> None:
    """Write the links and take their entries out of the queue."""
    columns = [
        [link.position for link in links],
        [link.entry_id for link in links],
        [link.previous_hash for link in links],
        [link.hash for link in links],
        [link.mac for link in links],
    ]
    await tx.execute(ADD_LINKS, tx.agency_id, *columns, tx.pepper.current, list(xids))


async def move_head(tx: Tx, end: Head) -> None:
    """Let the chain end here."""
    await tx.execute(MOVE_HEAD, tx.agency_id, end.position, end.hash, end.at, end.mac, end.key_id)


async def add_checkpoint(tx: Tx, end: Head) -> None:
    """Remember that the chain ended here."""
    await tx.execute(ADD_CHECKPOINT, tx.agency_id, end.position, end.hash, end.at, end.mac, end.key_id)


WALK: Final = f"""
select s.position, s.entry_id, s.previous_hash, s.hash, s.mac, s.key_id as seal_key_id,
       {_COLUMNS}, e.before, e.after, e.hmac, e.key_id,
       c.hash as checkpoint_hash, c.at as checkpoint_at, c.mac as checkpoint_mac, c.key_id as checkpoint_key_id
from audit_seal s
left join audit_entry e on e.agency_id = $1 and e.id = s.entry_id
left join audit_checkpoint c on c.agency_id = $1 and c.position = s.position
where s.agency_id = $1 order by s.position
"""
BEYOND: Final = f"""
select {_COLUMNS}, e.before, e.after, e.hmac, e.key_id, u.entry_id is not null as waits
from audit_entry e
left join audit_unsealed u on u.agency_id = $1 and u.entry_id = e.id
where e.agency_id = $1 and not exists (select from audit_seal s where s.agency_id = $1 and s.entry_id = e.id)
order by e.id
"""
VANISHED: Final = """
select u.entry_id from audit_unsealed u where u.agency_id = $1
and not exists (select from audit_entry e where e.agency_id = $1 and e.id = u.entry_id) order by u.entry_id limit 1
"""


def walk(tx: Tx) -> AsyncIterator[Record]:
    """Every link from the first on, with its entry where that is there, and its checkpoint where there is one."""
    return tx.cursor(WALK, tx.agency_id)


def beyond(tx: Tx) -> AsyncIterator[Record]:
    """Every entry without a link, and whether it waits for one."""
    return tx.cursor(BEYOND, tx.agency_id)


async def vanished(tx: Tx) -> str | None:
    """The id of an entry that waits to be sealed and is no longer there."""
    found: str | None = await tx.fetchval(VANISHED, tx.agency_id)
    return found


NOTE_CHECK: Final = """
insert into audit_check (agency_id, checked_at, sealed, problem, entry_id, position) values ($1, $2, $3, $4, $5, $6)
on conflict (agency_id) do update set checked_at = excluded.checked_at, sealed = excluded.sealed,
    problem = excluded.problem, entry_id = excluded.entry_id, position = excluded.position
"""


async def note_check(tx: Tx, at: datetime, sealed: int, bad: Bad | None) -> None:
    """Remember how a verification by the house ended."""
    found = (None, None, None) if bad is None else (bad.problem, bad.entry_id, bad.position)
    await tx.execute(NOTE_CHECK, tx.agency_id, at, sealed, *found)


ERASE: Final = "select erase_audit_payloads($1, $2, $3)"


async def erase_payloads(tx: Tx, before: datetime, workspace_id: str | None, most: int) -> int:
    """Take the payloads of at most so many older entries away; how many that were."""
    return int(await tx.fetchval(ERASE, before, workspace_id, most))
