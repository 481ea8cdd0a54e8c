"""How charges are read: single ones, by their id or their reference, with what was given back of them since."""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from colonnade.credits import standing_store
from colonnade.credits.charge_model import TILL, Charge, Target
from colonnade.credits.lots import Draw
from colonnade.credits.model import Hold
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Record, Tx

Row = Mapping[str, Any] | Record

_FOUND: Final = """
select t.*, coalesce(m.refunded, 0)::bigint as refunded, coalesce(m.borrowed, 0)::bigint as borrowed
from credit_transfer t left join lateral (
    select sum(amount) filter (where kind = 'refund') as refunded,
           sum(amount) filter (where kind = 'borrow') as borrowed
    from credit_transfer where agency_id = $1 and charge_id = t.id
) m on true
"""

BY_ID: Final = f"""{_FOUND}
where t.agency_id = $1 and t.id = $2 and t.kind in ('charge', 'capture')
  and ($3::text[] is null or t.workspace_id = any ($3))
"""

BY_REFERENCE: Final = f"""{_FOUND}
where t.agency_id = $1 and t.source = $2 and t.reference = $3 and t.source <> 'house'
  and t.kind in ('charge', 'capture') and ($4::text[] is null or t.workspace_id = any ($4))
"""

MOVED: Final = """
select charge_id, coalesce(sum(amount) filter (where kind = 'refund'), 0)::bigint as refunded,
       coalesce(sum(amount) filter (where kind = 'borrow'), 0)::bigint as borrowed
from credit_transfer where agency_id = $1 and charge_id = any ($2::text[])
group by charge_id
"""

HOLD_BY_ID: Final = """
select to_jsonb(h) from credit_hold h
where agency_id = $1 and id = $2 and ($3::text[] is null or workspace_id = any ($3))
"""

HOLD_BY_REFERENCE: Final = """
select to_jsonb(h) from credit_hold h
where agency_id = $1 and source = $2 and reference = $3 and ($4::text[] is null or workspace_id = any ($4))
"""


def _within(tx: Tx) -> list[str] | None:
    return None if tx.reach.workspace_ids is None else list(tx.reach.workspace_ids)


async def row_by_id(tx: Tx, charge_id: str) -> Row | None:
    """Everything that the charge within reach was made of."""
    return await tx.fetchrow(BY_ID, tx.agency_id, charge_id, _within(tx))


async def by_reference(tx: Tx, source: str, reference: str) -> Charge | None:
    """The charge within reach that this reference stands for."""
    row = await tx.fetchrow(BY_REFERENCE, tx.agency_id, source, reference, _within(tx))
    return None if row is None else to_charge(row)


async def moved(tx: Tx, charge_ids: Collection[str]) -> dict[str, tuple[MilliCredits, MilliCredits]]:
    """What was given back of these charges, and what was borrowed for them."""
    rows = await tx.fetch(MOVED, tx.agency_id, list(charge_ids))
    return {row["charge_id"]: (MilliCredits(row["refunded"]), MilliCredits(row["borrowed"])) for row in rows}


async def hold_by_id(tx: Tx, hold_id: str) -> Hold | None:
    """The hold within reach."""
    told = await tx.fetchval(HOLD_BY_ID, tx.agency_id, hold_id, _within(tx))
    return None if told is None else standing_store.hold(told)


async def hold_by_reference(tx: Tx, source: str, reference: str) -> Hold | None:
    """The hold within reach that this reference stands for."""
    told = await tx.fetchval(HOLD_BY_REFERENCE, tx.agency_id, source, reference, _within(tx))
    return None if told is None else standing_store.hold(told)


def instant_of(row: Row) -> datetime:
    """When it was, also of a row that came as JSON."""
    at = row["at"]
    return standing_store.instant(at) if isinstance(at, str) else at


def to_target(row: Row, held: Hold | None) -> Target:
    """The charge with who it counts for and what it drew on; a capture counts as its hold does."""
    charge = to_charge(row)
    lone = [] if row["grant_id"] is None else [[row["grant_id"], row["amount"]]]
    drawn = lone if row["draws"] is None else row["draws"]["lots"]
    return Target(
        charge=charge,
        key_id=charge.key_id if held is None else held.key_id,
        feature=charge.feature if held is None else held.feature,
        pool_id=charge.pool_id if held is None else held.pool_id,
        cycle=row["cycle"],
        draws=tuple(Draw(grant_id, MilliCredits(amount)) for grant_id, amount in drawn),
    )


def to_charge(row: Row) -> Charge:
    """The charge out of its row."""
    return Charge(
        id=row["id"],
        workspace_id=row["workspace_id"],
        feature=row["feature"],
        model=row["model"],
        credits=MilliCredits(row["amount"]),
        quantity=None if row["quantity"] is None else Decimal(str(row["quantity"])),
        source=row["source"],
        reference=None if row["source"] == TILL else row["reference"],
        rule=row["rule"],
        price_version=row["price_version"],
        borrowed=MilliCredits(row["borrowed"]),
        pool_id=row["from_account"] if row["hold_id"] is None else row["rule"],
        refunded=MilliCredits(row["refunded"]),
        hold_id=row["hold_id"],
        run_id=row["run_id"],
        key_id=row["key_id"],
        at=instant_of(row),
    )
