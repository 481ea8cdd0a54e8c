"""How accounts are locked and grants are read. Pool rows are locked before all others, and rows in id order."""

from collections.abc import Collection, Sequence
from typing import Final

from colonnade.credits.books import Account
from colonnade.credits.model import Grant
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Record, Tx

LOCK: Final = """
select id, workspace_id, balance, version, updated_at from credit_account
where agency_id = $1 and id = any ($2::text[])
order by kind <> 'pool', id
for update
"""

OPEN: Final = """
insert into credit_account (agency_id, workspace_id, id, kind)
select $1, nullif(split_part(name, ':', 2), ''), name, split_part(name, ':', 1)
from unnest($2::text[]) as name
order by name
on conflict do nothing
"""


async def lock_accounts(tx: Tx, names: Collection[str]) -> dict[str, Account]:
    """Lock the accounts, opening those that are new; needs the whole agency in reach."""
    wanted = sorted(set(names))
    accounts = await _lock(tx, wanted)
    missing = sorted(set(wanted) - set(accounts))
    if missing:
        await tx.execute(OPEN, tx.agency_id, missing)
        accounts |= await _lock(tx, missing)
    assert len(accounts) == len(wanted), "an account could not be opened"
    return accounts


async def _lock(tx: Tx, names: Sequence[str]) -> dict[str, Account]:
    rows = await tx.fetch(LOCK, tx.agency_id, names) if names else []
    return {row["id"]: Account(**dict(row)) for row in rows}


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


def columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Rows turned into the column arrays that `unnest` takes; there must be at least one."""
    return [list(column) for column in zip(*rows, strict=True)]
