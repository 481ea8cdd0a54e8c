"""Charges and holds that an agency's own services ask for: what is wished, what came of it, what makes a repeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from colonnade.credits.lots import Draw
from colonnade.credits.model import HOUSE, Hold, PriceList
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import BadField, Refused

TILL: Final = "till"
"""The source of what came without a reference and is known by one of ours."""

RESERVED: Final = frozenset({HOUSE, TILL})
"""Sources that no caller may name."""


@dataclass(frozen=True, slots=True)
class Priced:
    """So much of a feature: named as credits, or as a quantity that the price list turns into credits."""

    feature: str
    credits: MilliCredits | None = None
    quantity: Decimal | None = None
    model: str | None = None

    def cost(self, prices: PriceList) -> tuple[MilliCredits, MilliCredits | None]:
        """What it costs, and the price of a unit where a price was asked for."""
        if self.credits is not None:
            return self.credits, None
        try:
            return prices.cost(self.feature, self.quantity or 0), prices.of(self.feature)
        except KeyError:
            raise BadField("/feature", "has no price: charge it by `credits`, or set a price for it") from None


@dataclass(frozen=True, slots=True)
class ChargeWish:
    """A single call to be charged to a workspace; source and reference make a repeat the same charge."""

    workspace_id: str
    priced: Priced
    reference: str
    source: str = "api"
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class HoldWish:
    """Credits to be set aside for work of one's own services; they go back by themselves at `expires_at`."""

    workspace_id: str
    priced: Priced
    reference: str
    source: str = "api"
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaptureWish:
    """What was used of a hold; with `release` the rest of it goes back at once."""

    credits: MilliCredits | None = None
    quantity: Decimal | None = None
    feature: str | None = None
    model: str | None = None
    reference: str | None = None
    source: str = "api"
    release: bool = False


@dataclass(frozen=True, slots=True)
class RefundWish:
    """What of a charge is given back: all that is left of it, or so much."""

    credits: MilliCredits | None = None
    reference: str | None = None
    source: str = "api"
    note: str | None = None


@dataclass(slots=True)  # many of them in a moment: frozen ones take longer to make
class Charge:
    """Credits that were charged, and what was given back of them since."""

    id: str
    workspace_id: str
    feature: str
    model: str | None
    credits: MilliCredits
    quantity: Decimal | None
    source: str
    reference: str | None
    rule: str
    price_version: int | None
    borrowed: MilliCredits
    """What of it the agency's pool lent to the workspace's own."""
    pool_id: str
    refunded: MilliCredits
    hold_id: str | None
    run_id: str | None
    key_id: str | None
    at: datetime

    @property
    def left(self) -> MilliCredits:
        """What may still be given back."""
        return MilliCredits(self.credits - self.refunded)


@dataclass(frozen=True, slots=True)
class Refund:
    """Credits that were given back, and the charge as it stands since."""

    id: str
    credits: MilliCredits
    reference: str | None
    charge_id: str
    refunded: MilliCredits
    at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """A charge that may be given back: who it is counted for, and the lots that it drew on, in that order."""

    charge: Charge
    key_id: str | None
    feature: str
    pool_id: str
    cycle: date
    draws: tuple[Draw, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order, and whether this order made it or an earlier one with the same reference."""

    made: Charge | Hold | Refund
    is_new: bool


def reused(ask: object) -> Refused:
    """The refusal of a reference that stands for something else already."""
    what = "hold" if isinstance(ask, HoldWish) else "charge"
    return Refused(
        "credits.reference_reused",
        f"This reference already stands for something else than this {what}: another workspace, feature, amount or "
        "kind. Use a fresh one.",
    )
