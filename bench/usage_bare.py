"""The same application as shipped, with one more operation: it takes the same events and only inserts them."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bench.servers import serve_handed_on
from colonnade.app import Server, routers
from colonnade.credits.event_model import EventOutcome, EventStatus, Misfit, ToldEvent
from colonnade.credits.event_routes import MOST_BYTES, OutcomeShown, TellUsage, UsageTold
from colonnade.ground.core.ids import new_ids
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Who, access, call_of, router, takes_list_as, takes_up_to
from colonnade.ground.web.applications import assemble, body_limit
from colonnade.ground.web.doorway import Doorway
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.installation import address_of
from colonnade.processes import set_up_logs
from colonnade.settings import Settings

PATH: Final = "/v1/usage/bare"

INSERT: Final = """
insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, cycle, credits, quantity, source,
                         external_id, metadata)
select $1, e.workspace_id, coalesce(e.at, $2), e.id, e.feature, $3, $2::date, e.credits, 1, e.source, e.external_id,
       e.metadata
from unnest($4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::jsonb[])
     as e (workspace_id, at, id, feature, credits, source, external_id, metadata)
"""

routes = router("Usage")


async def insert(tx: Tx, key_id: str, events: Sequence[ToldEvent], at: datetime) -> None:
    """Insert the events, and nothing else."""
    ids = new_ids("evt", len(events))
    rows: list[tuple[Any, ...]] = [
        (one.workspace_id, one.time, name, one.feature, one.credits or 0, one.source, one.id, one.metadata)
        for name, one in zip(ids, events, strict=True)
    ]
    await tx.execute(INSERT, tx.agency_id, at, key_id, *(list(column) for column in zip(*rows, strict=True)))


@routes.post(PATH, response_model=UsageTold)
@takes_list_as("events")
@takes_up_to(MOST_BYTES)
@access(Who.ANY_KEY, "usage:write")
async def insert_events(request: Request, body: TellUsage) -> Response:
    """Insert events."""
    call = call_of(request)
    events = [one for one in body.told() if not isinstance(one, Misfit)]
    async with call.writing() as tx:
        await insert(tx, call.caller.actor_id, events, await tx.now())
        outcomes = [OutcomeShown.of(EventOutcome(one.id, EventStatus.RECORDED)) for one in events]
        return call.answer(200, UsageTold(data=outcomes))


def create(settings: Settings) -> ASGIApp:
    """All layers and routes, and the bare one."""
    server = Server(settings, address_of(settings))

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await server.open()
        yield
        await server.close()

    app = assemble(server.house, [*routers(), routes], lifespan)
    options = EnvelopeOptions(most_bytes=body_limit(app, MOST_BYTES))
    return Envelope(Doorway(app, server.keeper), options, server.note)


if __name__ == "__main__":
    told = Settings()
    set_up_logs(told)
    serve_handed_on(create(told))
