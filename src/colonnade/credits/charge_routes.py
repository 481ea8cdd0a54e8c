"""How HTTP says charges: one for a single call, by its reference for ever, and given back."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.credits import charging
from colonnade.credits.charge_model import Charge, Done, Refund
from colonnade.credits.charge_shapes import (
    ChargeCredits,
    ChargeShown,
    FindByReference,
    RefundCredits,
    RefundShown,
    again,
)
from colonnade.credits.orders import Kept
from colonnade.credits.settling import TILL_STATE, CreditTill
from colonnade.ground.web import Call, PageOf, Who, access, call_of, router

routes = router("Credits")


def till_of(call: Call) -> CreditTill:
    """The till of this process."""
    till: CreditTill = getattr(call.request.app.state, TILL_STATE)
    return till


def kept_by(call: Call, answer: Callable[[Call, Done], Response]) -> Kept | None:
    """The request's `Idempotency-Key`, if it has one, with the answer that is to be stored under it."""
    keeping = call.queued()
    return None if keeping is None else Kept(keeping, lambda done: answer(call, done))


def _charged(call: Call, done: Done) -> Response:
    assert isinstance(done.made, Charge), "a charge came out as something else"
    location = {"Location": f"/v1/credits/charges/{done.made.id}"}
    return call.answer(201 if done.is_new else 200, ChargeShown.of(done.made), headers=location)


def _refunded(call: Call, done: Done) -> Response:
    assert isinstance(done.made, Refund), "a refund came out as something else"
    return call.answer(201 if done.is_new else 200, RefundShown.of(done.made))


@routes.post("/v1/credits/charges", status_code=201, response_model=ChargeShown, responses=again(ChargeShown))
@access(Who.ANY_KEY, "credits:charge")
async def charge(request: Request, body: ChargeCredits) -> Response:
    """Charge a single call.

    All caps and the pool that pays are checked together. The reference makes a repeat the same charge, for ever, which
    is answered with 200; a refused reference stays free.
    """
    call = call_of(request)
    done = await charging.charge(till_of(call), call.caller, body.wish(), kept=kept_by(call, _charged))
    return _charged(call, done)


@routes.get("/v1/credits/charges", response_model=PageOf[ChargeShown])
@access(Who.ANY_KEY, "credits:read")
async def find_charge(request: Request, query: Annotated[FindByReference, Query()]) -> Response:
    """Find a charge by its reference.

    The list holds the charge, or nothing: then nothing was charged.
    """
    call = call_of(request)
    async with call.reading() as tx:
        found = await charging.find_charge(tx, call.caller, source=query.source, reference=query.reference)
    data = [] if found is None else [ChargeShown.of(found)]
    return call.answer(200, PageOf[ChargeShown](data=data, next_cursor=None, total=len(data)))


@routes.get("/v1/credits/charges/{charge_id}", response_model=ChargeShown)
@access(Who.ANY_KEY, "credits:read")
async def read_charge(request: Request, charge_id: str) -> Response:
    """Read a charge."""
    call = call_of(request)
    async with call.reading() as tx:
        return call.answer(200, ChargeShown.of(await charging.get_charge(tx, call.caller, charge_id)))


@routes.post(
    "/v1/credits/charges/{charge_id}/refund",
    status_code=201,
    response_model=RefundShown,
    responses=again(RefundShown),
)
@access(Who.ANY_KEY, "credits:charge")
async def refund_charge(request: Request, charge_id: str, body: RefundCredits) -> Response:
    """Give a charge back, whole or in part.

    A correcting entry: the charge stays, and the credits go back to the grants that they came from.
    """
    call = call_of(request)
    async with call.reading() as tx:
        target = await charging.refundable(tx, call.caller, charge_id)
    done = await charging.refund(till_of(call), call.caller, target, body.wish(), kept=kept_by(call, _refunded))
    return _refunded(call, done)
