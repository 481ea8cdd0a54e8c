"""Reading the ledger: entry by entry, from the newest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx

PAGE: Final = """
select e.id, e.transfer_id, e.account_id, e.workspace_id, e.amount, e.balance_after, e.at,
       t.kind, t.rule, t.reference, t.feature, t.run_id, t.hold_id, t.grant_id, t.actor_id, t.key_id, t.request_id
from ledger_entry e join credit_transfer t on t.agency_id = e.agency_id and t.id = e.transfer_id
where e.agency_id = $1 and ($2::text[] is null or e.workspace_id = any ($2))
  and ($3::text is null or e.workspace_id = $3) and ($4::text is null or e.id < $4)
order by e.id desc
limit $5
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a movement: the account it changed, how that stood afterwards, and why it was allowed."""

    id: str
    transfer_id: str
    account_id: str
    workspace_id: str | None
    amount: MilliCredits
    balance_after: MilliCredits
    at: datetime
    kind: str
    rule: str
    reference: str | None
    feature: str | None
    run_id: str | None
    hold_id: str | None
    grant_id: str | None
    actor_id: str
    key_id: str | None
    request_id: str


async def ledger(
    tx: Tx, caller: Caller, *, workspace_id: str | None = None, before_id: str | None = None, limit: int
) -> tuple[Sequence[Line], bool]:
    """Entries on the accounts within reach, from the newest on, and whether there are more."""
    caller.require("credits:read")
    within = tx.reach.workspace_ids
    reach = None if within is None else list(within)
    async with tx.widened() as whole:  # a move between two pools is told to both, though it names one workspace
        rows = await whole.fetch(PAGE, whole.agency_id, reach, workspace_id, before_id, limit + 1)
    return [Line(**dict(row)) for row in rows[:limit]], len(rows) > limit
