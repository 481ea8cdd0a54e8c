"""Deciding orders one after the other on credits that are opened; each sees what those before it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from colonnade.credits.batches import Batch
from colonnade.credits.books import Movement, Signature, key_of
from colonnade.credits.charge_model import TILL, Charge, ChargeWish, HoldWish, Priced, Refund
from colonnade.credits.counting import returned, settling
from colonnade.credits.lots import Draw, give_back, within
from colonnade.credits.model import (
    AGENCY_POOL_ID,
    AccountKind,
    Hold,
    HoldState,
    PriceList,
    TransferKind,
    UsageEvent,
    account_id,
)
from colonnade.credits.orders import Capturing, Order, Refunding
from colonnade.credits.refusing import refusal
from colonnade.credits.rules import Allowed, Standing, Stopped, Wish, decide
from colonnade.credits.taking import take, taking
from colonnade.ground.core.amounts import ZERO, MilliCredits, to_number, to_text
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.tenancy import audit


@dataclass(slots=True)
class Desk:
    """Where the orders of one transaction are decided and gathered for writing. A refused one leaves nothing behind."""

    standing: Standing
    batch: Batch
    prices: PriceList
    refunded: dict[str, MilliCredits]
    """What was given back already, of the charges that orders are about."""

    def charge(self, order: Order, ask: ChargeWish) -> Charge:
        """Charge it, if all levels and the pool allow."""
        priced = ask.priced
        amount, unit_price = priced.cost(self.prices)
        wish = Wish(ask.workspace_id, priced.feature, amount, key_of(order.caller))
        allowed = self._allowed(wish)
        name, by = next(self.batch.charge_ids), Signature.of(order.caller)
        if allowed.borrowed:
            self._lend(TransferKind.BORROW, wish.workspace_id, allowed.borrowed, by, charge_id=name)
        movement = Movement(
            kind=TransferKind.CHARGE,
            amount=amount,
            from_account=allowed.pool_id,
            to_account=account_id(AccountKind.USED, wish.workspace_id),
            rule=allowed.rule,
            workspace_id=wish.workspace_id,
            reference=order.reference,
            source=order.source,
            feature=priced.feature,
            model=priced.model,
            quantity=priced.quantity,
            unit_price=unit_price,
            price_version=self.standing.price_version,
            cycle=self.standing.cycle.starts_on,
            grant_id=_lone(allowed.draws),
            draws=_several(allowed.draws),
        )
        self.batch.enter(movement, by, name)
        self._use(movement, name, by.key_id, ask.metadata)
        self.batch.record(order.caller, audit.Fact("credits.charged", name, wish.workspace_id))
        return self._charge(name, movement, by, allowed.borrowed)

    def hold(self, order: Order, ask: HoldWish) -> Hold:
        """Set it aside, if all levels and the pool allow."""
        priced = ask.priced
        amount, unit_price = priced.cost(self.prices)
        wish = Wish(ask.workspace_id, priced.feature, amount, key_of(order.caller), kind="hold")
        allowed = self._allowed(wish)
        held = Hold(
            id=new_id("hold"),
            workspace_id=wish.workspace_id,
            pool_id=allowed.pool_id,
            amount=amount,
            captured=ZERO,
            released=ZERO,
            state=HoldState.OPEN,
            reference=str(order.reference),
            feature=priced.feature,
            run_id=None,
            key_id=wish.key_id,
            cycle=self.standing.cycle.starts_on,
            expires_at=ask.expires_at,
            settled_at=None,
            created_at=self.batch.at,
            source=order.source,
            borrowed=allowed.borrowed,
            price_version=self.standing.price_version,
            unit_price=unit_price,
            quantity=priced.quantity,
            model=priced.model,
        )
        self._set_aside(order, held, allowed)
        after = {"credits": to_number(amount), "feature": held.feature, "reference": held.reference}
        self.batch.record(order.caller, audit.Fact("credits.held", held.id, held.workspace_id, after=after))
        return held

    def capture(self, order: Order, ask: Capturing) -> Charge:
        """Charge what was used of the hold, at most what is still held."""
        held = self.standing.holds[ask.hold.id]
        _require_open(held, self.standing.at)
        amount, unit_price = self._price_of(ask, held)
        left = held.amount - held.captured - held.released
        if amount > left:
            raise Refused(
                "credits.hold_exceeded",
                f"{to_text(amount)} credits were used, but only {to_text(left)} are still held.",
                details={"required": to_number(amount), "held": to_number(left)},
            )
        by = Signature.of(order.caller)
        drawn = within(self.standing.draws.get(held.id, ()), held.captured, amount)
        movement = Movement(
            kind=TransferKind.CAPTURE,
            amount=amount,
            from_account=account_id(AccountKind.HELD, held.workspace_id),
            to_account=account_id(AccountKind.USED, held.workspace_id),
            rule=held.pool_id,
            workspace_id=held.workspace_id,
            reference=order.reference,
            source=order.source,
            feature=ask.feature,
            model=ask.wish.model or held.model,
            quantity=ask.wish.quantity,
            unit_price=unit_price,
            price_version=held.price_version,
            cycle=held.cycle,
            hold_id=held.id,
            grant_id=_lone(drawn),
            draws=_several(drawn),
        )
        name = self.batch.enter(movement, by)
        self._use(movement, name, held.key_id, None)
        rest = MilliCredits(left - amount if ask.wish.release else 0)
        self._end(replace(held, captured=MilliCredits(held.captured + amount)), held, rest, by)
        self.batch.count(settling(held, {held.feature: amount}, rest))
        self.batch.record(order.caller, audit.Fact("credits.captured", name, held.workspace_id))
        return self._charge(name, movement, by, ZERO)

    def release(self, order: Order, hold_id: str) -> Hold:
        """Let what is left of the hold go back; one that has ended stays as it is."""
        held = self.standing.holds[hold_id]
        if held.state is not HoldState.OPEN:
            return held
        rest = MilliCredits(held.amount - held.captured)
        self._end(held, held, rest, Signature.of(order.caller), ends=True)
        self.batch.count(settling(held, {}, rest))
        after = {"released": to_number(rest)}
        self.batch.record(order.caller, audit.Fact("credits.released", held.id, held.workspace_id, after=after))
        return self.standing.holds[held.id]

    def refund(self, order: Order, ask: Refunding) -> Refund:
        """Give back what was charged, into the lots that it came from; what was drawn last returns first."""
        target, charge = ask.target, ask.target.charge
        before = self.refunded.get(charge.id, ZERO)
        left = MilliCredits(charge.credits - before)
        amount = left if ask.wish.credits is None else ask.wish.credits
        if not amount or amount > left:
            raise Refused(
                "credits.refund_exceeded",
                f"Of this charge of {to_text(charge.credits)} credits {to_text(left)} can still be given back.",
                details={"required": to_number(amount), "available": to_number(left)},
            )
        by = Signature.of(order.caller)
        parts = give_back(within(target.draws, 0, left), amount)
        lent = MilliCredits(sum(part.amount for part in parts if self._is_lent(part, target.pool_id)))
        movement = Movement(
            kind=TransferKind.REFUND,
            amount=amount,
            from_account=account_id(AccountKind.USED, charge.workspace_id),
            to_account=target.pool_id,
            rule=f"refund of {charge.id}",
            workspace_id=charge.workspace_id,
            reference=order.reference,
            source=order.source,
            feature=charge.feature,
            model=charge.model,
            charge_id=charge.id,
            cycle=target.cycle,
            run_id=charge.run_id,
            hold_id=charge.hold_id,
            grant_id=_lone(parts),
            draws=_several(parts),
        )
        name = self.batch.enter(movement, by)
        if lent:
            self._lend(TransferKind.RETURN, charge.workspace_id, lent, by, charge_id=charge.id)
        self.batch.give_back(parts)
        undone = Wish(charge.workspace_id, target.feature, MilliCredits(-amount), target.key_id)
        self.batch.count(taking(undone, Allowed(target.pool_id, (), MilliCredits(-lent), ""), target.cycle))
        self._use(replace(movement, amount=MilliCredits(-amount), quantity=0), name, target.key_id, None)
        self.refunded[charge.id] = MilliCredits(before + amount)
        after = {"credits": to_number(amount), "chargeId": charge.id, "note": ask.wish.note}
        self.batch.record(order.caller, audit.Fact("credits.refunded", charge.id, charge.workspace_id, after=after))
        told = None if order.source == TILL else order.reference
        return Refund(name, amount, told, charge.id, self.refunded[charge.id], self.batch.at)

    def _allowed(self, wish: Wish) -> Allowed:
        decided = decide(self.standing, wish)
        if isinstance(decided, Stopped):
            raise refusal(decided)
        take(self.standing, wish, decided)
        return decided

    def _price_of(self, ask: Capturing, held: Hold) -> tuple[MilliCredits, MilliCredits | None]:
        """Work goes on at the price of its beginning; what was not foreseen costs what it costs now."""
        quantity = ask.wish.quantity
        if quantity is not None and ask.feature == held.feature and held.unit_price is not None:
            return PriceList(own={held.feature: held.unit_price}).cost(held.feature, quantity), held.unit_price
        return Priced(ask.feature, ask.wish.credits, quantity).cost(self.prices)

    def _set_aside(self, order: Order, held: Hold, allowed: Allowed) -> None:
        by = Signature.of(order.caller)
        if allowed.borrowed:
            self._lend(TransferKind.BORROW, held.workspace_id, allowed.borrowed, by, hold_id=held.id)
        self.batch.put_aside(held, allowed.draws)
        self.standing.draws[held.id] = allowed.draws
        if held.amount:
            self.batch.enter(_holding(held, allowed.rule), by)

    def _end(self, now: Hold, before: Hold, rest: MilliCredits, by: Signature, *, ends: bool = False) -> None:
        """Write how the hold stands now; the rest of it goes back to the lots that it was drawn from last."""
        held = replace(now, released=rest)
        if ends or rest or held.captured == held.amount:
            held = replace(held, state=HoldState.SETTLED if held.captured else HoldState.RELEASED)
        self.batch.change(held)
        if not rest:
            return
        self.batch.enter(_returning(before, rest), by)
        lent = returned(before, rest)
        if lent:
            self._lend(TransferKind.RETURN, before.workspace_id, lent, by, hold_id=before.id)
        self.batch.give_back(give_back(self.standing.draws.get(before.id, ()), rest))

    def _lend(
        self,
        kind: TransferKind,
        workspace_id: str,
        amount: MilliCredits,
        by: Signature,
        *,
        charge_id: str | None = None,
        hold_id: str | None = None,
    ) -> None:
        own = account_id(AccountKind.POOL, workspace_id)
        lender, borrower = (AGENCY_POOL_ID, own) if kind is TransferKind.BORROW else (own, AGENCY_POOL_ID)
        movement = Movement(
            kind=kind,
            amount=amount,
            from_account=lender,
            to_account=borrower,
            rule="borrowLimit",
            workspace_id=workspace_id,
            charge_id=charge_id,
            hold_id=hold_id,
        )
        self.batch.enter(movement, by)

    def _is_lent(self, part: Draw, pool_id: str) -> bool:
        return pool_id != AGENCY_POOL_ID and self.standing.pool(AGENCY_POOL_ID).has(part.grant_id)

    def _use(self, charged: Movement, name: str, key_id: str | None, metadata: Mapping[str, object] | None) -> None:
        """Tell the usage what was charged."""
        self.batch.events.append(
            UsageEvent(
                id=next(self.batch.event_ids),
                workspace_id=str(charged.workspace_id),
                at=self.batch.at,
                feature=str(charged.feature),
                cycle=charged.cycle or self.standing.cycle.starts_on,
                credits=charged.amount,
                quantity=1 if charged.quantity is None else charged.quantity,
                key_id=key_id,
                model=charged.model,
                run_id=charged.run_id,
                hold_id=charged.hold_id,
                transfer_id=name,
                metadata=metadata or {},
            )
        )

    def _charge(self, name: str, charged: Movement, by: Signature, borrowed: MilliCredits) -> Charge:
        return Charge(
            id=name,
            workspace_id=str(charged.workspace_id),
            feature=str(charged.feature),
            model=charged.model,
            credits=charged.amount,
            quantity=None if charged.quantity is None else Decimal(charged.quantity),
            source=charged.source,
            reference=None if charged.source == TILL else charged.reference,
            rule=charged.rule,
            price_version=charged.price_version,
            borrowed=borrowed,
            pool_id=charged.from_account if charged.hold_id is None else charged.rule,
            refunded=ZERO,
            hold_id=charged.hold_id,
            run_id=None,
            key_id=by.key_id,
            at=self.batch.at,
        )


def _lone(draws: Sequence[Draw]) -> str | None:
    """The grant that all of it was drawn from, as it mostly is."""
    return draws[0].grant_id if len(draws) == 1 else None


def _several(draws: Sequence[Draw]) -> Sequence[Draw]:
    return draws if len(draws) > 1 else ()


def _require_open(held: Hold, at: datetime) -> None:
    if held.state is not HoldState.OPEN or (held.expires_at is not None and held.expires_at <= at):
        raise Refused(
            "credits.hold_ended",
            "This hold has ended, or its time is over; nothing more of it can be captured.",
            details={"state": held.state.value, "captured": to_number(held.captured)},
        )


def _holding(held: Hold, rule: str) -> Movement:
    return Movement(
        kind=TransferKind.HOLD,
        amount=held.amount,
        from_account=held.pool_id,
        to_account=account_id(AccountKind.HELD, held.workspace_id),
        rule=rule,
        workspace_id=held.workspace_id,
        feature=held.feature,
        hold_id=held.id,
        price_version=held.price_version,
        cycle=held.cycle,
    )


def _returning(held: Hold, rest: MilliCredits) -> Movement:
    return Movement(
        kind=TransferKind.RELEASE,
        amount=rest,
        from_account=account_id(AccountKind.HELD, held.workspace_id),
        to_account=held.pool_id,
        rule=held.pool_id,
        workspace_id=held.workspace_id,
        reference=held.id,
        feature=held.feature,
        hold_id=held.id,
        cycle=held.cycle,
    )
