"""Holding credits for work to come, and settling a hold for what the work used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from colonnade.credits import hold_store, pricing, store, usage_store
from colonnade.credits.books import Account, Books, Movement, Signature, key_of
from colonnade.credits.lots import Draw, Pool, give_back
from colonnade.credits.model import (
    ISSUED_ID,
    AccountKind,
    Hold,
    HoldRequest,
    HoldState,
    Settled,
    Source,
    TransferKind,
    UsageLine,
    account_id,
)
from colonnade.credits.terms import Terms, terms
from colonnade.ground.core.amounts import ZERO, MilliCredits, to_number, to_text
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit


@dataclass(slots=True)
class _Round:
    """One batch of holds being decided: pools are locked, draws gathered, nothing written yet."""

    terms: Terms
    at: datetime
    key_id: str | None
    pools: dict[str, Pool]
    known: dict[str, Hold]
    fresh: list[Hold] = field(default_factory=list)
    draws: dict[str, list[Draw]] = field(default_factory=dict)

    def decide(self, request: HoldRequest) -> Hold | Refused:
        """The outcome of this one request, after those before it."""
        known = self.known.get(request.reference)
        if known is not None:
            return known if known.is_of(request) else hold_store.reference_reused()
        if request.workspace_id not in self.terms.sources:
            return NotFound("workspace")
        pool = self.pools[self.terms.pool_of(request.workspace_id)]
        draws = pool.draw(request.amount, self.at)
        if draws is None:
            return exhausted(request.amount, pool.available(self.at), self.terms.source_of(request.workspace_id))
        return self._set_aside(request, pool, draws)

    def _set_aside(self, request: HoldRequest, pool: Pool, draws: list[Draw]) -> Hold:
        hold = Hold(
            id=new_id("hold"),
            workspace_id=request.workspace_id,
            pool_id=pool.id,
            amount=request.amount,
            captured=ZERO,
            released=ZERO,
            state=HoldState.OPEN,
            reference=request.reference,
            feature=request.feature,
            run_id=request.run_id,
            key_id=self.key_id,
            cycle=self.terms.cycle(self.at).starts_on,
            expires_at=request.expires_at,
            settled_at=None,
            created_at=self.at,
        )
        self.known[request.reference] = hold
        self.fresh.append(hold)
        self.draws[hold.id] = draws
        return hold


def exhausted(required: MilliCredits, available: MilliCredits, source: Source) -> Refused:
    """The refusal of a pool that has too little."""
    return Refused(
        "credits.exhausted",
        f"This needs {to_text(required)} credits, and the {source.value}'s pool has {to_text(available)}. "
        "Grant or transfer credits, then try again.",
        details={"required": to_number(required), "available": to_number(available), "source": source.value},
    )


async def hold_many(tx: Tx, caller: Caller, requests: Sequence[HoldRequest]) -> list[Hold | Refused]:
    """Set credits aside for many pieces of work at once, each with an outcome of its own, in the given order.

    One that lacks credits fails alone. A reference that was held before is the same hold again, never a second one.
    """
    caller.require("runs:start")
    if not requests:
        return []
    in_force = await terms(tx, {request.workspace_id for request in requests})
    async with tx.widened() as whole:
        batch, outcomes = await _hold(whole, caller, in_force, requests)
    await audit.record_all(tx, [(caller, _held(hold)) for hold in batch.fresh])
    return outcomes


async def hold(tx: Tx, caller: Caller, request: HoldRequest) -> Hold:
    """Set credits aside for one piece of work; refuses with what is missing when the pool has too little."""
    caller.require("runs:start")
    (outcome,) = await hold_many(tx, caller, [request])
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


async def _hold(
    whole: Tx, caller: Caller, in_force: Terms, requests: Sequence[HoldRequest]
) -> tuple[_Round, list[Hold | Refused]]:
    at = await whole.now()
    accounts = await store.lock_accounts(whole, {in_force.pool_of(name) for name in in_force.sources})
    pools = await store.pools(whole, [account.id for account in accounts])
    known = await hold_store.by_reference(whole, {request.reference for request in requests})
    batch = _Round(in_force, at, key_of(caller), pools, known)
    expired = {pool.id: pool.expire(at) for pool in pools.values()}
    outcomes = [batch.decide(request) for request in requests]
    await _write(whole, caller, batch, accounts, expired)
    return batch, outcomes


async def _write(
    whole: Tx, caller: Caller, batch: _Round, accounts: list[Account], expired: Mapping[str, Sequence[Draw]]
) -> None:
    holds = [hold for hold in batch.fresh if hold.amount]
    others = {account_id(AccountKind.HELD, hold.workspace_id) for hold in holds}
    others |= {ISSUED_ID for draws in expired.values() if draws}
    books = Books(accounts + await store.lock_accounts(whole, others))
    for pool_name, draws in expired.items():
        enter_expired(books, pool_name, draws)
    price_version = (await pricing.price_list(whole)).version
    for hold in holds:
        books.enter(_holding(hold, price_version))
    await store.set_remaining(whole, _changes(batch.pools.values()), batch.at)
    await hold_store.add(whole, batch.draws, batch.fresh)
    await store.write_books(whole, books, Signature.of(caller, batch.at))


def _changes(pools: Iterable[Pool]) -> dict[str, int]:
    return {grant_id: remaining for pool in pools for grant_id, remaining in pool.changes().items()}


def enter_expired(books: Books, pool_name: str, draws: Sequence[Draw]) -> None:
    """Enter that what remained of expired grants is no longer issued."""
    workspace_id = books.accounts[pool_name].workspace_id
    for draw in draws:
        books.enter(
            Movement(
                kind=TransferKind.EXPIRE,
                amount=draw.amount,
                from_account=pool_name,
                to_account=ISSUED_ID,
                rule="grant expired",
                workspace_id=workspace_id,
                grant_id=draw.grant_id,
            )
        )


def _holding(hold: Hold, price_version: int) -> Movement:
    return Movement(
        kind=TransferKind.HOLD,
        amount=hold.amount,
        from_account=hold.pool_id,
        to_account=account_id(AccountKind.HELD, hold.workspace_id),
        rule=hold.pool_id,
        workspace_id=hold.workspace_id,
        reference=hold.reference,
        feature=hold.feature,
        run_id=hold.run_id,
        hold_id=hold.id,
        price_version=price_version,
    )


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
    """Give the whole hold back, for work that does not happen; what was settled before stays settled."""
    caller.require("runs:cancel")
    return await _settle(tx, caller, hold_id, ())


async def _settle(tx: Tx, caller: Caller, hold_id: str, lines: Sequence[UsageLine]) -> Settled:
    held = await hold_store.lock(tx, hold_id)
    if held is None:
        raise NotFound("hold")
    if held.settled_at is not None:
        return Settled(held.id, held.captured, held.released, held.settled_at)
    settled = _settlement(held, lines, await tx.now())
    charges = await _move(tx, caller, held, settled, _by_feature(lines))
    await usage_store.add(
        tx,
        held,
        [_event(line, charges) for line in lines],
        at=settled.settled_at,
        day=(await terms(tx)).day(settled.settled_at),
    )
    await hold_store.end(tx, held, settled)
    after = {"captured": to_number(settled.captured), "released": to_number(settled.released)}
    await audit.record(tx, caller, "credits.settled", held.id, workspace_id=held.workspace_id, after=after)
    return settled


def _settlement(held: Hold, lines: Sequence[UsageLine], at: datetime) -> Settled:
    captured = MilliCredits(sum(line.credits for line in lines))
    if captured > held.amount:
        raise Refused(
            "credits.hold_exceeded",
            f"{to_text(captured)} credits were used, but only {to_text(held.amount)} were held.",
            details={"required": to_number(captured), "held": to_number(held.amount)},
        )
    return Settled(held.id, captured, MilliCredits(held.amount - captured), at)


def _by_feature(lines: Sequence[UsageLine]) -> dict[str, MilliCredits]:
    sums: dict[str, MilliCredits] = {}
    for line in lines:
        sums[line.feature] = MilliCredits(sums.get(line.feature, 0) + line.credits)
    return {feature: total for feature, total in sums.items() if total}


def _event(line: UsageLine, charges: Mapping[str, str]) -> usage_store.Event:
    transfer_id = charges.get(line.feature) if line.credits else None
    return usage_store.Event(new_id("evt"), line.feature, line.model, transfer_id, line.credits, line.quantity)


async def _move(
    tx: Tx, caller: Caller, held: Hold, settled: Settled, charges: Mapping[str, MilliCredits]
) -> dict[str, str]:
    """Enter the charges and the release; the transfer of each feature. A hold that is used up leaves the pool alone."""
    if not held.amount:
        return {}
    parts = give_back(await hold_store.lots(tx, held), settled.released)
    async with tx.widened() as whole:
        pool = await store.lock_accounts(whole, {held.pool_id} if settled.released else ())
        own = {account_id(kind, held.workspace_id) for kind in (AccountKind.HELD, AccountKind.USED)}
        books = Books(pool + await store.lock_accounts(whole, own))
        entered = {feature: books.enter(_charge(held, feature, amount)) for feature, amount in charges.items()}
        if settled.released:
            books.enter(_return(held, settled.released))
        await store.give_back(whole, parts, settled.settled_at)
        await store.write_books(whole, books, Signature.of(caller, settled.settled_at))
    return entered


def _charge(held: Hold, feature: str, amount: MilliCredits) -> Movement:
    return Movement(
        kind=TransferKind.CAPTURE,
        amount=amount,
        from_account=account_id(AccountKind.HELD, held.workspace_id),
        to_account=account_id(AccountKind.USED, held.workspace_id),
        rule=held.pool_id,
        workspace_id=held.workspace_id,
        reference=f"{held.id}:{feature}",
        feature=feature,
        run_id=held.run_id,
        hold_id=held.id,
    )


def _return(held: Hold, amount: MilliCredits) -> Movement:
    return Movement(
        kind=TransferKind.RELEASE,
        amount=amount,
        from_account=account_id(AccountKind.HELD, held.workspace_id),
        to_account=held.pool_id,
        rule=held.pool_id,
        workspace_id=held.workspace_id,
        reference=held.id,
        feature=held.feature,
        run_id=held.run_id,
        hold_id=held.id,
    )
