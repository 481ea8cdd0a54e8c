"""What is asked of the till: by whom, what, under which reference, and what is stored of the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from colonnade.credits.charge_model import TILL, CaptureWish, ChargeWish, Done, HoldWish, Priced, RefundWish, Target
from colonnade.credits.model import Hold, Quantity
from colonnade.ground.core.callers import Caller
from colonnade.ground.web.answers import Keeping


@dataclass(frozen=True, slots=True)
class Capturing:
    """So much of this hold was used."""

    hold: Hold
    wish: CaptureWish

    @property
    def feature(self) -> str:
        """What it was used for."""
        return self.wish.feature or self.hold.feature


@dataclass(frozen=True, slots=True)
class Releasing:
    """What is left of this hold goes back."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Refunding:
    """So much of this charge goes back."""

    target: Target
    wish: RefundWish


Ask = ChargeWish | HoldWish | Capturing | Releasing | Refunding


@dataclass(frozen=True, slots=True)
class Kept:
    """The `Idempotency-Key` of the request, and the answer that is to be stored under it."""

    keeping: Keeping
    answer: Callable[[Done], Response]


@dataclass(slots=True)
class Order:
    """One thing asked for. What has a reference happens once for it, however often it is asked for or repeated."""

    caller: Caller
    ask: Ask
    workspace_id: str
    source: str
    reference: str | None
    kept: Kept | None = None

    @property
    def agency_id(self) -> str:
        """Whose credits it moves."""
        return self.caller.reach.agency_id

    @property
    def key(self) -> tuple[str, str] | None:
        """Under what it is known for ever."""
        return None if self.reference is None else (self.source, self.reference)

    @property
    def asked_by(self) -> str | None:
        """Where its outcome can be read."""
        if isinstance(self.ask, Refunding):
            return f"/v1/credits/charges/{self.ask.target.charge.id}"
        if isinstance(self.ask, Releasing) or (self.source == TILL and isinstance(self.ask, Capturing)):
            return f"/v1/credits/holds/{self.ask.hold.id}"
        noun = "holds" if isinstance(self.ask, HoldWish) else "charges"
        return f"/v1/credits/{noun}?{urlencode({'reference': self.reference or '', 'source': self.source})}"


def is_same(one: Ask, other: Ask) -> bool:
    """Whether two orders under one reference ask for the same."""
    return _content(one) == _content(other)


def _content(ask: Ask) -> tuple[Any, ...]:
    if isinstance(ask, ChargeWish | HoldWish):
        priced = ask.priced
        return type(ask), ask.workspace_id, priced.feature, priced.credits, priced.quantity
    if isinstance(ask, Capturing):
        return type(ask), ask.hold.id, ask.feature, ask.wish.credits, ask.wish.quantity
    if isinstance(ask, Refunding):
        return type(ask), ask.target.charge.id, ask.wish.credits
    return type(ask), ask.hold.id


def is_of_movement(ask: Ask, known: Mapping[str, Any]) -> bool:
    """Whether the movement that the reference stands for is the one that is asked for."""
    kind, amount, quantity = known["kind"], known["amount"], known["quantity"]
    if isinstance(ask, ChargeWish):
        same_place = (ask.workspace_id, ask.priced.feature) == (known["workspace_id"], known["feature"])
        return kind == "charge" and same_place and _is_amount(ask.priced, amount, quantity)
    if isinstance(ask, Capturing):
        same_place = (ask.hold.id, ask.feature) == (known["hold_id"], known["feature"])
        priced = Priced(ask.feature, ask.wish.credits, ask.wish.quantity)
        return kind == "capture" and same_place and _is_amount(priced, amount, quantity)
    if isinstance(ask, Refunding):
        same_charge = bool(ask.target.charge.id == known["charge_id"])
        return kind == "refund" and same_charge and ask.wish.credits in {None, amount}
    return False


def is_of_hold(ask: Ask, hold: Hold) -> bool:
    """Whether the hold that the reference stands for is the one that is asked for."""
    if not isinstance(ask, HoldWish):
        return False
    same_place = (ask.workspace_id, ask.priced.feature) == (hold.workspace_id, hold.feature)
    return same_place and _is_amount(ask.priced, hold.amount, hold.quantity)


def _is_amount(priced: Priced, amount: int, quantity: Quantity | float | None) -> bool:
    if priced.credits is not None:
        return priced.credits == amount and quantity is None
    return quantity is not None and Decimal(priced.quantity or 0) == Decimal(str(quantity))
