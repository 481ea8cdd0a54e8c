"""How holds are found and locked; they are written with all else that a transaction decides about credits."""

from collections.abc import Mapping
from typing import Any, Final

from colonnade.credits.model import Hold, HoldState
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Record, Tx

COLUMNS: Final = (
    "id, workspace_id, pool_id, amount, captured, released, state, reference, feature, run_id, key_id, cycle, "
    "expires_at, settled_at, created_at, source, borrowed, parts, price_version, unit_price, quantity, model"
)

LOCK: Final = f"""
select {COLUMNS} from credit_hold
where agency_id = $1 and id = $2 and ($3::text[] is null or workspace_id = any ($3))
for update
"""

OPEN_OF: Final = "select id from credit_hold where agency_id = $1 and workspace_id = $2 and state = 'open' order by id"


async def lock(tx: Tx, hold_id: str) -> Hold | None:
    """The hold within reach, locked."""
    within = tx.reach.workspace_ids
    row = await tx.fetchrow(LOCK, tx.agency_id, hold_id, None if within is None else list(within))
    return None if row is None else to_hold(row)


async def open_holds(tx: Tx, workspace_id: str) -> list[str]:
    """The ids of the workspace's open holds."""
    return [row["id"] for row in await tx.fetch(OPEN_OF, tx.agency_id, workspace_id)]


def reference_reused() -> Refused:
    """The refusal for a reference that stands for something else already."""
    return Refused(
        "credits.reference_reused",
        "This reference already stands for a hold with another workspace, amount, feature or run. Use a fresh one.",
    )


def to_hold(row: Record | Mapping[str, Any]) -> Hold:
    """The hold of a row."""
    parts, unit_price = row["parts"], row["unit_price"]
    return Hold(
        id=row["id"],
        workspace_id=row["workspace_id"],
        pool_id=row["pool_id"],
        amount=MilliCredits(row["amount"]),
        captured=MilliCredits(row["captured"]),
        released=MilliCredits(row["released"]),
        state=HoldState(row["state"]),
        reference=row["reference"],
        feature=row["feature"],
        run_id=row["run_id"],
        key_id=row["key_id"],
        cycle=row["cycle"],
        expires_at=row["expires_at"],
        settled_at=row["settled_at"],
        created_at=row["created_at"],
        source=row["source"],
        borrowed=MilliCredits(row["borrowed"]),
        parts=None if parts is None else {name: MilliCredits(part) for name, part in parts.items()},
        price_version=row["price_version"],
        unit_price=None if unit_price is None else MilliCredits(unit_price),
        quantity=row["quantity"],
        model=row["model"],
    )
