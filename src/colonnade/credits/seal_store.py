"""How the ledger's seal is kept: what waits for it, the entries as they are sealed, and the blocks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from colonnade.credits.ledger_seals import Block, Line
from colonnade.credits.store import columns
from colonnade.ground.db.database import Record, Tx

LINE_COLUMNS: Final = """
e.id, e.transfer_id, e.account_id, e.account_version, e.workspace_id, e.amount, e.balance_after, e.at,
t.kind, t.rule, t.price_version, t.unit_price, t.quantity, t.source, t.reference, t.feature, t.model,
t.run_id, t.grant_id, t.hold_id, t.charge_id, t.key_id, t.actor_id, t.actor_name, t.request_id
"""
"""What a line is made of, of an entry `e` and its transfer `t`."""

_LINE: Final = Line.__slots__


def line_of(row: Record) -> Line:
    """The line in a row, which may hold more."""
    values: dict[str, Any] = {name: row[name] for name in _LINE}
    return Line(**values)


TRY_LOCK: Final = "select pg_try_advisory_xact_lock(77, hashtext($1))"

WAITING: Final = """
with waiting as (
    select account_id, workspace_id, array_agg(number) as numbers from ledger_unsealed
    where agency_id = $1 and account_id <> all ($3::text[])
    group by account_id, workspace_id order by min(number) limit $2
)
select w.*, s.from_version, s.to_version, s.previous_hash, s.hash, s.mac, s.key_id
from waiting w left join lateral (
    select * from ledger_seal l where l.agency_id = $1 and l.account_id = w.account_id
    order by l.to_version desc limit 1
) as s on true
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An account with entries that wait for their seal, and the block that they come behind."""

    account_id: str
    workspace_id: str | None
    numbers: tuple[int, ...]
    last: Block | None

    @property
    def version(self) -> int:
        """Up to which entry it is sealed."""
        return 0 if self.last is None else self.last.to_version


async def lock(tx: Tx) -> bool:
    """Whether this transaction is the one that seals this agency's ledger now."""
    return bool(await tx.fetchval(TRY_LOCK, tx.agency_id))


async def waiting(tx: Tx, most: int, leaving_out: Collection[str]) -> list[Waiting]:
    """The accounts that wait longest, but for these."""
    rows = await tx.fetch(WAITING, tx.agency_id, most, list(leaving_out))
    return [Waiting(row["account_id"], row["workspace_id"], tuple(row["numbers"]), _last(row)) for row in rows]


def _last(row: Record) -> Block | None:
    return None if row["to_version"] is None else block_of(row)


def block_of(row: Record) -> Block:
    """The block in a row, which may hold more."""
    values: dict[str, Any] = {name: row[name] for name in Block.__slots__}
    return Block(**values)


BEHIND: Final = f"""
select {LINE_COLUMNS}
from unnest($2::text[], $3::bigint[]) as w (account_id, version)
cross join lateral (
    select * from ledger_entry l
    where l.agency_id = $1 and l.account_id = w.account_id and l.account_version > w.version
    order by l.account_version limit $4
) as e
join credit_transfer t on t.agency_id = $1 and t.id = e.transfer_id
order by e.account_id, e.account_version
"""


async def behind(tx: Tx, accounts: Sequence[tuple[str, int]], most: int) -> list[Line]:
    """At most so many entries of each of the accounts behind the version that stands with it, in their order."""
    if not accounts:
        return []
    return [line_of(row) for row in await tx.fetch(BEHIND, tx.agency_id, *columns(accounts), most)]


ADD_BLOCKS: Final = """
insert into ledger_seal (agency_id, workspace_id, account_id, from_version, to_version, previous_hash, hash, mac,
                         key_id, at)
select $1, b.*, $2
from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[],
            $10::integer[]) as b
"""


async def add_blocks(tx: Tx, blocks: Sequence[tuple[Waiting, Block]], at: datetime) -> None:
    """Write the blocks, each behind the last one of its account."""
    rows = [
        (
            *(one.workspace_id, one.account_id, block.from_version, block.to_version),
            *(block.previous_hash, block.hash, block.mac, block.key_id),
        )
        for one, block in blocks
    ]
    if rows:
        await tx.execute(ADD_BLOCKS, tx.agency_id, at, *columns(rows))


DONE: Final = """
delete from ledger_unsealed u using unnest($2::text[], $3::bigint[]) as done (account_id, number)
where u.agency_id = $1 and u.account_id = done.account_id and u.number = done.number
"""


async def done(tx: Tx, waiting: Sequence[Waiting]) -> None:
    """Take these out of the queue: exactly what was seen in it, for more may have come since."""
    rows = [(one.account_id, number) for one in waiting for number in one.numbers]
    if rows:
        await tx.execute(DONE, tx.agency_id, *columns(rows))


BLOCKS_OVER: Final = """
select * from ledger_seal
where agency_id = $1 and account_id = $2 and to_version >= $3 and from_version <= $4
order by to_version
"""


async def blocks_over(tx: Tx, account_id: str, versions: tuple[int, int]) -> list[Block]:
    """The blocks that hold these entries of an account, first and last included, in their order."""
    return [block_of(row) for row in await tx.fetch(BLOCKS_OVER, tx.agency_id, account_id, *versions)]


BLOCKS_OF: Final = """
select e.account_id || '#' || e.account_version as entry, s.*
from unnest($2::text[], $3::bigint[]) as e (account_id, account_version)
cross join lateral (
    select * from ledger_seal l
    where l.agency_id = $1 and l.account_id = e.account_id and l.to_version >= e.account_version
    order by l.to_version limit 1
) as s
where s.from_version <= e.account_version
"""


async def blocks_of(tx: Tx, lines: Sequence[Line]) -> dict[tuple[str, int], Block]:
    """The block that each of the entries lies in, by account and version; none of those that are not sealed yet."""
    if not lines:
        return {}
    places = [(line.account_id, line.account_version) for line in lines]
    found = {row["entry"]: block_of(row) for row in await tx.fetch(BLOCKS_OF, tx.agency_id, *columns(places))}
    return {place: found[name] for place in places if (name := f"{place[0]}#{place[1]}") in found}
