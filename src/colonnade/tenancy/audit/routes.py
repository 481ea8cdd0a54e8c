"""How HTTP says the audit log."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.web import Body, Instant, PageOf, Shown, Who, access, call_of, router
from colonnade.tenancy import audit
from colonnade.tenancy.audit import Entry, Filters

_LIST = "audit"

routes = router("Audit")


class ListEntries(Body):
    """Which entries, from the newest on."""

    event: str | None = Field(None, max_length=100, description="Such as `keys.revoked`.")
    resource_id: str | None = Field(None, max_length=100)
    workspace_id: str | None = Field(None, max_length=100)
    actor_id: str | None = Field(None, max_length=100, description="A key, a member, an invocation, or `operator`.")
    from_: Instant | None = Field(None, alias="from", description="Inclusive.")
    to: Instant | None = Field(None, description="Exclusive.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None

    def filters(self) -> Filters:
        """What is asked for."""
        return Filters(self.event, self.resource_id, self.workspace_id, self.actor_id, self.from_, self.to)


class Actor(Shown):
    """Who did it."""

    kind: str
    id: str
    name: str


class EntryShown(Shown):
    """One change, as it was recorded in the transaction that made it."""

    id: str
    at: Instant
    actor: Actor
    event: str
    resource_id: str
    workspace_id: str | None
    before: dict[str, Any] | None = Field(description="What was changed, as it stood before.")
    after: dict[str, Any] | None = Field(description="What was changed, as it stood afterwards.")
    request_id: str
    address: str | None

    @classmethod
    def of(cls, entry: Entry) -> "EntryShown":
        """The entry as callers read it."""
        return cls(
            id=entry.id,
            at=entry.at,
            actor=Actor(kind=entry.actor_kind, id=entry.actor_id, name=entry.actor_name),
            event=entry.event,
            resource_id=entry.resource_id,
            workspace_id=entry.workspace_id,
            before=entry.before,
            after=entry.after,
            request_id=entry.request_id,
            address=entry.address,
        )


@routes.get("/v1/audit-log", response_model=PageOf[EntryShown])
@access(Who.AGENCY, "audit:read")
async def list_entries(request: Request, query: Annotated[ListEntries, Query()]) -> Response:
    """List what was done in the agency.

    Every change with who made it, from where, and what it changed; the newest first. The list never counts.
    """
    call = call_of(request)
    position = call.cursor(_LIST, query.cursor)
    async with call.reading() as tx:
        entries, more = await audit.page(
            tx, call.caller, query.filters(), limit=query.limit, after_id=position[0] if position else None
        )
    shown = PageOf[EntryShown](
        data=[EntryShown.of(entry) for entry in entries],
        next_cursor=call.next_cursor(_LIST, [entries[-1].id] if more else None),
        total=None,
    )
    return call.answer(200, shown)
