"""How HTTP says the audit log: the list, its export, its verification; the request log stands beside."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.refusals import BadField
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body, Instant, PageOf, Who, access, call_of, router
from colonnade.ground.web.exports import TOLD, Table, exported
from colonnade.tenancy import audit
from colonnade.tenancy.audit import Filters, Place, call_routes
from colonnade.tenancy.audit.seals import Sealed
from colonnade.tenancy.audit.shapes import CSV_COLUMNS, EntryShown, SealedShown, VerdictShown, csv_cells

_LIST: Final = "audit"

routes = router("Audit")


class ListEntries(Body):
    """Which entries, from the newest on."""

    event: str | None = Field(None, max_length=100, description="Such as `keys.revoked`.")
    resource_id: str | None = Field(None, max_length=100)
    workspace_id: str | None = Field(None, max_length=100)
    actor_id: str | None = Field(None, max_length=100, description="A key, a member, an invocation, or `operator`.")
    from_: Instant | None = Field(None, alias="from", description="Inclusive.")
    to: Instant | None = Field(None, description="Exclusive.")
    format: Literal["json", "csv", "ndjson"] = Field(
        "json", description="`csv` and `ndjson` answer with all of them at once; lines of `ndjson` carry their seal."
    )
    limit: int = Field(50, ge=1, le=100, description="For `json` alone.")
    cursor: str | None = Field(None, description="For `json` alone.")

    def asked(self) -> dict[str, Any]:
        """The filters as they were sent."""
        return {name: value for name, value in self.sent_json().items() if name not in {"format", "limit", "cursor"}}

    def filters(self) -> Filters:
        """What is asked for."""
        return Filters(self.event, self.resource_id, self.workspace_id, self.actor_id, self.from_, self.to)


def _export(filters: Filters) -> Table[Sealed]:
    async def rows(tx: Tx, last: Sealed | None, most: int) -> Sequence[Sealed]:
        return await audit.sealed_after(tx, filters, last, most)

    return Table("audit-log", rows, CSV_COLUMNS, csv_cells, SealedShown.of_sealed)


@routes.get("/v1/audit-log", response_model=PageOf[EntryShown], responses=TOLD)
@access(Who.AGENCY, "audit:read")
async def list_entries(request: Request, query: Annotated[ListEntries, Query()]) -> Response:
    """List what was done in the agency.

    Every change with who made it, from where, and what it changed; the newest first. The list never counts. With
    `format` all of it is exported, which is recorded in turn.
    """
    call = call_of(request)
    filters = query.filters()
    if query.format != "json":
        async with call.writing() as tx:
            await audit.export(tx, call.caller, log="audit-log", wanted=query.format, asked=query.asked())
        return exported(call, _export(filters), query.format)
    position = call.cursor(_LIST, query.cursor)
    async with call.reading() as tx:
        entries, more = await audit.page(
            tx, call.caller, filters, limit=query.limit, after_id=position[0] if position else None
        )
    shown = PageOf[EntryShown](
        data=[EntryShown.of(entry) for entry in entries],
        next_cursor=call.next_cursor(_LIST, [entries[-1].id] if more else None),
        total=None,
    )
    return call.answer(200, shown)


class Verify(Body):
    """A place of the chain that was written down earlier, if there is one: the chain must still go through it."""

    position: int | None = Field(None, ge=1, le=2**62, description="As `sealedTo.position` told it.")
    hash: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="As `sealedTo.hash` told it then.")

    def known(self) -> Place | None:
        """Both or nothing."""
        if (self.position is None) != (self.hash is None):
            raise BadField("?hash" if self.hash is None else "?position", "goes together with the other one")
        return None if self.position is None else Place(self.position, bytes.fromhex(self.hash or ""))


@routes.get("/v1/audit-log/verify", response_model=VerdictShown)
@access(Who.AGENCY, "audit:read")
async def verify_log(request: Request, query: Annotated[Verify, Query()]) -> Response:
    """Verify the audit log.

    Walks every entry of the agency: each must be as it was written, stand where it was sealed, and the chain must end
    where it was signed to end. The first thing that is wrong is named.
    """
    call = call_of(request)
    known = query.known()
    async with call.reading(snapshot=True) as tx:
        verdict = await audit.verify(tx, call.caller, known=known)
    return call.answer(200, VerdictShown.of(verdict, whole=call.caller.reach.workspace_ids is None))


routes.routes.extend(call_routes.routes.routes)
