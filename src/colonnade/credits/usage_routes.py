"""How HTTP says usage: sums for reports in JSON or CSV, and the block of one workspace."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits import GroupBy, UsageQuery, UsageReport, WorkspaceUsage
from colonnade.ground.core.amounts import to_number, to_text
from colonnade.ground.core.csv_text import csv_text
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Amount, Body, Instant, Place, Shown, Who, access, call_of, router
from colonnade.ground.web.operations import House
from colonnade.tenancy import workspaces

routes = router("Usage")

_NAMES: Final = {
    GroupBy.WORKSPACE: "workspaceId",
    GroupBy.KEY: "keyId",
}


def _name(group: GroupBy) -> str:
    return _NAMES.get(group, group.value)


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
    format: Literal["json", "csv"] = "json"

    def query(self) -> UsageQuery:
        """The question itself."""
        return UsageQuery(self.since, self.until, tuple(self.group_by), self.workspace_id, self.feature)


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

    @classmethod
    def of(cls, report: UsageReport, group_by: Sequence[GroupBy]) -> "UsageShown":
        """The report as callers see it."""
        names = [_name(group) for group in group_by]
        rows = [
            {**dict(zip(names, row.group, strict=True)), "credits": to_number(row.credits), "events": row.events}
            for row in report.rows
        ]
        return cls(data=rows, totals=UsageTotals(credits=report.credits, events=report.events))


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


Names = Mapping[str, str]


def _as_csv(report: UsageReport, group_by: Sequence[GroupBy], names: Names) -> Response:
    """The rows as they are; where they are told by workspace, its name stands last, for people who read invoices."""
    named = [group_by.index(GroupBy.WORKSPACE)] if GroupBy.WORKSPACE in group_by else []
    header = [*(_name(group) for group in group_by), "credits", "events", *("workspaceName" for _ in named)]
    rows = [
        [*row.group, to_text(row.credits), row.events, *(names.get(str(row.group[at]), "") for at in named)]
        for row in report.rows
    ]
    return Response(
        csv_text([header, *rows]).encode(),
        headers={"Content-Disposition": 'attachment; filename="usage.csv"'},
        media_type="text/csv; charset=utf-8",
    )


async def _names(tx: Tx, report: UsageReport, group_by: Sequence[GroupBy]) -> Names:
    if GroupBy.WORKSPACE not in group_by:
        return {}
    at = group_by.index(GroupBy.WORKSPACE)
    found = await workspaces.known(tx, list({str(row.group[at]) for row in report.rows}))
    return {workspace.id: workspace.name for workspace in found}


_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@routes.get("/v1/usage", response_model=UsageShown, responses=_CSV)
@access(Who.ANY_KEY, "usage:read", place=Place.WORKSPACES)
async def read_usage(request: Request, query: Annotated[AskUsage, Query()]) -> Response:
    """Sum up usage.

    Real time and unpaged, of all workspaces that the key reaches; more than 100,000 rows are given as CSV only. Days
    and months are those of the agency's time zone.
    """
    call = call_of(request)
    most = credits.MOST_CSV_ROWS if query.format == "csv" else credits.MOST_ROWS
    async with call.reading() as tx:
        report = await credits.usage(tx, call.caller, query.query(), most=most)
        if query.format == "csv":
            return _as_csv(report, query.group_by, await _names(tx, report, query.group_by))
    return call.answer(200, UsageShown.of(report, query.group_by))


@routes.get("/v1/workspaces/{workspace_id}/usage", response_model=WorkspaceUsageShown)
@access(Who.ANY_KEY, "usage:read", place=Place.WORKSPACES)
async def read_workspace_usage(request: Request, workspace_id: str) -> Response:
    """Read a workspace's usage.

    What it has used in the current cycle, and what it may still use of the pool that pays for it.
    """
    call = call_of(request)
    house: House = request.app.state.house
    known = await house.find_workspace(call.caller, workspace_id)
    if known is None:
        raise NotFound("workspace")
    async with call.reading() as tx:
        usage = await credits.usage_of_workspace(tx, call.caller, known)
    return call.answer(200, WorkspaceUsageShown.of(usage))
