"""How HTTP says usage: sums for reports in JSON, CSV or lines of JSON, and the block of one workspace."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import GroupBy, UsageQuery, WorkspaceUsage
from colonnade.credits.exporting import as_json, writing
from colonnade.credits.naming import workspace_named
from colonnade.ground.web import Amount, Body, Instant, Place, Shown, Who, access, call_of, json_answer, router
from colonnade.ground.web.exports import TOLD
from colonnade.ground.web.spooling import spooled

routes = router("Usage")


def _groups(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    names = [part.strip() for text in texts for part in str(text).split(",") if part.strip()]
    known = [group.value for group in GroupBy]
    if not set(names) <= set(known) or len(set(names)) < len(names):
        raise ValueError(f"must be any of {', '.join(known)}, each once")
    return names


def _day_or_instant(value: Any) -> Any:
    """`2026-02-01` is a day of the agency's calendar, anything longer an instant with a zone."""
    if not isinstance(value, str):
        return value
    try:
        moment = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("must be a day such as 2026-02-01, or a time such as 2026-02-01T00:00:00Z") from error
    if isinstance(moment, datetime) and moment.tzinfo is None:
        raise ValueError("must say its zone, as in 2026-02-01T00:00:00Z")
    if not 1 < moment.year < 9999:
        raise ValueError("lies beyond the calendar of some zone")
    return moment


Moment = Annotated[datetime | date, BeforeValidator(_day_or_instant)]


class AskUsage(Body):
    """Which usage, and summed by what."""

    since: Moment | None = Field(
        None, alias="from", description="The first day or moment. Absent: the current cycle's first."
    )
    until: Moment | None = Field(None, alias="to", description="The first day or moment not to count any more.")
    group_by: Annotated[list[GroupBy], BeforeValidator(_groups)] = Field(
        [], description="Any of workspace, feature, key, model, hour, day, month: separated by commas or repeated."
    )
    workspace_id: str | None = None
    feature: str | None = None
    unfunded: bool = Field(
        False, description="Only work that nothing could pay for; `credits` are then what it would have cost."
    )
    format: Literal["json", "csv", "ndjson"] = "json"

    def query(self) -> UsageQuery:
        """The question itself."""
        group_by = tuple(self.group_by)
        return UsageQuery(self.since, self.until, group_by, self.workspace_id, self.feature, self.unfunded)


class UsageTotals(Shown):
    """The sum of all rows."""

    credits: Amount
    events: int


class UsageShown(Shown):
    """Usage by groups."""

    data: Sequence[dict[str, Any]] = Field(
        description="One object for each group: what it was grouped by (`workspaceId`, `feature`, `keyId`, `model`, "
        "`hour`, `day`, `month`; a key or model may be null), `credits` and `events`."
    )
    totals: UsageTotals


class WorkspaceUsageShown(Shown):
    """What a workspace has used in the current cycle and may still use."""

    credits_used_this_cycle: Amount
    credits_remaining: Amount
    cycle_ends_at: Instant
    by_feature: dict[str, Amount]

    @classmethod
    def of(cls, usage: WorkspaceUsage) -> "WorkspaceUsageShown":
        """The usage as callers see it."""
        return cls(
            credits_used_this_cycle=usage.used,
            credits_remaining=usage.remaining,
            cycle_ends_at=usage.cycle_ends_at,
            by_feature=dict(usage.by_feature),
        )


@routes.get("/v1/usage", response_model=UsageShown, responses=TOLD)
@access(Who.ANY_KEY, "usage:read", place=Place.WORKSPACES)
async def read_usage(request: Request, query: Annotated[AskUsage, Query()]) -> Response:
    """Sum up usage.

    Real time and unpaged, of all workspaces that the key reaches; more than 100,000 rows are given as CSV or as lines
    of JSON only, which are of one instant and of any length. Days and months are those of the agency's time zone. Rows
    come by time, workspace, feature, key and model.
    """
    call = call_of(request)
    if query.format == "json":
        async with call.reading() as tx:
            report = await credits.usage(tx, call.caller, query.query())
        return json_answer(200, as_json(report))
    async with call.reading() as tx:
        question = await credits.ask_usage(tx, call.caller, query.query())
    return spooled(call, "usage", query.format, writing(question, query.format))


@routes.get("/v1/workspaces/{workspace_id}/usage", response_model=WorkspaceUsageShown)
@access(Who.ANY_KEY, "usage:read", place=Place.WORKSPACES)
async def read_workspace_usage(request: Request, workspace_id: str) -> Response:
    """Read a workspace's usage.

    What it has used in the current cycle, and what the pool that pays for it and the caps leave.
    """
    call = call_of(request)
    known = await workspace_named(call, workspace_id)
    async with call.reading() as tx:
        usage = await credits.usage_of_workspace(tx, call.caller, known)
    return call.answer(200, WorkspaceUsageShown.of(usage))
