"""Settling orders of the till: one transaction opens an agency's credits, decides order by order, and writes all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from colonnade.credits import charge_store, price_store
from colonnade.credits.batches import Batch
from colonnade.credits.books import Signature, key_of
from colonnade.credits.charge_model import TILL, ChargeWish, Done, HoldWish, Refund, reused
from colonnade.credits.deciding import Desk
from colonnade.credits.model import PriceList
from colonnade.credits.orders import Ask, Capturing, Order, Refunding, Releasing, is_of_hold, is_of_movement, is_same
from colonnade.credits.refusing import archived
from colonnade.credits.rules import Known, Standing
from colonnade.credits.standing import Wanted, open_standing
from colonnade.credits.till import Till
from colonnade.ground.core.amounts import ZERO, MilliCredits
from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.db.database import Database, Tx
from colonnade.ground.web import answers
from colonnade.ground.web.answers import Answer

CreditTill = Till[Order, Done]

TILL_STATE: Final = "till"
"""The name under which the application's state holds the till of its process."""


def open_till(database: Database) -> CreditTill:
    """The till of a process: what charges, holds and refunds by API are asked of."""
    return Till(database, settle)


async def settle(tx: Tx, orders: Sequence[Order]) -> Sequence[Done | Exception]:
    """Decide the orders in their turn, and write what was allowed. One that is refused leaves nothing behind.

    An order that was carried out before, with this reference or this `Idempotency-Key`, has the same outcome again.
    """
    outcomes: list[Done | Exception | None] = [None] * len(orders)
    await _replay(tx, orders, outcomes)
    waiting = [(place, order) for place, order in enumerate(orders) if outcomes[place] is None]
    if not waiting:
        return [one for one in outcomes if one is not None]
    counter = await _opened(tx, [order for _, order in waiting])
    for place, order in waiting:
        outcomes[place] = counter.outcome(order)
    await counter.desk.batch.write(tx)
    await _keep(tx, orders, outcomes)
    return [one for one in outcomes if one is not None]


async def _replay(tx: Tx, orders: Sequence[Order], outcomes: list[Done | Exception | None]) -> None:
    kept = [(place, order.kept.keeping) for place, order in enumerate(orders) if order.kept is not None]
    if not kept:
        return
    found = await answers.find(tx, [keeping for _, keeping in kept])
    seen: set[str] = set()
    for (place, keeping), ended in zip(kept, found, strict=True):
        outcomes[place] = ended
        name = keeping.lock(tx.agency_id)
        if ended is None and name in seen:  # twice in one batch: the second comes while the first is under way
            outcomes[place] = answers.still_running()
        seen.add(name)


async def _keep(tx: Tx, orders: Sequence[Order], outcomes: Sequence[Done | Exception | None]) -> None:
    made = [
        Answer(order.kept.keeping, order.kept.answer(outcome))
        for order, outcome in zip(orders, outcomes, strict=True)
        if order.kept is not None and isinstance(outcome, Done)
    ]
    await answers.keep(tx, made)


async def _opened(tx: Tx, orders: Sequence[Order]) -> "_Counter":
    standing = await open_standing(tx, _wanted(orders), locking=True)
    batch = Batch(standing, Signature.of(orders[0].caller))
    names = {order.ask.target.charge.id for order in orders if isinstance(order.ask, Refunding)}
    names |= {row["charge_id"] or row["id"] for row in standing.known.values()}
    moved = await charge_store.moved(tx, names) if names else {}
    refunded = {name: back for name, (back, _) in moved.items()}
    borrowed = {name: lent for name, (_, lent) in moved.items()}
    return _Counter(Desk(standing, batch, await _prices(tx, standing), refunded), borrowed)


def _wanted(orders: Sequence[Order]) -> Wanted:
    asks = [order.ask for order in orders]
    return Wanted(
        workspaces={order.workspace_id for order in orders},
        features={_feature_of(ask) for ask in asks},
        keys={key for order in orders if (key := key_of(order.caller)) is not None},
        references={order.key for order in orders if order.key is not None},
        holds={ask.hold.id for ask in asks if isinstance(ask, Capturing | Releasing)},
        grants={draw.grant_id for ask in asks if isinstance(ask, Refunding) for draw in ask.target.draws},
    )


def _feature_of(ask: Ask) -> str:
    if isinstance(ask, ChargeWish | HoldWish):
        return ask.priced.feature
    return ask.target.feature if isinstance(ask, Refunding) else ask.hold.feature


_prices_of: dict[str, PriceList] = {}
"""Price lists by agency: each is good as long as the database says that no other version is in force."""

_MOST_LISTS = 10_000


async def _prices(tx: Tx, standing: Standing) -> PriceList:
    """The prices in force."""
    known = _prices_of.get(tx.agency_id)
    if known is not None and known.version == standing.price_version:
        return known
    if len(_prices_of) >= _MOST_LISTS:
        _prices_of.clear()
    _prices_of[tx.agency_id] = await price_store.in_force(tx)
    return _prices_of[tx.agency_id]


class _Counter:
    """Who takes the orders in their turn: repeats are answered, what is out of reach is refused, the rest decided."""

    def __init__(self, desk: Desk, borrowed: dict[str, MilliCredits]) -> None:
        self.desk = desk
        self._borrowed = borrowed
        self._done: dict[tuple[str, str], tuple[Ask, Done]] = {}

    def outcome(self, order: Order) -> Done | Exception:
        """What comes of the order."""
        try:
            return self._outcome(order)
        except Refused as refused:
            return refused

    def _outcome(self, order: Order) -> Done:
        standing = self.desk.standing
        terms = standing.terms.get(order.workspace_id)
        if terms is None or not order.caller.reach.includes(order.workspace_id):
            raise BadField("/workspaceId", "is not a workspace within this key's reach")
        repeated = None if order.key is None else self._repeated(order, order.key)
        if repeated is not None:
            return repeated
        if terms.is_archived:
            raise archived(order.workspace_id)
        done = Done(self._made(order), is_new=True)
        if order.key is not None:
            self._done[order.key] = order.ask, done
        return done

    def _made(self, order: Order) -> Any:
        ask, desk = order.ask, self.desk
        if isinstance(ask, ChargeWish):
            return desk.charge(order, ask)
        if isinstance(ask, HoldWish):
            return desk.hold(order, ask)
        if isinstance(ask, Capturing):
            return desk.capture(order, ask)
        if isinstance(ask, Refunding):
            return desk.refund(order, ask)
        return desk.release(order, ask.hold.id)

    def _repeated(self, order: Order, key: tuple[str, str]) -> Done | None:
        if key in self._done:
            ask, done = self._done[key]
            if not is_same(ask, order.ask):
                raise reused(order.ask)
            return replace(done, is_new=False)
        known = self.desk.standing.known.get(key)
        if known is not None:
            if not is_of_movement(order.ask, known):
                raise reused(order.ask)
            return Done(self._known(known), is_new=known["request_id"] == order.caller.request_id)
        held = self.desk.standing.held.get(key)
        if held is None:
            return None
        if not is_of_hold(order.ask, held):
            raise reused(order.ask)
        return Done(held, is_new=False)

    def _known(self, known: Known) -> Any:
        told = dict(known)
        if told["kind"] == "refund":
            amount, back = MilliCredits(told["amount"]), self.desk.refunded.get(told["charge_id"], ZERO)
            reference = None if told["source"] == TILL else told["reference"]
            return Refund(told["id"], amount, reference, told["charge_id"], back, charge_store.instant_of(told))
        told["refunded"] = self.desk.refunded.get(told["id"], ZERO)
        told["borrowed"] = self._borrowed.get(told["id"], ZERO)
        return charge_store.to_charge(told)
