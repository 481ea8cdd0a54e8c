"""What time does to an agency's credits: grants end, callers' holds are let go, and one cycle follows another."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from colonnade.credits import due_store, tally_store
from colonnade.credits.batches import Batch
from colonnade.credits.books import Signature
from colonnade.credits.counting import settling
from colonnade.credits.cycles import following
from colonnade.credits.holding import give_back_rest
from colonnade.credits.model import Hold, HoldState
from colonnade.credits.standing import Wanted, open_standing
from colonnade.ground.core.amounts import MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit

_MOST: Final = 200
"""So many pools and so many holds in one transaction, so that charges wait for no more than that."""


async def expire(tx: Tx, caller: Caller) -> int:
    """End the agency's grants and holds whose time is over, as entries of the ledger; how many that were.

    Of a grant what is held stays held; what of it comes back later ends then.
    """
    caller.require("credits:transfer")
    pools, holds = await due_store.pools_due(tx, _MOST), await due_store.holds_due(tx, _MOST)
    if not pools and not holds:
        return 0
    wanted = Wanted(workspaces=[name for name in pools if name is not None], holds=holds)
    standing = await open_standing(tx, wanted, locking=True)
    batch = Batch(standing, Signature.of(caller))
    over = [hold for hold in standing.holds.values() if _is_over(hold, batch)]
    for hold in over:
        _let_go(batch, caller, hold)
    await batch.write(tx)
    return len(batch.over) + len(over)


def _is_over(hold: Hold, batch: Batch) -> bool:
    return hold.state is HoldState.OPEN and hold.expires_at is not None and hold.expires_at <= batch.at


def _let_go(batch: Batch, caller: Caller, hold: Hold) -> None:
    rest = MilliCredits(hold.amount - hold.captured)
    state = HoldState.SETTLED if hold.captured else HoldState.RELEASED
    ended = replace(hold, released=rest, state=state)
    if rest:
        give_back_rest(batch, ended, Signature.of(caller), rule="hold expired")
    batch.count(settling(hold, {}, rest))
    batch.change(ended)
    after = {"released": to_number(rest), "expired": True}
    batch.record(caller, audit.Fact("credits.released", hold.id, hold.workspace_id, after=after))


async def follow_on(tx: Tx, ahead: timedelta) -> bool:
    """Let the next cycle be there when the last one ends so soon; whether one was made.

    It goes by the settings of now, and no more by what they say later.
    """
    standing = await open_standing(tx, Wanted(), locking=True)
    soon = standing.at + ahead
    last = await tally_store.last_cycle(tx, soon)
    assert last is not None, "opening an agency's credits makes the cycle of now"
    if last.ends_at > soon:
        return False
    cycle = following(standing.rule, standing.zone, last, last.ends_at)
    await tally_store.add_cycle(tx, cycle, standing.rule.to_json(), standing.zone.key)
    return True
