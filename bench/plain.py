"""The same application as shipped, except that each read of a workspace opens a transaction of its own."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.types import ASGIApp

from bench.servers import serve_handed_on
from colonnade.app import Server, routers
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.doorway import Doorway
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.installation import address_of
from colonnade.processes import set_up_logs
from colonnade.settings import Settings


def create(settings: Settings) -> ASGIApp:
    """All layers and routes, without the shared reader."""
    server = Server(settings, address_of(settings))

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await server.open()
        yield
        await server.close()

    app = assemble(server.house, routers(), lifespan)
    return Envelope(Doorway(app, server.keeper), EnvelopeOptions(), server.note)


if __name__ == "__main__":
    told = Settings()
    set_up_logs(told)
    serve_handed_on(create(told))
