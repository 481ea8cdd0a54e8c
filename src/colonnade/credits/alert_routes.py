"""How HTTP says usage alerts."""

from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits.alerting import MOST_PERCENT, UsageAlert
from colonnade.credits.naming import EXAMPLE_WORKSPACE
from colonnade.ground.web import (
    Body,
    Flag,
    Instant,
    PageOf,
    Shown,
    Who,
    Whole,
    access,
    call_of,
    entity_tag,
    examples,
    router,
)

routes = router("Usage")

Channel = Literal["mail", "webhook"]
Threshold = Annotated[Whole, Field(ge=1, le=MOST_PERCENT)]
Channels = Annotated[list[Channel], Field(min_length=1, max_length=2)]

_LIST: Final = "usage alerts"


class SetAlert(Body):
    """An alert on usage."""

    model_config = examples(
        {"thresholdPercent": 80, "channels": ["mail"]},
        {"workspaceId": EXAMPLE_WORKSPACE, "thresholdPercent": 90, "channels": ["mail", "webhook"]},
    )
    workspace_id: str | None = Field(
        None, max_length=64, description="Absent: about the agency; with a workspace's key, about that workspace."
    )
    threshold_percent: Threshold = Field(
        description="Of the cap if there is one, else of the grants that can be used in the cycle."
    )
    channels: Channels = Field(["mail"])
    is_active: Flag = True


class ChangeAlert(Body):
    """What is to be different about an alert."""

    model_config = examples({"thresholdPercent": 95}, {"isActive": False})
    threshold_percent: Threshold = Field(80)
    channels: Channels = Field(["mail"])
    is_active: Flag = True


class ListAlerts(Body):
    """Which alerts, and how the list is cut."""

    workspace_id: str | None = Field(None, max_length=64, description="Those about this workspace alone.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None


class AlertShown(Shown):
    """An alert on usage."""

    id: str
    workspace_id: str | None = Field(description="Null: about the agency.")
    threshold_percent: int
    channels: list[Channel]
    is_active: bool
    fired_at: Instant | None = Field(description="When it fired in the running cycle, for this threshold.")
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, alert: UsageAlert) -> "AlertShown":
        """The alert as callers see it."""
        channels: Any = list(alert.channels)
        return cls(
            id=alert.id,
            workspace_id=alert.workspace_id,
            threshold_percent=alert.threshold_percent,
            channels=channels,
            is_active=alert.is_active,
            fired_at=alert.fired_at,
            created_at=alert.created_at,
            updated_at=alert.updated_at,
        )


@routes.get("/v1/usage/alerts", response_model=PageOf[AlertShown])
@access(Who.ANY_KEY, "usage:read")
async def list_usage_alerts(request: Request, query: Annotated[ListAlerts, Query()]) -> Response:
    """List usage alerts, the newest first."""
    call = call_of(request)
    what = f"{_LIST} {query.workspace_id or ''}"
    position = call.cursor(what, query.cursor)
    async with call.reading() as tx:
        found, more, total = await credits.page_alerts(
            tx,
            call.caller,
            query.workspace_id,
            after=None if position is None else position[0],
            limit=query.limit,
            counts_all=query.count == "exact",
        )
    following = call.next_cursor(what, [found[-1].id] if more else None)
    data = [AlertShown.of(one) for one in found]
    return call.answer(200, PageOf[AlertShown](data=data, next_cursor=following, total=total))


@routes.post("/v1/usage/alerts", status_code=201, response_model=AlertShown)
@access(Who.ANY_KEY, "usage:write")
async def set_usage_alert(request: Request, body: SetAlert) -> Response:
    """Set a usage alert.

    It fires once in a cycle, when what is used reaches so many percent of the workspace's or the agency's cap on all
    features; where there is none, of the grants that can be used in the cycle. Mail goes to the agency's owners, and to
    the owner of the workspace.
    """
    call = call_of(request)
    async with call.writing() as tx:
        alert = await credits.create_alert(
            tx,
            call.caller,
            workspace_id=body.workspace_id,
            threshold_percent=body.threshold_percent,
            channels=body.channels,
            is_active=body.is_active,
        )
        headers = {"Location": f"/v1/usage/alerts/{alert.id}", **entity_tag(alert.version)}
        return call.answer(201, AlertShown.of(alert), headers=headers)


@routes.get("/v1/usage/alerts/{alert_id}", response_model=AlertShown)
@access(Who.ANY_KEY, "usage:read")
async def read_usage_alert(request: Request, alert_id: str) -> Response:
    """Read a usage alert, and whether it has fired in this cycle."""
    call = call_of(request)
    async with call.reading() as tx:
        alert = await credits.get_alert(tx, call.caller, alert_id)
    return call.answer(200, AlertShown.of(alert), headers=entity_tag(alert.version))


@routes.patch("/v1/usage/alerts/{alert_id}", response_model=AlertShown)
@access(Who.ANY_KEY, "usage:write")
async def change_usage_alert(request: Request, alert_id: str, body: ChangeAlert) -> Response:
    """Change a usage alert.

    Another threshold is one that it has not fired for; moved back within the cycle, it does not fire there again.
    """
    call = call_of(request)
    async with call.writing() as tx:
        alert = await credits.change_alert(
            tx, call.caller, alert_id, patch=body.sent(), expected_version=call.expected_version()
        )
        return call.answer(200, AlertShown.of(alert), headers=entity_tag(alert.version))


@routes.delete("/v1/usage/alerts/{alert_id}", status_code=204)
@access(Who.ANY_KEY, "usage:write")
async def delete_usage_alert(request: Request, alert_id: str) -> Response:
    """Delete a usage alert."""
    call = call_of(request)
    async with call.writing() as tx:
        await credits.delete_alert(tx, call.caller, alert_id, expected_version=call.expected_version())
        return call.answer(204)
