"""How accounts, the ledger and grants are kept. Pool rows are locked before all others, and rows in id order."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from colonnade.credits.books import Account, Books, Signature
from colonnade.credits.lots import Draw, Lot, Pool
from colonnade.credits.model import Grant
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Record, Tx

LOCK: Final = """
select id, workspace_id, balance, version from credit_account
where agency_id = $1 and id = any ($2::text[])
order by id
for update
"""

OPEN: Final = """
insert into credit_account (agency_id, workspace_id, id, kind)
select $1, nullif(split_part(name, ':', 2), ''), name, split_part(name, ':', 1)
from unnest($2::text[]) as name
order by name
on conflict do nothing
"""


async def lock_accounts(tx: Tx, names: Collection[str]) -> list[Account]:
    """Lock the accounts, opening those that are new; needs the whole agency in reach."""
    wanted = sorted(set(names))
    accounts = await _lock(tx, wanted)
    missing = sorted(set(wanted) - {account.id for account in accounts})
    if missing:
        await tx.execute(OPEN, tx.agency_id, missing)
        accounts += await _lock(tx, missing)
    assert len(accounts) == len(wanted), "an account could not be opened"
    return accounts


async def _lock(tx: Tx, names: Sequence[str]) -> list[Account]:
    rows = await tx.fetch(LOCK, tx.agency_id, names) if names else []
    return [Account(**dict(row)) for row in rows]


LOTS: Final = """
select pool_id, id as grant_id, remaining, expires_at, priority from credit_grant
where agency_id = $1 and pool_id = any ($2::text[]) and not is_spent
order by pool_id, priority, expires_at nulls last, created_at, id
"""


async def pools(tx: Tx, names: Collection[str]) -> dict[str, Pool]:
    """The pools with their open lots in spending order; the lock on a pool's account guards its lots."""
    found = {name: Pool(name) for name in names}
    for row in await tx.fetch(LOTS, tx.agency_id, sorted(found)):
        lot = Lot(row["grant_id"], MilliCredits(row["remaining"]), row["expires_at"], row["priority"])
        found[row["pool_id"]].lots.append(lot)
    return found


SET_REMAINING: Final = """
update credit_grant g set remaining = c.remaining, updated_at = $4
from unnest($2::text[], $3::bigint[]) as c (id, remaining)
where g.agency_id = $1 and g.id = c.id
"""


async def set_remaining(tx: Tx, changes: Mapping[str, int], at: datetime) -> None:
    """Write what remains in the grants; their pools are locked."""
    if changes:
        await tx.execute(SET_REMAINING, tx.agency_id, list(changes), list(changes.values()), at)


GIVE_BACK: Final = """
update credit_grant g set remaining = g.remaining + b.amount, updated_at = $4
from unnest($2::text[], $3::bigint[]) as b (id, amount)
where g.agency_id = $1 and g.id = b.id
"""


async def give_back(tx: Tx, parts: Sequence[Draw], at: datetime) -> None:
    """Put unused credits back into the grants they were drawn from; their pool is locked."""
    if parts:
        names, amounts = [part.grant_id for part in parts], [part.amount for part in parts]
        await tx.execute(GIVE_BACK, tx.agency_id, names, amounts, at)


ADD_GRANTS: Final = """
insert into credit_grant (agency_id, workspace_id, id, pool_id, amount, remaining, expires_at, priority, note,
                          origin_id, created_at, updated_at)
select $1, g.workspace_id, g.id, 'pool' || coalesce(':' || g.workspace_id, ''), g.amount, g.amount, g.expires_at,
       g.priority, g.note, g.origin_id, g.created_at, g.created_at
from unnest($2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::integer[], $7::text[], $8::text[],
            $9::timestamptz[])
     as g (workspace_id, id, amount, expires_at, priority, note, origin_id, created_at)
"""


async def add_grants(tx: Tx, grants: Sequence[tuple[Grant, str | None]]) -> None:
    """Put grants into their pools, each with the grant of another pool that it was taken from, if there is one."""
    rows = [
        (g.workspace_id, g.id, g.amount, g.expires_at, g.priority, g.note, origin_id, g.created_at)
        for g, origin_id in grants
    ]
    await tx.execute(ADD_GRANTS, tx.agency_id, *columns(rows))


GRANTS: Final = "select * from credit_grant where agency_id = $1 and id = any ($2::text[])"


async def grants(tx: Tx, ids: Sequence[str]) -> dict[str, Grant]:
    """The grants with these ids."""
    return {row["id"]: _grant(row) for row in await tx.fetch(GRANTS, tx.agency_id, list(ids))}


def _grant(row: Record) -> Grant:
    return Grant(
        id=row["id"],
        workspace_id=row["workspace_id"],
        amount=MilliCredits(row["amount"]),
        remaining=MilliCredits(row["remaining"]),
        expires_at=row["expires_at"],
        priority=row["priority"],
        note=row["note"],
        created_at=row["created_at"],
    )


ADD_TRANSFERS: Final = """
insert into credit_transfer (agency_id, id, kind, amount, from_account, to_account, rule, workspace_id, reference,
                             feature, run_id, grant_id, hold_id, price_version, actor_id, key_id, request_id, at)
select $1, t.*, $15, $16, $17, $18
from unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[]) as t
"""

ADD_ENTRIES: Final = """
insert into ledger_entry (agency_id, id, transfer_id, account_id, workspace_id, amount, balance_after,
                          account_version, at)
select $1, e.*, $9
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[]) as e
"""

SET_BALANCES: Final = """
update credit_account a set balance = c.balance, version = c.version, updated_at = $5
from unnest($2::text[], $3::bigint[], $4::bigint[]) as c (id, balance, version)
where a.agency_id = $1 and a.id = c.id
"""


async def write_books(tx: Tx, books: Books, signature: Signature) -> None:
    """Write transfers, entries and balances: three statements, however many there are."""
    if not books.transfers:
        return
    signed = (signature.actor_id, signature.key_id, signature.request_id, signature.at)
    await tx.execute(ADD_TRANSFERS, tx.agency_id, *_transfer_columns(books), *signed)
    await tx.execute(ADD_ENTRIES, tx.agency_id, *_entry_columns(books), signature.at)
    changed = [(account.id, account.balance, account.version) for account in books.changed()]
    await tx.execute(SET_BALANCES, tx.agency_id, *columns(changed), signature.at)


def _transfer_columns(books: Books) -> list[list[Any]]:
    return columns(
        [
            (
                *(t.id, t.movement.kind.value, t.movement.amount, t.movement.from_account, t.movement.to_account),
                *(t.movement.rule, t.movement.workspace_id, t.movement.reference, t.movement.feature),
                *(t.movement.run_id, t.movement.grant_id, t.movement.hold_id, t.movement.price_version),
            )
            for t in books.transfers
        ]
    )


def _entry_columns(books: Books) -> list[list[Any]]:
    return columns(
        [
            (e.id, e.transfer_id, e.account_id, e.workspace_id, e.amount, e.balance_after, e.account_version)
            for e in books.entries
        ]
    )


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows turned into the column arrays that `unnest` takes; there must be at least one."""
    return [list(column) for column in zip(*rows, strict=True)]
