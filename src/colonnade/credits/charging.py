"""Charges, holds and refunds of an agency's own services: asked of the till, read by id or reference."""

from datetime import UTC, datetime, timedelta
from typing import Final

from colonnade.credits import charge_store
from colonnade.credits.charge_model import (
    RESERVED,
    TILL,
    CaptureWish,
    Charge,
    ChargeWish,
    Done,
    HoldWish,
    RefundWish,
    Target,
)
from colonnade.credits.model import HOUSE, Hold
from colonnade.credits.orders import Ask, Capturing, Kept, Order, Refunding, Releasing
from colonnade.credits.settling import CreditTill
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx

HELD_DAYS: Final = 7
"""How long an unended hold of a service stands where it does not say."""

MOST_HELD_DAYS: Final = 90


async def charge(till: CreditTill, caller: Caller, wish: ChargeWish, *, kept: Kept | None = None) -> Done:
    """Charge a single call; refuses with what stands in the way. The same reference again is the same charge."""
    caller.require("credits:charge")
    _check_source(wish.source)
    return await till.ask(Order(caller, wish, wish.workspace_id, wish.source, wish.reference, kept))


async def hold(till: CreditTill, caller: Caller, wish: HoldWish, *, kept: Kept | None = None) -> Done:
    """Set credits aside for work to come. The same reference again is the same hold."""
    caller.require("credits:charge")
    _check_source(wish.source)
    now = datetime.now(UTC)
    until = wish.expires_at or now + timedelta(days=HELD_DAYS)
    if not now < until <= now + timedelta(days=MOST_HELD_DAYS):
        raise BadField("/expiresAt", f"must lie in the future, and at most {MOST_HELD_DAYS} days from now")
    asked = HoldWish(wish.workspace_id, wish.priced, wish.reference, wish.source, until)
    return await till.ask(Order(caller, asked, wish.workspace_id, wish.source, wish.reference, kept))


async def capture(till: CreditTill, caller: Caller, held: Hold, wish: CaptureWish, *, kept: Kept | None = None) -> Done:
    """Charge what was used of the hold. Without a reference that happens once; with one, once for each."""
    caller.require("credits:charge")
    _check_source(wish.source)
    source, reference = (TILL, held.id) if wish.reference is None else (wish.source, wish.reference)
    return await till.ask(Order(caller, Capturing(held, wish), held.workspace_id, source, reference, kept))


async def release(till: CreditTill, caller: Caller, held: Hold, *, kept: Kept | None = None) -> Done:
    """Let what is left of the hold go back; what was captured stays charged. Again, it changes nothing."""
    caller.require("credits:charge")
    return await till.ask(Order(caller, Releasing(held), held.workspace_id, TILL, None, kept))


async def refund(
    till: CreditTill, caller: Caller, target: Target, wish: RefundWish, *, kept: Kept | None = None
) -> Done:
    """Give a charge back, whole or in part, never more than it was."""
    caller.require("credits:charge")
    _check_source(wish.source)
    source, reference = (TILL, new_id("xfer")) if wish.reference is None else (wish.source, wish.reference)
    ask: Ask = Refunding(target, wish)
    return await till.ask(Order(caller, ask, target.charge.workspace_id, source, reference, kept))


async def get_charge(tx: Tx, caller: Caller, charge_id: str) -> Charge:
    """The charge within reach."""
    caller.require("credits:read")
    row = await charge_store.row_by_id(tx, charge_id)
    if row is None:
        raise NotFound("charge")
    return charge_store.to_charge(row)


async def find_charge(tx: Tx, caller: Caller, *, source: str, reference: str) -> Charge | None:
    """The charge that the reference stands for; none where nothing was charged under it."""
    caller.require("credits:read")
    return await charge_store.by_reference(tx, source, reference)


async def get_hold(tx: Tx, caller: Caller, hold_id: str) -> Hold:
    """The hold within reach."""
    caller.require("credits:read")
    found = await charge_store.hold_by_id(tx, hold_id)
    if found is None:
        raise NotFound("hold")
    return found


async def find_hold(tx: Tx, caller: Caller, *, source: str, reference: str) -> Hold | None:
    """The hold that the reference stands for; none where nothing was held under it."""
    caller.require("credits:read")
    return await charge_store.hold_by_reference(tx, source, reference)


async def own_hold(tx: Tx, caller: Caller, hold_id: str) -> Hold:
    """The hold within reach, for capturing and releasing it; those of runs are the runs' own to settle."""
    caller.require("credits:charge")
    found = await charge_store.hold_by_id(tx, hold_id)
    if found is None:
        raise NotFound("hold")
    if found.source == HOUSE:
        raise Refused("credits.hold_exceeded", "This is the hold of a run, which settles it itself.")
    return found


async def refundable(tx: Tx, caller: Caller, charge_id: str) -> Target:
    """The charge within reach with all that giving it back takes; runs give back what they do not use themselves."""
    caller.require("credits:charge")
    row = await charge_store.row_by_id(tx, charge_id)
    if row is None:
        raise NotFound("charge")
    if row["source"] == HOUSE:
        sentence = "This was charged to a run of the house, which has settled it: there is nothing to give back."
        raise Refused("credits.refund_exceeded", sentence, details={"available": 0})
    held = None if row["hold_id"] is None else await charge_store.hold_by_id(tx, row["hold_id"])
    return charge_store.to_target(row, held)


def _check_source(source: str) -> None:
    if source in RESERVED:
        raise BadField("/source", "is a name that the house keeps for itself")
