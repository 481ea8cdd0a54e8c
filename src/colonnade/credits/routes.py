"""How HTTP says credits: balances, grants, transfers, the ledger, prices; the routes of usage are mounted with them."""

from typing import Annotated, Final

from fastapi import Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import (
    CreditsOverview,
    Grant,
    LedgerLine,
    Moved,
    PoolBalance,
    alert_routes,
    cap_routes,
    charge_routes,
    event_routes,
    explain_routes,
    hold_routes,
    price_routes,
    statement_routes,
    usage_routes,
)
from colonnade.credits.price_routes import refuse_if_operator_grants
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.web import (
    Amount,
    Body,
    Credits,
    Instant,
    PageOf,
    Shown,
    Who,
    Whole,
    access,
    call_of,
    examples,
    router,
)

GRANTS_BY_OPERATOR: Final = price_routes.GRANTS_BY_OPERATOR

EXAMPLE_WORKSPACE: Final = "ws_01k3n5q7s9v1x3z5b7d9f1h3j5"

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


class ListLedger(Body):
    """Which part of the ledger."""

    workspace_id: str | None = Field(None, description="Entries on this workspace's accounts alone.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None


class EntryShown(Shown):
    """One entry of the ledger: the account that changed, and how it stood afterwards."""

    id: str
    transfer_id: str
    account: str = Field(description="`issued`, `pool`, or `pool:`, `held:`, `used:` and the workspace.")
    workspace_id: str | None
    amount: Amount
    balance_after: Amount
    kind: str
    rule: str = Field(description="What allowed the movement: the pool that paid, say.")
    reference: str | None
    feature: str | None
    invocation_id: str | None
    hold_id: str | None
    grant_id: str | None
    actor_id: str
    key_id: str | None
    request_id: str
    created_at: Instant

    @classmethod
    def of(cls, line: LedgerLine) -> "EntryShown":
        """The entry as callers see it."""
        return cls(
            id=line.id,
            transfer_id=line.transfer_id,
            account=line.account_id,
            workspace_id=line.workspace_id,
            amount=line.amount,
            balance_after=line.balance_after,
            kind=line.kind,
            rule=line.rule,
            reference=line.reference,
            feature=line.feature,
            invocation_id=line.run_id,
            hold_id=line.hold_id,
            grant_id=line.grant_id,
            actor_id=line.actor_id,
            key_id=line.key_id,
            request_id=line.request_id,
            created_at=line.at,
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


@routes.get("/v1/credits/ledger", response_model=PageOf[EntryShown])
@access(Who.ANY_KEY, "credits:read")
async def list_ledger(request: Request, query: Annotated[ListLedger, Query()]) -> Response:
    """List the ledger.

    Every movement stands in it twice: where credits went from, and where they went to. The newest come first, and
    `total` is never counted.
    """
    call = call_of(request)
    what = f"ledger {query.workspace_id or ''}"
    position = call.cursor(what, query.cursor)
    async with call.reading() as tx:
        lines, has_more = await credits.ledger(
            tx,
            call.caller,
            workspace_id=query.workspace_id,
            before_id=None if position is None else position[0],
            limit=query.limit,
        )
    following = call.next_cursor(what, [lines[-1].id] if has_more else None)
    shown = PageOf[EntryShown](data=[EntryShown.of(line) for line in lines], next_cursor=following, total=None)
    return call.answer(200, shown)


routes.routes.extend(alert_routes.routes.routes)
routes.routes.extend(cap_routes.routes.routes)
routes.routes.extend(charge_routes.routes.routes)
routes.routes.extend(event_routes.routes.routes)
routes.routes.extend(explain_routes.routes.routes)
routes.routes.extend(hold_routes.routes.routes)
routes.routes.extend(price_routes.routes.routes)
routes.routes.extend(statement_routes.routes.routes)
routes.routes.extend(usage_routes.routes.routes)
