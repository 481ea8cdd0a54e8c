"""How HTTP explains: which limits a call that takes credits would meet, and what would come of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import Explanation, Limit, Question
from colonnade.credits.naming import EXAMPLE_WORKSPACE
from colonnade.credits.refusing import way_out
from colonnade.ground.core.amounts import MOST, MilliCredits, from_decimal
from colonnade.ground.web import Amount, Body, Instant, Shown, Who, access, call_of, router

routes = router("Credits")


def _asked_amount(value: Any) -> Any:
    amount = from_decimal(value) if isinstance(value, str) else value
    if not 0 <= amount <= MOST:
        raise ValueError("must be nothing or more, and at most a trillion credits")
    return amount


class AskWhy(Body):
    """Which call."""

    workspace_id: str = Field(examples=[EXAMPLE_WORKSPACE])
    feature: str = Field(examples=["generation"], pattern=r"^[a-z][a-z0-9_]{0,62}$")
    amount: Annotated[int, BeforeValidator(_asked_amount, json_schema_input_type=float)] | None = Field(
        None, description="How many credits; absent: the price of one unit of the feature."
    )
    key_id: str | None = Field(None, description="By which key; absent: the one that asks.")


class LimitShown(Shown):
    """One thing that bounds what may be taken."""

    kind: Literal["cap", "pool", "borrow"]
    id: str = Field(description="The cap's id, or the account of the pool.")
    source: Literal["agency", "workspace", "key"] = Field(description="Where it is set, or whose pool it is.")
    workspace_id: str | None
    key_id: str | None
    feature: str | None = Field(description="Null: whatever the credits are for.")
    cap: Amount | None = Field(description="Null for a pool.")
    used: Amount | None = Field(description="In this cycle. Null where it would tell of workspaces out of reach.")
    held: Amount | None
    available: Amount = Field(description="Of a workspace's own pool: with what it may still borrow.")
    cycle_ends_at: Instant
    stops: bool = Field(description="Whether this limit by itself would stop the call.")
    what_to_do: str

    @classmethod
    def of(cls, limit: Limit, told: Explanation) -> "LimitShown":
        """The limit as callers see it."""
        is_told = told.sees_all or limit.source != "agency"
        return cls(
            kind=limit.kind,
            id=limit.id,
            source=limit.source,
            workspace_id=limit.workspace_id,
            key_id=limit.key_id,
            feature=limit.feature,
            cap=limit.most,
            used=limit.used if is_told else None,
            held=MilliCredits(limit.taken - limit.used) if is_told else None,
            available=limit.available,
            cycle_ends_at=limit.ends_at,
            stops=told.stops(limit),
            what_to_do=way_out(limit),
        )


class PayerShown(Shown):
    """A pool that would pay."""

    source: Literal["agency", "workspace"]
    credits: Amount


class ExplanationShown(Shown):
    """What a call would meet now."""

    workspace_id: str
    feature: str
    key_id: str | None
    allowed: bool
    reason: str | None = Field(description="Of the refusal that the call would get; null where it is let through.")
    detail: str = Field(description="The sentence of that refusal, or what would happen.")
    required: Amount
    available: Amount = Field(description="What `limit` leaves.")
    would_pay: Sequence[PayerShown] = Field(description="Whose credits it would take; empty where it is refused.")
    rule: str | None = Field(description="What the ledger would keep as the rule that allowed it.")
    limit: LimitShown = Field(description="What stops it; where nothing does, what would be the first to.")
    limits: Sequence[LimitShown] = Field(
        description="All that bounds it, in the order in which equal ones are named: key, workspace, agency, of each "
        "first the cap for the feature and then the one for everything; the pool that pays; what may be borrowed."
    )
    price_version: int
    cycle_ends_at: Instant

    @classmethod
    def of(cls, told: Explanation) -> "ExplanationShown":
        """The explanation as callers see it."""
        wish, refused = told.wish, told.refused
        return cls(
            workspace_id=wish.workspace_id,
            feature=wish.feature,
            key_id=wish.key_id,
            allowed=refused is None,
            reason=None if refused is None else refused.reason,
            detail=f"It is let through, by the rule `{told.rule}`." if refused is None else refused.sentence,
            required=wish.needed(told.limit.feature),
            available=told.limit.available,
            would_pay=[PayerShown(source=source.value, credits=part) for source, part in told.pays.items()],
            rule=told.rule,
            limit=LimitShown.of(told.limit, told),
            limits=[LimitShown.of(one, told) for one in told.limits],
            price_version=told.price_version,
            cycle_ends_at=told.cycle_ends_at,
        )


@routes.get("/v1/credits/explain", response_model=ExplanationShown)
@access(Who.ANY_KEY, "credits:read")
async def explain_credits(request: Request, query: Annotated[AskWhy, Query()]) -> Response:
    """Explain what a charge would meet.

    Every limit that bounds a workspace, a feature and a key, where it comes from, what it leaves, and what would happen
    now to a charge or a hold of that amount. Nothing is taken.
    """
    call = call_of(request)
    amount = None if query.amount is None else MilliCredits(query.amount)
    question = Question(query.workspace_id, query.feature, amount, query.key_id)
    async with call.reading() as tx:
        told = await credits.explain(tx, call.caller, question)
    return call.answer(200, ExplanationShown.of(told))
