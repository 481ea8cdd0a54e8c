"""Holding credits for work to come, and settling a hold for what the work used."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from colonnade.credits import hold_store, store
from colonnade.credits.batches import Batch
from colonnade.credits.books import Movement, Signature, key_of
from colonnade.credits.counting import returned, settling
from colonnade.credits.lots import give_back
from colonnade.credits.model import (
    AGENCY_POOL_ID,
    HOUSE,
    AccountKind,
    Hold,
    HoldRequest,
    HoldState,
    Settled,
    TransferKind,
    UsageEvent,
    UsageLine,
    account_id,
)
from colonnade.credits.refusing import refusal
from colonnade.credits.rules import Allowed, Stopped, Wish, decide
from colonnade.credits.standing import Wanted, open_standing
from colonnade.credits.taking import take
from colonnade.ground.core.amounts import ZERO, MilliCredits, to_number, to_text
from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit


async def hold_many(tx: Tx, caller: Caller, requests: Sequence[HoldRequest]) -> list[Hold | Refused]:
    """Set credits aside for many pieces of work at once, each with an outcome of its own, in the given order.

    One that lacks credits, or that a cap stops, fails alone. A reference that was held before is the same hold again,
    never a second one.
    """
    caller.require("runs:start")
    if not requests:
        return []
    async with tx.widened() as whole:
        batch = Batch(await open_standing(whole, _wanted(caller, requests), locking=True), Signature.of(caller))
        outcomes = [_hold(batch, tx.reach, caller, request) for request in requests]
        await batch.write(whole)
    return outcomes


def _wanted(caller: Caller, requests: Sequence[HoldRequest]) -> Wanted:
    key_id = key_of(caller)
    return Wanted(
        workspaces={request.workspace_id for request in requests},
        features={feature for request in requests for feature in request.parts or (request.feature,)},
        keys=() if key_id is None else (key_id,),
        references={(HOUSE, request.reference) for request in requests},
    )


async def hold(tx: Tx, caller: Caller, request: HoldRequest) -> Hold:
    """Set credits aside for one piece of work; refuses with what is missing when a pool or a cap leaves too little."""
    caller.require("runs:start")
    (outcome,) = await hold_many(tx, caller, [request])
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _hold(batch: Batch, reach: Reach, caller: Caller, request: HoldRequest) -> Hold | Refused:
    """The outcome of this one request, after those before it."""
    standing = batch.standing
    known = standing.held.get((HOUSE, request.reference))
    if known is not None:
        return known if known.is_of(request) else hold_store.reference_reused()
    if request.workspace_id not in standing.terms or not reach.includes(request.workspace_id):
        return NotFound("workspace")
    wish = Wish(request.workspace_id, request.feature, request.amount, key_of(caller), "hold", request.parts)
    answer = decide(standing, wish)
    if isinstance(answer, Stopped):
        return refusal(answer)
    take(standing, wish, answer)
    fresh = _fresh(batch, wish, answer, request)
    put_aside(batch, fresh, answer, Signature.of(caller))
    batch.record(caller, _held(fresh))
    return fresh


def _fresh(batch: Batch, wish: Wish, allowed: Allowed, request: HoldRequest) -> Hold:
    return Hold(
        id=new_id("hold"),
        workspace_id=request.workspace_id,
        pool_id=allowed.pool_id,
        amount=request.amount,
        captured=ZERO,
        released=ZERO,
        state=HoldState.OPEN,
        reference=request.reference,
        feature=request.feature,
        run_id=request.run_id,
        key_id=wish.key_id,
        cycle=batch.standing.cycle.starts_on,
        expires_at=request.expires_at,
        settled_at=None,
        created_at=batch.at,
        borrowed=allowed.borrowed,
        parts=request.parts,
        price_version=batch.standing.price_version,
    )


def put_aside(batch: Batch, fresh: Hold, allowed: Allowed, by: Signature) -> None:
    """Enter a hold that was allowed: what is borrowed for it first, then what it holds."""
    batch.put_aside(fresh, allowed.draws)
    if not fresh.amount:
        return
    told = Movement(
        kind=TransferKind.HOLD,
        amount=fresh.amount,
        from_account=fresh.pool_id,
        to_account=account_id(AccountKind.HELD, fresh.workspace_id),
        rule=allowed.rule,
        workspace_id=fresh.workspace_id,
        source=fresh.source,
        reference=fresh.reference,
        feature=fresh.feature,
        model=fresh.model,
        quantity=fresh.quantity,
        unit_price=fresh.unit_price,
        run_id=fresh.run_id,
        hold_id=fresh.id,
        price_version=fresh.price_version,
        cycle=fresh.cycle,
    )
    if fresh.borrowed:
        batch.enter(_lent(told, fresh.borrowed), by)
    batch.enter(told, by)


def _lent(told: Movement, borrowed: MilliCredits) -> Movement:
    """What the agency's pool lends to the workspace's own for a movement that follows."""
    kind, source, target = TransferKind.BORROW, AGENCY_POOL_ID, told.from_account
    lent = replace(told, kind=kind, amount=borrowed, from_account=source, to_account=target)
    return replace(lent, reference=None, source=HOUSE)


def _held(hold: Hold) -> audit.Fact:
    after = {"credits": to_number(hold.amount), "feature": hold.feature, "reference": hold.reference}
    return audit.Fact("credits.held", hold.id, hold.workspace_id, after=after)


async def settle(tx: Tx, caller: Caller, hold_id: str, lines: Sequence[UsageLine]) -> Settled:
    """Charge the hold for what was used and give the rest back to its pool, with the usage told line by line.

    More than was held is refused. Settling again changes nothing and tells the first settlement.
    """
    caller.require("runs:start")
    return await _settle(tx, caller, hold_id, lines)


async def release(tx: Tx, caller: Caller, hold_id: str) -> Settled:
    """Give back what is left of the hold, for work that does not happen; what was settled before stays settled."""
    caller.require("runs:cancel")
    return await _settle(tx, caller, hold_id, ())


async def _settle(tx: Tx, caller: Caller, hold_id: str, lines: Sequence[UsageLine]) -> Settled:
    held = await hold_store.lock(tx, hold_id)
    if held is None:
        raise NotFound("hold")
    if held.settled_at is not None:
        return Settled(held.id, held.captured, held.released, held.settled_at)
    ended = _ended(held, lines)
    async with tx.widened() as whole:
        batch = await _opened(whole, caller, ended)
        _end(batch, caller, ended, lines)
        await batch.write(whole)
    return Settled(held.id, ended.captured, ended.released, batch.at)


def _ended(held: Hold, lines: Sequence[UsageLine]) -> Hold:
    used, left = sum(line.credits for line in lines), held.amount - held.captured
    if used > left:
        raise Refused(
            "credits.hold_exceeded",
            f"{to_text(used)} credits were used, but only {to_text(left)} were held.",
            details={"required": to_number(used), "held": to_number(left)},
        )
    captured = MilliCredits(held.captured + used)
    state = HoldState.SETTLED if captured else HoldState.RELEASED
    return replace(held, captured=captured, released=MilliCredits(held.amount - captured), state=state)


async def _opened(whole: Tx, caller: Caller, ended: Hold) -> Batch:
    """The accounts that a hold's end moves, locked; a hold that is used up leaves the pools alone.

    The end of a run waits for no admission: what it frees is there for the next one, and it takes nothing.
    """
    wanted = Wanted(workspaces=(ended.workspace_id,), holds=(ended.id,))
    standing = await open_standing(whole, wanted, locking=False)
    names = {account_id(kind, ended.workspace_id) for kind in (AccountKind.HELD, AccountKind.USED)}
    if ended.released:
        names |= {ended.pool_id, *([AGENCY_POOL_ID] if ended.borrowed else [])}
    standing.accounts = await store.lock_accounts(whole, names if ended.amount else ())
    return Batch(standing, Signature.of(caller))


def _end(batch: Batch, caller: Caller, ended: Hold, lines: Sequence[UsageLine]) -> None:
    by, charges = Signature.of(caller), _by_feature(lines)
    before = replace(ended, captured=MilliCredits(ended.captured - sum(charges.values())))
    entered = {feature: batch.enter(_charge(ended, feature, amount), by) for feature, amount in charges.items()}
    if ended.released:
        give_back_rest(batch, ended, by)
    batch.count(settling(before, charges, ended.released))
    batch.change(ended)
    batch.events += [_event(batch, ended, line, entered) for line in lines]
    after = {"captured": to_number(ended.captured), "released": to_number(ended.released)}
    batch.record(caller, audit.Fact("credits.settled", ended.id, ended.workspace_id, after=after))


def give_back_rest(batch: Batch, ended: Hold, by: Signature, *, rule: str | None = None) -> None:
    """Enter that the rest of a hold goes back: to the lots it came from, and what was borrowed to the agency's pool."""
    batch.give_back(give_back(batch.standing.draws[ended.id], ended.released))
    told = Movement(
        kind=TransferKind.RELEASE,
        amount=ended.released,
        from_account=account_id(AccountKind.HELD, ended.workspace_id),
        to_account=ended.pool_id,
        rule=rule or ended.pool_id,
        workspace_id=ended.workspace_id,
        reference=ended.id,
        feature=ended.feature,
        run_id=ended.run_id,
        hold_id=ended.id,
        cycle=ended.cycle,
    )
    batch.enter(told, by)
    back = returned(ended, ended.released)
    if back:
        source, target = ended.pool_id, AGENCY_POOL_ID
        batch.enter(replace(told, kind=TransferKind.RETURN, amount=back, from_account=source, to_account=target), by)


def _by_feature(lines: Sequence[UsageLine]) -> dict[str, MilliCredits]:
    sums: dict[str, MilliCredits] = {}
    for line in lines:
        sums[line.feature] = MilliCredits(sums.get(line.feature, 0) + line.credits)
    return {feature: total for feature, total in sums.items() if total}


def _event(batch: Batch, ended: Hold, line: UsageLine, entered: Mapping[str, str]) -> UsageEvent:
    return UsageEvent(
        id=new_id("evt"),
        workspace_id=ended.workspace_id,
        at=batch.at,
        feature=line.feature,
        cycle=ended.cycle,
        credits=line.credits,
        quantity=line.quantity,
        key_id=ended.key_id,
        model=line.model,
        run_id=ended.run_id,
        hold_id=ended.id,
        transfer_id=entered.get(line.feature) if line.credits else None,
    )


def _charge(ended: Hold, feature: str, amount: MilliCredits) -> Movement:
    return Movement(
        kind=TransferKind.CAPTURE,
        amount=amount,
        from_account=account_id(AccountKind.HELD, ended.workspace_id),
        to_account=account_id(AccountKind.USED, ended.workspace_id),
        rule=ended.pool_id,
        workspace_id=ended.workspace_id,
        reference=f"{ended.id}:{feature}",
        feature=feature,
        run_id=ended.run_id,
        hold_id=ended.id,
        price_version=ended.price_version,
        cycle=ended.cycle,
    )
