"""How caps are kept, and how they are read with what was taken under them in a cycle."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from colonnade.credits.rules import Cap, Level, Tally
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Record, Tx

LOCK: Final = "select pg_advisory_xact_lock(76, hashtext($1))"


async def lock(tx: Tx) -> None:
    """Keep every other decision over the agency's credits waiting until this transaction ends.

    So nothing that is decided by the old caps or prices is committed after the new ones.
    """
    await tx.execute(LOCK, tx.agency_id)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose cap: the agency's, a workspace's or a key's (with the workspace that the key belongs to, if to one)."""

    level: Level
    workspace_id: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class CapRow:
    """A cap as it is kept, and what was taken under it."""

    cap: Cap
    tally: Tally
    created_at: datetime
    updated_at: datetime


_COLUMNS: Final = "c.id, c.level, c.workspace_id, c.key_id, c.feature, c.credits, c.created_at, c.updated_at"
_OF_HOLDER: Final = """
c.agency_id = $1 and c.level = $2 and (c.workspace_id = $3 or ($3::text is null and c.workspace_id is null))
and (c.key_id = $4 or ($4::text is null and c.key_id is null))
"""

CAPS: Final = f"""
select {_COLUMNS}, coalesce(t.taken, 0) as taken, coalesce(t.used, 0) as used
from credit_cap c left join credit_tally t on t.agency_id = c.agency_id and t.cycle = $5
     and t.subject = case c.level when 'agency' then 'agency' when 'key' then c.key_id else c.workspace_id end
                     || coalesce('#' || c.feature, '')
where {_OF_HOLDER}
order by c.feature nulls first
"""


async def caps(tx: Tx, holder: Holder, cycle: date) -> list[CapRow]:
    """The holder's caps, the one for everything first; needs the whole agency in reach."""
    mine = (holder.level, holder.workspace_id, holder.key_id)
    return [_row(row) for row in await tx.fetch(CAPS, tx.agency_id, *mine, cycle)]


PUT: Final = """
insert into credit_cap (agency_id, workspace_id, id, level, key_id, feature, credits,
                        created_by, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
on conflict on constraint credit_cap_once do update
set credits = excluded.credits, updated_at = excluded.updated_at, version = credit_cap.version + 1
"""


async def put(tx: Tx, cap: Cap, *, created_by: str, at: datetime) -> None:
    """Set the cap; one that the same holder has for the same feature takes the amount and keeps its id."""
    mine = (cap.workspace_id, cap.id, cap.level, cap.key_id, cap.feature, cap.credits)
    await tx.execute(PUT, tx.agency_id, *mine, created_by, at)


REMOVE: Final = "delete from credit_cap where agency_id = $1 and id = $2"


async def remove(tx: Tx, cap_id: str) -> None:
    """Take the cap away."""
    await tx.execute(REMOVE, tx.agency_id, cap_id)


def _row(row: Record) -> CapRow:
    cap = Cap(
        id=row["id"],
        level=row["level"],
        workspace_id=row["workspace_id"],
        key_id=row["key_id"],
        feature=row["feature"],
        credits=MilliCredits(row["credits"]),
    )
    tally = Tally(MilliCredits(row["taken"]), MilliCredits(row["used"]))
    return CapRow(cap, tally, row["created_at"], row["updated_at"])
