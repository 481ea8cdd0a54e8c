"""How holds are kept, with the grants that each drew on."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import asyncpg

from colonnade.credits.lots import Draw
from colonnade.credits.model import Hold, HoldState, Settled
from colonnade.credits.store import columns
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Record, Tx

_COLUMNS: Final = (
    "id, workspace_id, pool_id, amount, captured, released, state, reference, feature, run_id, key_id, cycle, "
    "expires_at, settled_at, created_at"
)

BY_REFERENCE: Final = f"select {_COLUMNS} from credit_hold where agency_id = $1 and reference = any ($2::text[])"

ADD: Final = """
insert into credit_hold (agency_id, id, workspace_id, pool_id, amount, reference, feature, run_id, key_id, cycle,
                         expires_at, created_at, updated_at)
select $1, h.*, h.created_at
from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::date[], $11::timestamptz[], $12::timestamptz[])
     as h (id, workspace_id, pool_id, amount, reference, feature, run_id, key_id, cycle, expires_at, created_at)
"""

ADD_LOTS: Final = """
insert into credit_hold_lot (agency_id, workspace_id, hold_id, grant_id, position, amount)
select $1, l.* from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[]) as l
"""

LOCK: Final = f"""
select {_COLUMNS} from credit_hold
where agency_id = $1 and id = $2 and ($3::text[] is null or workspace_id = any ($3))
for update
"""

OPEN_OF: Final = "select id from credit_hold where agency_id = $1 and workspace_id = $2 and state = 'open' order by id"

LOTS: Final = """
select grant_id, amount from credit_hold_lot
where agency_id = $1 and workspace_id = $2 and hold_id = $3
order by position
"""

END: Final = """
update credit_hold set captured = $4, released = $5, state = $6, settled_at = $7, updated_at = $7
where agency_id = $1 and workspace_id = $2 and id = $3 and state = 'open'
"""


async def by_reference(tx: Tx, references: Collection[str]) -> dict[str, Hold]:
    """The agency's holds under these references, whatever has become of them."""
    rows = await tx.fetch(BY_REFERENCE, tx.agency_id, sorted(references))
    return {row["reference"]: _hold(row) for row in rows}


async def add(tx: Tx, draws: Mapping[str, Sequence[Draw]], holds: Sequence[Hold]) -> None:
    """Write fresh holds with their draws: two statements. A reference that another pool's holder took is refused."""
    if not holds:
        return
    rows = [
        (
            *(hold.id, hold.workspace_id, hold.pool_id, hold.amount, hold.reference, hold.feature, hold.run_id),
            *(hold.key_id, hold.cycle, hold.expires_at, hold.created_at),
        )
        for hold in holds
    ]
    try:
        await tx.execute(ADD, tx.agency_id, *columns(rows))
    except asyncpg.UniqueViolationError as error:
        raise reference_reused() from error
    lots = [
        (hold.workspace_id, hold.id, draw.grant_id, position, draw.amount)
        for hold in holds
        for position, draw in enumerate(draws[hold.id])
    ]
    if lots:
        await tx.execute(ADD_LOTS, tx.agency_id, *columns(lots))


async def lock(tx: Tx, hold_id: str) -> Hold | None:
    """The hold within reach, locked."""
    within = tx.reach.workspace_ids
    row = await tx.fetchrow(LOCK, tx.agency_id, hold_id, None if within is None else list(within))
    return None if row is None else _hold(row)


async def open_holds(tx: Tx, workspace_id: str) -> list[str]:
    """The ids of the workspace's open holds."""
    return [row["id"] for row in await tx.fetch(OPEN_OF, tx.agency_id, workspace_id)]


async def lots(tx: Tx, hold: Hold) -> list[Draw]:
    """What the hold drew on, in the order of drawing."""
    rows = await tx.fetch(LOTS, tx.agency_id, hold.workspace_id, hold.id)
    return [Draw(row["grant_id"], MilliCredits(row["amount"])) for row in rows]


async def end(tx: Tx, hold: Hold, settled: Settled) -> None:
    """Close the open hold with what was captured and what went back."""
    state = HoldState.SETTLED if settled.captured else HoldState.RELEASED
    ended = (settled.captured, settled.released, state.value, settled.settled_at)
    touched = await tx.execute(END, tx.agency_id, hold.workspace_id, hold.id, *ended)
    assert touched == 1, "a locked open hold could not be ended"


def reference_reused() -> Refused:
    """The refusal for a reference that stands for something else already."""
    return Refused(
        "credits.reference_reused",
        "This reference already stands for a hold with another workspace, amount, feature or run. Use a fresh one.",
    )


def _hold(row: Record) -> Hold:
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
    )
