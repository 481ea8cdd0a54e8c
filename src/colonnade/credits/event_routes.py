"""How HTTP says usage of work done elsewhere: many events in one call, each with an outcome of its own."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits.charge_shapes import Feature, Model, SomeCredits, SomeQuantity
from colonnade.credits.event_model import MOST_EVENTS, EventOutcome, Misfit, ToldEvent
from colonnade.credits.naming import EXAMPLE_WORKSPACE
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.web import (
    Body,
    Instant,
    Shown,
    Who,
    access,
    call_of,
    examples,
    router,
    takes_list_as,
    takes_up_to,
)
from colonnade.ground.web.problems import from_validation

routes = router("Usage")

MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_METADATA: Final = 50


class TellEvent(Body):
    """Work that was done elsewhere."""

    id: str = Field(min_length=1, max_length=255, description="Yours, for this source: told again it counts no more.")
    source: str = Field(min_length=1, max_length=100, description="Which of your services tells it.")
    workspace_id: str = Field(max_length=64)
    feature: Feature
    credits: SomeCredits = None
    quantity: SomeQuantity = None
    model: Model = None
    time: Instant | None = Field(
        None, description="When it was done: from 13 months ago to 5 minutes ahead. Absent: now."
    )
    metadata: dict[str, Any] = Field({}, max_length=_MOST_METADATA, description="Kept with the event.")

    def told(self) -> ToldEvent | Misfit:
        """The event, if it says either of its two amounts."""
        if (self.credits is None) == (self.quantity is None):
            return Misfit(self.id, "/credits must be sent, or `quantity`, and not both")
        return ToldEvent(
            self.id,
            self.source,
            self.workspace_id,
            self.feature,
            None if self.credits is None else MilliCredits(self.credits),
            None if self.quantity is None else Decimal(self.quantity) / 1000,
            self.model,
            self.time,
            self.metadata,
        )


def _each_alone(sent: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """All at once when all are right; else one by one, and a misfit in the place of each that is not."""
    if not isinstance(sent, list) or not 1 <= len(sent) <= MOST_EVENTS:
        return handler(sent)
    try:
        return handler(sent)
    except ValidationError:
        return [_alone(one, handler) for one in sent]


def _alone(sent: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler([sent])[0]
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        wrong = from_validation(RequestValidationError(found, body=[sent])).errors
        told = sent.get("id") if isinstance(sent, dict) else None
        detail = "; ".join(f"{one.pointer.removeprefix('/0')} {one.detail}".strip() for one in wrong)
        return Misfit(told if isinstance(told, str) else None, detail)


class TellUsage(Body):
    """Events of usage."""

    model_config = examples(
        {
            "events": [
                {
                    "id": "transcript-4711",
                    "source": "transcripts",
                    "workspaceId": EXAMPLE_WORKSPACE,
                    "feature": "transcription",
                    "credits": 1.5,
                    "metadata": {"minutes": 12},
                },
                {
                    "id": "ranks-2026-02-01",
                    "source": "crawler",
                    "workspaceId": EXAMPLE_WORKSPACE,
                    "feature": "rank_check",
                    "quantity": 40,
                },
            ]
        }
    )
    events: Annotated[list[TellEvent], Field(min_length=1, max_length=MOST_EVENTS), WrapValidator(_each_alone)] = Field(
        description="One that is wrong is answered as `invalid` and hinders no other."
    )

    def told(self) -> list[ToldEvent | Misfit]:
        """The events, and what is none, in the order sent."""
        sent: Sequence[TellEvent | Misfit] = self.events
        return [one if isinstance(one, Misfit) else one.told() for one in sent]


class OutcomeShown(Shown):
    """What became of an event."""

    id: str | None = Field(description="As it was sent; null where there was none to read.")
    status: Literal["recorded", "duplicate", "unfunded", "invalid"] = Field(
        description="`unfunded`: kept, and charged nothing, for nothing could pay for it. `duplicate`: known before."
    )
    reason: str | None = Field(description="Why it is invalid or unfunded, from the closed list of reasons.")
    detail: str | None = Field(description="The same in a sentence.")

    @classmethod
    def of(cls, outcome: EventOutcome) -> "OutcomeShown":
        """The outcome as callers see it."""
        return cls(id=outcome.id, status=outcome.status.value, reason=outcome.reason, detail=outcome.detail)


class UsageTold(Shown):
    """What became of the events."""

    data: Sequence[OutcomeShown] = Field(description="One for each event, in the order sent.")


@routes.post("/v1/usage/events", response_model=UsageTold)
@takes_list_as("events")
@takes_up_to(MOST_BYTES)
@access(Who.ANY_KEY, "usage:write")
async def tell_usage(request: Request, body: TellUsage) -> Response:
    """Report usage events.

    Up to 1,000 events of work that was done elsewhere, or a bare list of them. Work that is done is always recorded,
    and charged where a pool and the caps allow it. Workspace, source and id make an event: told again within 13 months,
    it counts no more.
    """
    call = call_of(request)
    async with call.writing() as tx:
        outcomes = await credits.report_usage(tx, call.caller, body.told())
        return call.answer(200, UsageTold(data=[OutcomeShown.of(one) for one in outcomes]))
