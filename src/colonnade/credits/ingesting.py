"""Taking in usage of work that was done elsewhere: each event once, charged where something can pay for it."""

from collections.abc import Sequence
from decimal import Decimal

from colonnade.credits import event_store, pricing
from colonnade.credits.batches import Batch
from colonnade.credits.books import Movement, Signature, key_of
from colonnade.credits.event_model import MOST_EVENTS, EventOutcome, Misfit, ToldEvent
from colonnade.credits.event_rules import (
    Judge,
    Line,
    Share,
    Shares,
    days,
    outcome,
    pay_in_turn,
    pay_together,
    set_archived_apart,
)
from colonnade.credits.model import AGENCY_POOL_ID, AccountKind, PriceList, TransferKind, account_id
from colonnade.credits.rules import Standing
from colonnade.credits.standing import Wanted, open_standing
from colonnade.ground.core.amounts import to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id, new_ids
from colonnade.ground.core.refusals import BadField
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit, workspaces


async def report_usage(tx: Tx, caller: Caller, told: Sequence[ToldEvent | Misfit]) -> list[EventOutcome]:
    """Record work that was done elsewhere, each event with an outcome of its own, in the given order.

    An event is recorded once, whoever repeats it, and always: what no pool or cap can pay for is kept as unfunded and
    charged nothing. What is no event is told so and hinders no other.
    """
    caller.require("usage:write")
    if len(told) > MOST_EVENTS:
        raise BadField("/events", f"may hold at most {MOST_EVENTS:,} events")
    now, prices = await tx.now(), await pricing.price_list(tx)
    judge = Judge(await _known(tx, told), prices, now)
    judged = [judge.of(one) for one in told]
    fitting = [one for one in judged if isinstance(one, Line)]
    await event_store.claim(tx, fitting, now)
    fresh = [line for line in fitting if not line.is_known]
    if fresh:
        async with tx.widened() as whole:
            await _record(whole, caller, fresh, prices)
    return [outcome(one) for one in judged]


async def _known(tx: Tx, told: Sequence[ToldEvent | Misfit]) -> set[str]:
    wanted = {one.workspace_id for one in told if isinstance(one, ToldEvent)}
    return {workspace.id for workspace in await workspaces.known(tx, sorted(wanted))}


async def _record(whole: Tx, caller: Caller, lines: Sequence[Line], prices: PriceList) -> None:
    standing, shares = await _paid(whole, lines, key_of(caller))
    by = Signature.of(caller)
    batch = Batch(standing, by)
    transfers = {key: _enter(batch, share, by, prices) for key, share in shares.items()}
    batch.record(caller, _fact(caller, lines))
    await batch.write(whole)
    kept = event_store.Kept(batch.at, key_of(caller), standing.cycle.starts_on, transfers)
    await event_store.add(whole, kept, new_ids("evt", len(lines)), lines, days(lines, standing, batch.at))


async def _paid(whole: Tx, lines: Sequence[Line], key_id: str | None) -> tuple[Standing, Shares]:
    """How things stand once they are paid for: all at once where there is enough, else one after the other."""
    wanted = Wanted(
        workspaces={line.told.workspace_id for line in lines},
        features={line.told.feature for line in lines},
        keys=() if key_id is None else (key_id,),
    )
    standing = await open_standing(whole, wanted, locking=True)
    set_archived_apart(standing, lines)
    shares = pay_together(standing, lines, key_id)
    if shares is None:
        standing = await open_standing(whole, wanted, locking=True)
        shares = pay_in_turn(standing, lines, key_id)
    return standing, shares


def _enter(batch: Batch, share: Share, by: Signature, prices: PriceList) -> str:
    """Enter the charge of all lines of the share; the id of its transfer."""
    name = new_id("chg")
    if share.borrowed:
        batch.enter(_borrowing(share, name), by)
    unit_prices = {line.unit_price for line in share.lines}
    unit_price = unit_prices.pop() if len(unit_prices) == 1 else None
    quantity = (
        None if unit_price is None else sum((Decimal(line.told.quantity or 0) for line in share.lines), Decimal())
    )
    is_several = len(share.draws) > 1
    movement = Movement(
        kind=TransferKind.CHARGE,
        amount=share.amount,
        from_account=share.pool_id,
        to_account=account_id(AccountKind.USED, share.workspace_id),
        rule=share.rule,
        workspace_id=share.workspace_id,
        feature=share.feature,
        quantity=quantity,
        unit_price=unit_price,
        price_version=prices.version,
        cycle=batch.standing.cycle.starts_on,
        grant_id=None if is_several else share.draws[0].grant_id,
        draws=share.draws if is_several else (),
    )
    return batch.enter(movement, by, name)


def _borrowing(share: Share, charge_id: str) -> Movement:
    return Movement(
        kind=TransferKind.BORROW,
        amount=share.borrowed,
        from_account=AGENCY_POOL_ID,
        to_account=share.pool_id,
        rule="borrowLimit",
        workspace_id=share.workspace_id,
        charge_id=charge_id,
    )


def _fact(caller: Caller, lines: Sequence[Line]) -> audit.Fact:
    inside = {line.told.workspace_id for line in lines}
    only = inside.pop() if len(inside) == 1 else None
    unfunded = [line for line in lines if line.refused is not None]
    after = {
        "events": len(lines),
        "credits": to_number(sum(line.cost for line in lines if line.refused is None)),
        "unfunded": len(unfunded),
        "unfundedCredits": to_number(sum(line.cost for line in unfunded)),
    }
    return audit.Fact("usage.reported", only or caller.agency_id, only, after=after)
