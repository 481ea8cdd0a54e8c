"""How HTTP says credits: balances, grants, transfers, the ledger, prices; the routes of usage are mounted with them."""

from typing import Annotated, Final

from fastapi import Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import (
    CreditsOverview,
    Grant,
    Moved,
    PoolBalance,
    alert_routes,
    cap_routes,
    charge_routes,
    event_routes,
    explain_routes,
    hold_routes,
    ledger_routes,
    price_routes,
    statement_routes,
    usage_routes,
)
from colonnade.credits.naming import EXAMPLE_WORKSPACE
from colonnade.credits.price_routes import refuse_if_operator_grants
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.web import (
    Amount,
    Body,
    Credits,
    Instant,
    Shown,
    Who,
    Whole,
    access,
    call_of,
    examples,
    router,
)

GRANTS_BY_OPERATOR: Final = price_routes.GRANTS_BY_OPERATOR

routes = router("Credits")


class PoolShown(Shown):
    """A pool of credits in its current cycle."""

    workspace_id: str | None = Field(description="Null for the agency's own pool.")
    granted: Amount = Field(description="All that was there to spend in this cycle: used, held and available.")
    held: Amount
    used: Amount
    available: Amount
    cap: Amount | None

    @classmethod
    def of(cls, pool: PoolBalance) -> "PoolShown":
        """The pool as callers see it."""
        return cls(
            workspace_id=pool.workspace_id,
            granted=pool.granted,
            held=pool.held,
            used=pool.used,
            available=pool.available,
            cap=pool.cap,
        )


class CycleShown(Shown):
    """The span in which usage counts."""

    starts_at: Instant
    ends_at: Instant


class CreditsShown(Shown):
    """How the pools stand."""

    agency: PoolShown | None = Field(description="Null for keys that do not reach the whole agency.")
    workspaces: list[PoolShown] = Field(description="Workspaces with a pool of their own.")
    cycle: CycleShown

    @classmethod
    def of(cls, overview: CreditsOverview) -> "CreditsShown":
        """The overview as callers see it."""
        return cls(
            agency=None if overview.agency is None else PoolShown.of(overview.agency),
            workspaces=[PoolShown.of(pool) for pool in overview.workspaces],
            cycle=CycleShown(starts_at=overview.cycle.starts_at, ends_at=overview.cycle.ends_at),
        )


class GrantCredits(Body):
    """Credits for a pool."""

    model_config = examples(
        {"amount": 1000, "note": "Monthly budget"},
        {"amount": 12.5, "workspaceId": EXAMPLE_WORKSPACE, "expiresAt": "2099-01-01T00:00:00Z", "priority": -1},
    )
    amount: Credits
    workspace_id: str | None = Field(None, description="Absent: the agency's own pool.")
    expires_at: Instant | None = None
    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = Field(0, description="Lower numbers are spent first.")
    note: str | None = Field(None, max_length=500)


class GrantShown(Shown):
    """A grant, and what remains of it."""

    id: str
    workspace_id: str | None
    amount: Amount
    remaining: Amount
    expires_at: Instant | None
    priority: int
    note: str | None
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, grant: Grant) -> "GrantShown":
        """A fresh grant as callers see it."""
        return cls(
            id=grant.id,
            workspace_id=grant.workspace_id,
            amount=grant.amount,
            remaining=grant.remaining,
            expires_at=grant.expires_at,
            priority=grant.priority,
            note=grant.note,
            created_at=grant.created_at,
            updated_at=grant.created_at,
        )


class TransferCredits(Body):
    """Credits from one pool to another; a pool that is not named is the agency's own."""

    model_config = examples({"amount": 25, "toWorkspaceId": EXAMPLE_WORKSPACE})
    amount: Credits
    from_workspace_id: str | None = None
    to_workspace_id: str | None = None


class TransferShown(Shown):
    """What was moved."""

    id: str
    amount: Amount
    from_workspace_id: str | None
    to_workspace_id: str | None
    at: Instant

    @classmethod
    def of(cls, moved: Moved) -> "TransferShown":
        """The transfer as callers see it."""
        return cls(
            id=moved.id,
            amount=moved.amount,
            from_workspace_id=moved.from_workspace_id,
            to_workspace_id=moved.to_workspace_id,
            at=moved.at,
        )


@routes.get("/v1/credits", response_model=CreditsShown)
@access(Who.ANY_KEY, "credits:read")
async def read_credits(request: Request) -> Response:
    """Read balances.

    The agency's pool and every workspace's own, in the current cycle.
    """
    call = call_of(request)
    async with call.reading() as tx:
        return call.answer(200, CreditsShown.of(await credits.balances(tx, call.caller)))


@routes.post(
    "/v1/credits/grants",
    status_code=201,
    response_model=GrantShown,
    dependencies=[Depends(refuse_if_operator_grants)],
)
@access(Who.AGENCY, "credits:grant")
async def grant_credits(request: Request, body: GrantCredits) -> Response:
    """Grant credits.

    They are spent by priority, then by the earliest expiry, then by age.
    """
    call = call_of(request)
    async with call.writing(money=True) as tx:
        grant = await credits.grant(
            tx,
            call.caller,
            amount=MilliCredits(body.amount),
            workspace_id=body.workspace_id,
            expires_at=body.expires_at,
            priority=body.priority,
            note=body.note,
        )
        return call.answer(201, GrantShown.of(grant))


@routes.post("/v1/credits/transfers", status_code=201, response_model=TransferShown)
@access(Who.AGENCY, "credits:transfer")
async def transfer_credits(request: Request, body: TransferCredits) -> Response:
    """Move credits between pools.

    They keep their expiry and their priority; what would be spent first moves first.
    """
    call = call_of(request)
    async with call.writing(money=True) as tx:
        moved = await credits.transfer(
            tx,
            call.caller,
            amount=MilliCredits(body.amount),
            from_workspace_id=body.from_workspace_id,
            to_workspace_id=body.to_workspace_id,
        )
        return call.answer(201, TransferShown.of(moved))


routes.routes.extend(alert_routes.routes.routes)
routes.routes.extend(cap_routes.routes.routes)
routes.routes.extend(charge_routes.routes.routes)
routes.routes.extend(event_routes.routes.routes)
routes.routes.extend(explain_routes.routes.routes)
routes.routes.extend(hold_routes.routes.routes)
routes.routes.extend(ledger_routes.routes.routes)
routes.routes.extend(price_routes.routes.routes)
routes.routes.extend(statement_routes.routes.routes)
routes.routes.extend(usage_routes.routes.routes)
