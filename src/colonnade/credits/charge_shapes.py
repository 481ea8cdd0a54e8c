"""Charges, holds and refunds as they come in and go out."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from colonnade.credits.charge_model import CaptureWish, Charge, ChargeWish, HoldWish, Priced, Refund, RefundWish
from colonnade.credits.model import AGENCY_POOL_ID, Hold
from colonnade.credits.naming import EXAMPLE_WORKSPACE
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import BadField
from colonnade.ground.web import Amount, Body, Credits, Flag, Instant, Shown, examples


def again(shown: type[Shown]) -> dict[int | str, dict[str, Any]]:
    """What the document says besides of an operation that answers 201: the same again is told what there is."""
    return {200: {"model": shown, "description": "Asked for before: as it was made then"}}


Feature = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="What the credits are for.")]
Reference = Annotated[
    str,
    Field(min_length=1, max_length=255, description="Yours: the same again with this source is never a second one."),
]
Source = Annotated[
    str, Field(min_length=1, max_length=100, description="Which of your services the reference is one of.")
]
Model = Annotated[str | None, Field(max_length=100, description="The model that was used, for usage by model.")]
SomeCredits = Annotated[Credits | None, Field(ge=0, description="Either this or `quantity`.")]
SomeQuantity = Annotated[
    Credits | None, Field(ge=0, description="Units of the feature, charged by the price list; at most three places.")
]
"""A quantity has the bounds and the places of an amount, so it is read as one."""


def _quantity(milli: int | None) -> Decimal | None:
    return None if milli is None else Decimal(milli) / 1000


def _one_of(credits: int | None, quantity: int | None) -> None:
    if (credits is None) == (quantity is None):
        raise BadField("/credits", "must be sent, or `quantity`, and not both")


def _milli(credits: int | None) -> MilliCredits | None:
    return None if credits is None else MilliCredits(credits)


class ChargeCredits(Body):
    """A single call to be charged."""

    model_config = examples(
        {"workspaceId": EXAMPLE_WORKSPACE, "feature": "image", "credits": 2.5, "reference": "image-4711"},
        {"workspaceId": EXAMPLE_WORKSPACE, "feature": "rank_check", "quantity": 4, "reference": "ranks-2026-02-01"},
    )
    workspace_id: str
    feature: Feature
    credits: SomeCredits = None
    quantity: SomeQuantity = None
    reference: Reference
    source: Source = "api"
    model: Model = None
    metadata: dict[str, Any] | None = Field(None, max_length=50, description="Kept with the usage event.")

    def wish(self) -> ChargeWish:
        """What is asked for."""
        _one_of(self.credits, self.quantity)
        priced = Priced(self.feature, _milli(self.credits), _quantity(self.quantity), self.model)
        return ChargeWish(self.workspace_id, priced, self.reference, self.source, self.metadata)


class HoldCredits(Body):
    """The upper bound of what work to come will use."""

    model_config = examples(
        {"workspaceId": EXAMPLE_WORKSPACE, "feature": "video", "credits": 40, "reference": "video-4711"}
    )
    workspace_id: str
    feature: Feature
    credits: SomeCredits = None
    quantity: SomeQuantity = None
    reference: Reference
    source: Source = "api"
    model: Model = None
    expires_at: Instant | None = Field(
        None, description="When what is still held goes back by itself: in 7 days, and at most in 90."
    )

    def wish(self) -> HoldWish:
        """What is asked for."""
        _one_of(self.credits, self.quantity)
        priced = Priced(self.feature, _milli(self.credits), _quantity(self.quantity), self.model)
        return HoldWish(self.workspace_id, priced, self.reference, self.source, self.expires_at)


class CaptureCredits(Body):
    """What was used of a hold."""

    model_config = examples({"credits": 31.5, "release": True}, {"credits": 10, "reference": "video-4711-part-1"})
    credits: SomeCredits = None
    quantity: SomeQuantity = None
    feature: Feature | None = Field(None, description="Absent: the hold's.")
    model: Model = None
    reference: Reference | None = Field(None, description="Needed to capture in several parts.")
    source: Source = "api"
    release: Flag = Field(default=False, description="Give the rest back at once.")

    def wish(self) -> CaptureWish:
        """What is asked for."""
        _one_of(self.credits, self.quantity)
        amounts = (_milli(self.credits), _quantity(self.quantity))
        return CaptureWish(*amounts, self.feature, self.model, self.reference, self.source, self.release)


class RefundCredits(Body):
    """What of a charge is given back."""

    model_config = examples({"note": "The image was never delivered"}, {"credits": 0.5, "reference": "refund-4711"})
    credits: Annotated[Credits | None, Field(gt=0)] = Field(None, description="Absent: all that is left of it.")
    reference: Reference | None = None
    source: Source = "api"
    note: str | None = Field(None, max_length=500)

    def wish(self) -> RefundWish:
        """What is asked for."""
        return RefundWish(_milli(self.credits), self.reference, self.source, self.note)


class FindByReference(Body):
    """Which one."""

    reference: Reference
    source: Source = "api"


class PaidShown(Shown):
    """Whose pool paid how much."""

    source: Literal["agency", "workspace"]
    credits: Amount


class ChargeShown(Shown):
    """Credits that were charged."""

    id: str
    workspace_id: str
    feature: str
    model: str | None
    credits: Amount
    quantity: Amount | None
    source: str = Field(description="`house` for what runs of the house were charged.")
    reference: str | None
    rule: str = Field(description="What allowed it: the pool that paid, and the cap that was nearest.")
    price_version: int | None
    paid_by: list[PaidShown]
    refunded: Amount
    hold_id: str | None
    invocation_id: str | None
    key_id: str | None
    created_at: Instant

    @classmethod
    def of(cls, charge: Charge) -> "ChargeShown":
        """The charge as callers see it."""
        return cls(
            id=charge.id,
            workspace_id=charge.workspace_id,
            feature=charge.feature,
            model=charge.model,
            credits=charge.credits,
            quantity=None if charge.quantity is None else int(charge.quantity * 1000),
            source=charge.source,
            reference=charge.reference,
            rule=charge.rule,
            price_version=charge.price_version,
            paid_by=list(_paid(charge)),
            refunded=charge.refunded,
            hold_id=charge.hold_id,
            invocation_id=charge.run_id,
            key_id=charge.key_id,
            created_at=charge.at,
        )


def _paid(charge: Charge) -> list[PaidShown]:
    if charge.pool_id == AGENCY_POOL_ID:
        return [PaidShown(source="agency", credits=charge.credits)]
    parts = [("workspace", charge.credits - charge.borrowed), ("agency", charge.borrowed)]
    return [PaidShown(source=source, credits=part) for source, part in parts if part]


class HoldShown(Shown):
    """Credits that are set aside, or were."""

    id: str
    workspace_id: str
    feature: str
    model: str | None
    amount: Amount
    captured: Amount
    released: Amount
    held: Amount = Field(description="What may still be captured.")
    state: Literal["open", "settled", "released"]
    source: str
    reference: str
    invocation_id: str | None
    key_id: str | None
    expires_at: Instant | None
    ended_at: Instant | None
    created_at: Instant

    @classmethod
    def of(cls, hold: Hold) -> "HoldShown":
        """The hold as callers see it."""
        return cls(
            id=hold.id,
            workspace_id=hold.workspace_id,
            feature=hold.feature,
            model=hold.model,
            amount=hold.amount,
            captured=hold.captured,
            released=hold.released,
            held=hold.amount - hold.captured - hold.released,
            state=hold.state.value,
            source=hold.source,
            reference=hold.reference,
            invocation_id=hold.run_id,
            key_id=hold.key_id,
            expires_at=hold.expires_at,
            ended_at=hold.settled_at,
            created_at=hold.created_at,
        )


class RefundShown(Shown):
    """Credits that were given back."""

    id: str
    charge_id: str
    credits: Amount
    reference: str | None
    refunded: Amount = Field(description="What was given back of the charge so far, this included.")
    created_at: Instant

    @classmethod
    def of(cls, refund: Refund) -> "RefundShown":
        """The refund as callers see it."""
        return cls(
            id=refund.id,
            charge_id=refund.charge_id,
            credits=refund.credits,
            reference=refund.reference,
            refunded=refund.refunded,
            created_at=refund.at,
        )
