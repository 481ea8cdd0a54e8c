"""How HTTP says caps: those of the agency, of a workspace and of a key, and what would stop a call."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import CapStatus
from colonnade.credits.naming import workspace_named
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.web import (
    Amount,
    Body,
    Call,
    Credits,
    Instant,
    Place,
    Shown,
    Who,
    access,
    call_of,
    examples,
    router,
)

routes = router("Credits")


class SetCap(Body):
    """The most that may be taken in a cycle."""

    model_config = examples({"credits": 1000}, {"credits": 250.5, "feature": "generation"})
    credits: Credits = Field(description="What is held and what is used count alike; 0 stops everything.")
    feature: str | None = Field(None, description="Absent: whatever the credits are for.")


class NameCap(Body):
    """Which of the caps."""

    feature: str | None = Field(None, description="Absent: the cap for everything.")


class CapShown(Shown):
    """A hard cap, and how it stands in the running cycle."""

    id: str
    level: Literal["agency", "workspace", "key"]
    workspace_id: str | None = Field(description="Of a key's cap: the workspace that the key belongs to, if to one.")
    key_id: str | None
    feature: str | None = Field(description="Null: whatever the credits are for.")
    credits: Amount
    used: Amount
    held: Amount
    available: Amount
    cycle_ends_at: Instant = Field(description="From when on it counts anew.")
    enforcement: Literal["hard"] = Field(description="Nothing is let through beyond it.")
    updated_at: Instant

    @classmethod
    def of(cls, status: CapStatus) -> "CapShown":
        """The cap as callers see it."""
        cap = status.cap
        return cls(
            id=cap.id,
            level=cap.level,
            workspace_id=cap.workspace_id,
            key_id=cap.key_id,
            feature=cap.feature,
            credits=cap.credits,
            used=status.used,
            held=status.held,
            available=status.available,
            cycle_ends_at=status.cycle_ends_at,
            enforcement="hard",
            updated_at=status.updated_at,
        )


class CapsShown(Shown):
    """The caps of one holder."""

    data: Sequence[CapShown] = Field(description="The one for everything first, then by feature; empty without caps.")


FRESH: Final[dict[int | str, dict[str, Any]]] = {201: {"model": CapShown, "description": "There was no such cap yet"}}


async def _read(call: Call, **holder: str) -> Response:
    async with call.reading() as tx:
        found = await credits.caps(tx, call.caller, **holder)
    return call.answer(200, CapsShown(data=[CapShown.of(one) for one in found]))


async def _put(call: Call, body: SetCap, **holder: str) -> Response:
    async with call.writing() as tx:
        status = await credits.set_cap(tx, call.caller, MilliCredits(body.credits), feature=body.feature, **holder)
        return call.answer(201 if status.is_new else 200, CapShown.of(status))


async def _remove(call: Call, query: NameCap, **holder: str) -> Response:
    async with call.writing() as tx:
        await credits.remove_cap(tx, call.caller, feature=query.feature, **holder)
        return call.answer(204)


@routes.get("/v1/agency/credit-cap", response_model=CapsShown)
@access(Who.AGENCY, "credits:read")
async def read_agency_caps(request: Request) -> Response:
    """Read the agency's caps.

    They bound what all workspaces take together, whichever pool pays.
    """
    return await _read(call_of(request))


@routes.put("/v1/agency/credit-cap", response_model=CapShown, responses=FRESH)
@access(Who.AGENCY, "credits:cap")
async def set_agency_cap(request: Request, body: SetCap) -> Response:
    """Cap what the agency takes in a cycle.

    For everything, or for one feature; it holds at once. A cap below what was taken already stops everything until
    the next cycle. Beyond a cap calls are refused with 402 `credits.cap_exceeded`.
    """
    return await _put(call_of(request), body)


@routes.delete("/v1/agency/credit-cap", status_code=204)
@access(Who.AGENCY, "credits:cap")
async def remove_agency_cap(request: Request, query: Annotated[NameCap, Query()]) -> Response:
    """Take away a cap of the agency."""
    return await _remove(call_of(request), query)


@routes.get("/v1/workspaces/{workspace_id}/credit-cap", response_model=CapsShown)
@access(Who.ANY_KEY, "credits:read", place=Place.WORKSPACES)
async def read_workspace_caps(request: Request, workspace_id: str) -> Response:
    """Read a workspace's caps.

    Those of the agency and of keys bound it as well; `GET /v1/credits/explain` tells all of them.
    """
    call = call_of(request)
    return await _read(call, workspace_id=await workspace_named(call, workspace_id))


@routes.put("/v1/workspaces/{workspace_id}/credit-cap", response_model=CapShown, responses=FRESH)
@access(Who.AGENCY, "credits:cap", place=Place.WORKSPACES)
async def set_workspace_cap(request: Request, workspace_id: str, body: SetCap) -> Response:
    """Cap what a workspace takes in a cycle.

    For everything, or for one feature; whichever pool pays.
    """
    call = call_of(request)
    return await _put(call, body, workspace_id=await workspace_named(call, workspace_id))


@routes.delete("/v1/workspaces/{workspace_id}/credit-cap", status_code=204)
@access(Who.AGENCY, "credits:cap", place=Place.WORKSPACES)
async def remove_workspace_cap(request: Request, workspace_id: str, query: Annotated[NameCap, Query()]) -> Response:
    """Take away a cap of a workspace."""
    call = call_of(request)
    return await _remove(call, query, workspace_id=await workspace_named(call, workspace_id))


@routes.get("/v1/api-keys/{key_id}/credit-cap", response_model=CapsShown)
@access(Who.AGENCY, "credits:read")
async def read_key_caps(request: Request, key_id: str) -> Response:
    """Read a key's caps.

    Of a key of the agency or of one of its workspaces.
    """
    return await _read(call_of(request), key_id=key_id)


@routes.put("/v1/api-keys/{key_id}/credit-cap", response_model=CapShown, responses=FRESH)
@access(Who.AGENCY, "credits:cap")
async def set_key_cap(request: Request, key_id: str, body: SetCap) -> Response:
    """Cap what a key takes in a cycle.

    For everything, or for one feature, in whichever workspace it is used; a key that is rolled keeps its caps.
    """
    return await _put(call_of(request), body, key_id=key_id)


@routes.delete("/v1/api-keys/{key_id}/credit-cap", status_code=204)
@access(Who.AGENCY, "credits:cap")
async def remove_key_cap(request: Request, key_id: str, query: Annotated[NameCap, Query()]) -> Response:
    """Take away a cap of a key."""
    return await _remove(call_of(request), query, key_id=key_id)
