"""How HTTP says prices: what a unit of each feature costs the agency."""

from typing import Final, Literal

from fastapi import Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import PRICES, PriceList
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import Refused
from colonnade.ground.web import Amount, Body, Credits, Shown, Who, access, call_of, entity_tag, examples, router

GRANTS_BY_OPERATOR: Final = "grants_by_operator"
"""The name under which the application's state says that no key may grant credits or set prices; absent, keys may."""

routes = router("Credits")

OWN_UNIT: Final = "unit"
"""What a feature of the agency's own is counted in."""


class SetPrices(Body):
    """All of the agency's own prices."""

    model_config = examples({"prices": {"generation": 12.5, "photo_shoot": 40}}, {"prices": {}})
    prices: dict[str, Credits | None] = Field(
        description="For each feature the credits of one unit. What is not named, or null, costs the default. Names "
        "that are not on the list are the agency's own features."
    )


class PriceShown(Shown):
    """What one unit of a feature costs."""

    feature: str
    credits: Amount
    unit: str
    source: Literal["agency", "default"]


class PricesShown(Shown):
    """The prices in force."""

    version: int = Field(description="Grows with every change; 0 while the agency has set no price.")
    data: list[PriceShown]

    @classmethod
    def of(cls, prices: PriceList) -> "PricesShown":
        """The list as callers see it."""
        shown = [
            PriceShown(
                feature=feature,
                credits=prices.of(feature),
                unit=PRICES[feature].unit if feature in PRICES else OWN_UNIT,
                source="agency" if feature in prices.own else "default",
            )
            for feature in sorted({*PRICES, *prices.own})
        ]
        return cls(version=prices.version, data=shown)


async def refuse_if_operator_grants(request: Request) -> None:
    """Where credits are sold, an agency neither makes them nor says what they buy; a test twin's are worth nothing."""
    if getattr(request.app.state, GRANTS_BY_OPERATOR, False) and call_of(request).caller.mode == "live":
        raise Refused(
            "credits.operator_grants",
            "Here the operator of the installation grants credits and sets prices, not keys.",
        )


@routes.get("/v1/prices", response_model=PricesShown)
@access(Who.ANY_KEY, "credits:read")
async def read_prices(request: Request) -> Response:
    """Read the prices.

    What one unit of each feature costs this agency.
    """
    call = call_of(request)
    async with call.reading() as tx:
        prices = await credits.price_list(tx)
    return call.answer(200, PricesShown.of(prices), headers=entity_tag(prices.version))


@routes.put("/v1/prices", response_model=PricesShown, dependencies=[Depends(refuse_if_operator_grants)])
@access(Who.AGENCY, "credits:grant")
async def set_prices(request: Request, body: SetPrices) -> Response:
    """Set the agency's own prices.

    The whole list of them: a feature that is not in it costs the default again. Every change is a version, and what is
    charged keeps the version that it was charged by; work that has begun ends at the prices of its beginning.
    `If-Match` with the version guards against changing what somebody else has just changed.
    """
    call = call_of(request)
    wanted = {name: None if price is None else MilliCredits(price) for name, price in body.prices.items()}
    async with call.writing() as tx:
        prices = await credits.set_prices(tx, call.caller, wanted, expected_version=call.expected_version())
        return call.answer(200, PricesShown.of(prices), headers=entity_tag(prices.version))
