"""Operations over HTTP without a socket: the real layers around some routers, and keys to call them with."""

import contextlib
import ipaddress
import itertools
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
from fastapi import APIRouter

from colonnade.ground.core.envelope import MasterKeys
from colonnade.ground.db.database import Database
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.doorway import Doorway
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.tenancy import keys, sessions, workspaces
from colonnade.tenancy.keys.routes import FOR_ANYONE
from tests.factories import Home

MASTERS = MasterKeys.single(bytes(32))

_places = itertools.count(os.getpid() % 4096 * 4096)


def an_address() -> tuple[str, int]:
    """A source address of one's own: calls without a good key are counted by address, over all tests of a minute."""
    return str(ipaddress.IPv4Address(int(ipaddress.IPv4Address("10.0.0.0")) + next(_places) % 2**24)), 4711


@contextlib.asynccontextmanager
async def served(
    database: Database,
    routers: Sequence[APIRouter],
    state: dict[str, Any] | None = None,
    options: EnvelopeOptions | None = None,
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with these routers; `state` is laid on the application besides."""

    app = assemble(House(database, workspaces.WorkspaceFinder(database).find), routers)
    for name, value in (state or {}).items():
        setattr(app.state, name, value)
    keeper = keys.KeyKeeper(database)
    await keeper.start()
    people = sessions.SessionKeeper(database, keeper.limiter, sessions.Cookie())
    await people.start()
    entrance = sessions.Entrance(database, keeper.limiter, MASTERS)
    setattr(app.state, sessions.STATE, sessions.Desk(entrance, people.cookie))
    layers = Envelope(
        Doorway(app, keeper, people, for_anyone=FOR_ANYONE), options or EnvelopeOptions(), lambda _visit: None
    )
    transport = httpx2.ASGITransport(layers, client=an_address())
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://colonnade.example") as client:
            yield client
    finally:
        await entrance.close()
        await people.close()
        await keeper.close()


async def a_key(database: Database, home: Home, workspace_id: str | None = None, **draft: Any) -> dict[str, str]:
    """The headers of a fresh key: the agency's master key, or one of the workspace."""
    wanted = keys.Draft("a key of the tests", **(draft or {"preset": "workspace" if workspace_id else "master"}))
    async with database.transaction(home.reach) as tx:
        minted = await keys.mint(tx, home.caller, wanted, workspace_id=workspace_id)
    return {"authorization": f"Bearer {minted.secret.reveal()}"}
