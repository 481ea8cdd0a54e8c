"""How HTTP says the request log."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.addresses import read_network
from colonnade.ground.core.csv_text import Cell
from colonnade.ground.core.instants import format_instant
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body, Instant, PageOf, Shown, Who, access, call_of, router
from colonnade.ground.web.exports import TOLD, Table, exported
from colonnade.tenancy import audit
from colonnade.tenancy.audit import CallFilters, CallPlace, LoggedCall

_LIST: Final = "requests"

routes = router("Audit")


def _network(text: str) -> str:
    return str(read_network(text))


_STATUS: Final = re.compile(r"[1-5]xx|[1-5]\d\d")


class ListCalls(Body):
    """Which calls, from the newest on."""

    from_: Instant | None = Field(None, alias="from", description="Inclusive.")
    to: Instant | None = Field(None, description="Exclusive.")
    key_id: str | None = Field(None, max_length=100)
    member_id: str | None = Field(None, max_length=100, description="Who was signed in.")
    workspace_id: str | None = Field(None, max_length=100)
    address: Annotated[str, AfterValidator(_network)] | None = Field(
        None, max_length=100, description="An address or a network, as in `203.0.113.0/24`."
    )
    method: str | None = Field(None, max_length=20, pattern="^[A-Z]+$", description="As in `DELETE`.")
    route: str | None = Field(None, max_length=200, description="As in `/v1/workspaces/{workspace_id}`.")
    status: str | None = Field(
        None, pattern=f"^(?:{_STATUS.pattern})$", description="As in `403`, or `4xx` for all of them."
    )
    request_id: str | None = Field(None, max_length=100)
    reason: str | None = Field(None, max_length=100, description="Why it was refused, as in `keys.revoked`.")
    format: Literal["json", "csv", "ndjson"] = Field(
        "json", description="`csv` and `ndjson` answer with all of them at once."
    )
    limit: int = Field(50, ge=1, le=100, description="For `json` alone.")
    cursor: str | None = Field(None, description="For `json` alone.")

    def asked(self) -> dict[str, Any]:
        """The filters as they were sent."""
        return {name: value for name, value in self.sent_json().items() if name not in {"format", "limit", "cursor"}}

    def filters(self) -> CallFilters:
        """What is asked for."""
        return CallFilters(
            since=self.from_,
            until=self.to,
            key_id=self.key_id,
            member_id=self.member_id,
            workspace_id=self.workspace_id,
            network=self.address,
            method=self.method,
            route=self.route,
            statuses=_statuses(self.status),
            request_id=self.request_id,
            reason=self.reason,
        )


def _statuses(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    if text.endswith("xx"):
        return int(text[0]) * 100, int(text[0]) * 100 + 100
    return int(text), int(text) + 1


class CallShown(Shown):
    """One call of the API."""

    at: Instant
    address: str | None = Field(description="Where it came from.")
    key_id: str | None
    member_id: str | None = Field(description="Who was signed in.")
    workspace_id: str | None
    method: str
    route: str | None = Field(description="The operation; null where none was reached.")
    path: str
    status: int
    milliseconds: float
    request_id: str
    reason: str | None = Field(description="Why it was refused; see the page of that reason.")

    @classmethod
    def of(cls, call: LoggedCall) -> "CallShown":
        """The call as callers read it."""
        named: dict[str, Any] = {name: getattr(call, name) for name in cls.model_fields if name != "milliseconds"}
        return cls(**named, milliseconds=round(call.duration_ms, 3))


_COLUMNS: Final = (
    *("at", "address", "keyId", "memberId", "workspaceId", "method", "route", "path", "status", "milliseconds"),
    *("requestId", "reason"),
)


def _cells(call: LoggedCall) -> list[Cell]:
    return [
        *(format_instant(call.at), call.address, call.key_id, call.member_id, call.workspace_id, call.method),
        *(call.route, call.path, call.status, f"{call.duration_ms:.3f}", call.request_id, call.reason),
    ]


def _export(filters: CallFilters) -> Table[LoggedCall]:
    async def rows(tx: Tx, last: LoggedCall | None, most: int) -> Sequence[LoggedCall]:
        return await audit.calls_after(tx, filters, None if last is None else last.place, most)

    return Table("request-log", rows, _COLUMNS, _cells, CallShown.of)


@routes.get("/v1/request-log", response_model=PageOf[CallShown], responses=TOLD)
@access(Who.AGENCY, "audit:read")
async def list_calls(request: Request, query: Annotated[ListCalls, Query()]) -> Response:
    """List the calls of the agency's keys and people.

    Every call of the API with its time, source address, credential, outcome and duration; the newest first. Calls with
    a key that was revoked, has expired or came from a wrong address are among them. `requestId` finds the one call
    that an answer named. The list never counts. With `format` all of it is exported, which is recorded.
    """
    call = call_of(request)
    filters = query.filters()
    if query.format != "json":
        async with call.writing() as tx:
            await audit.export(tx, call.caller, log="request-log", wanted=query.format, asked=query.asked())
        return exported(call, _export(filters), query.format)
    position = call.cursor(_LIST, query.cursor)
    async with call.reading() as tx:
        calls, more = await audit.page_calls(tx, call.caller, filters, limit=query.limit, behind=_behind(position))
    shown = PageOf[CallShown](
        data=[CallShown.of(one) for one in calls],
        next_cursor=call.next_cursor(_LIST, [calls[-1].at.isoformat(), calls[-1].number] if more else None),
        total=None,
    )
    return call.answer(200, shown)


def _behind(position: list[Any] | None) -> CallPlace | None:
    return None if position is None else (datetime.fromisoformat(position[0]), position[1])
