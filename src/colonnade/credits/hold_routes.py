"""How HTTP says holds: an upper bound set aside, what was used of it captured, the rest released."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.credits import charging
from colonnade.credits.charge_model import Charge, Done
from colonnade.credits.charge_routes import kept_by, till_of
from colonnade.credits.charge_shapes import CaptureCredits, ChargeShown, FindByReference, HoldCredits, HoldShown, again
from colonnade.credits.model import Hold
from colonnade.ground.web import Call, PageOf, Who, access, call_of, router

routes = router("Credits")


def _held(call: Call, done: Done) -> Response:
    assert isinstance(done.made, Hold), "a hold came out as something else"
    location = {"Location": f"/v1/credits/holds/{done.made.id}"}
    return call.answer(201 if done.is_new else 200, HoldShown.of(done.made), headers=location)


def _captured(call: Call, done: Done) -> Response:
    assert isinstance(done.made, Charge), "a capture came out as something else"
    location = {"Location": f"/v1/credits/charges/{done.made.id}"}
    return call.answer(201 if done.is_new else 200, ChargeShown.of(done.made), headers=location)


def _released(call: Call, done: Done) -> Response:
    assert isinstance(done.made, Hold), "a release came out as something else"
    return call.answer(200, HoldShown.of(done.made))


@routes.post("/v1/credits/holds", status_code=201, response_model=HoldShown, responses=again(HoldShown))
@access(Who.ANY_KEY, "credits:charge")
async def hold(request: Request, body: HoldCredits) -> Response:
    """Hold credits for work to come.

    Hold an upper bound; capture what was used; what is left goes back when it is released, and by itself in the end.
    The reference makes a repeat the same hold, for ever, which is answered with 200.
    """
    call = call_of(request)
    return _held(call, await charging.hold(till_of(call), call.caller, body.wish(), kept=kept_by(call, _held)))


@routes.get("/v1/credits/holds", response_model=PageOf[HoldShown])
@access(Who.ANY_KEY, "credits:read")
async def find_hold(request: Request, query: Annotated[FindByReference, Query()]) -> Response:
    """Find a hold by its reference.

    The list has the hold in it, or nothing.
    """
    call = call_of(request)
    async with call.reading() as tx:
        found = await charging.find_hold(tx, call.caller, source=query.source, reference=query.reference)
    data = [] if found is None else [HoldShown.of(found)]
    return call.answer(200, PageOf[HoldShown](data=data, next_cursor=None, total=len(data)))


@routes.get("/v1/credits/holds/{hold_id}", response_model=HoldShown)
@access(Who.ANY_KEY, "credits:read")
async def read_hold(request: Request, hold_id: str) -> Response:
    """Read a hold."""
    call = call_of(request)
    async with call.reading() as tx:
        return call.answer(200, HoldShown.of(await charging.get_hold(tx, call.caller, hold_id)))


@routes.post(
    "/v1/credits/holds/{hold_id}/capture",
    status_code=201,
    response_model=ChargeShown,
    responses=again(ChargeShown),
)
@access(Who.ANY_KEY, "credits:charge")
async def capture(request: Request, hold_id: str, body: CaptureCredits) -> Response:
    """Capture what was used of a hold.

    At most what is still held. Without a reference a hold is captured once: the same again is the same capture. With
    one it is captured in parts, each under a reference of its own.
    """
    call = call_of(request)
    async with call.reading() as tx:
        held = await charging.own_hold(tx, call.caller, hold_id)
    done = await charging.capture(till_of(call), call.caller, held, body.wish(), kept=kept_by(call, _captured))
    return _captured(call, done)


@routes.post("/v1/credits/holds/{hold_id}/release", response_model=HoldShown)
@access(Who.ANY_KEY, "credits:charge")
async def release(request: Request, hold_id: str) -> Response:
    """Release what is left of a hold.

    What was captured stays charged. Releasing again changes nothing.
    """
    call = call_of(request)
    async with call.reading() as tx:
        held = await charging.own_hold(tx, call.caller, hold_id)
    done = await charging.release(till_of(call), call.caller, held, kept=kept_by(call, _released))
    return _released(call, done)
