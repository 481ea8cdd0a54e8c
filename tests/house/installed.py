"""The whole application as `serve` makes it, called without a socket, and photographs of what belongs to an agency."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import asyncpg
import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr
from starlette.types import ASGIApp

from colonnade import app
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.integrations import MasterKeys
from colonnade.settings import Settings, masters_of, pepper_of
from tests.serving import an_address

MOVING: Final = {"api_key_use", "request_log", "workspace_activity"}
"""What calls note of themselves, also those that are refused."""

ID: Final = re.compile(r"\b[a-z]+_[0-7][0-9a-z]{25}\b")


@dataclass(frozen=True, slots=True)
class KeyHeld:
    """A key that a test calls with: its text as a header, and what it may do."""

    name: str
    id: str
    headers: Mapping[str, str]
    is_agency_wide: bool
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Installed:
    """The application, served without a socket, and the doors to its database."""

    client: httpx2.AsyncClient
    database: Database
    worker: Database
    masters: MasterKeys

    async def call(self, key: KeyHeld | None, method: str, path: str, **sent: Any) -> httpx2.Response:
        """One request with this key; `headers` and `json` as the client takes them."""
        headers = {**(key.headers if key else {}), **sent.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **sent)


def _none_kept() -> CookieJar:
    """Each call shows what it is told to show, and nothing that an answer before has set."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


@contextlib.asynccontextmanager
async def _alive(application: ASGIApp) -> AsyncIterator[None]:
    """The application between its start and its end, as a server would tell it."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    serving = asyncio.ensure_future(application(scope, told.get, said.put))
    await told.put({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await said.get())["type"] == "lifespan.shutdown.complete"
        await serving


@pytest_asyncio.fixture(scope="session")
async def installed(address: Address, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installed]:
    """The whole application on the database of this test process."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("installed"), secret_key=SecretStr("of the tests " * 4))
    application = app.create(settings, address)
    pepper, masters = pepper_of(settings), masters_of(settings)
    database, worker = (Database(address, role, pepper) for role in ("colonnade_app", "colonnade_worker"))
    await database.open()
    await worker.open()
    base = "http://colonnade.example"
    transport = httpx2.ASGITransport(application, client=an_address())
    async with (
        _alive(application),
        httpx2.AsyncClient(transport=transport, base_url=base, cookies=_none_kept()) as client,
    ):
        yield Installed(client, database, worker, masters)
    await worker.close()
    await database.close()


_TENANT: Final = """
select c.relname::text as name from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relrowsecurity
order by 1
"""


# When and from where a session was last used changes with each use.
_LINES: Final = (
    "select (to_jsonb(t) - '{last_seen_at,address}'::text[])::text as line from %s t where agency_id = $1 order by 1"
)


async def photograph(owner: "asyncpg.Connection[asyncpg.Record]", agency_id: str) -> dict[str, list[str]]:
    """Every row of an agency as text, by table, but for what calls note of themselves.

    Read by the schema's owner with the whole agency in scope, for row security holds for the owner as well; where the
    role that looks up sees more, so does the owner, hence the condition.
    """
    tables = [row["name"] for row in await owner.fetch(_TENANT)]
    async with owner.transaction(readonly=True):
        await owner.execute(f"set local app.agency_id = '{agency_id}'; set local app.workspace_ids = '*'")
        return {
            table: [row["line"] for row in await owner.fetch(_LINES % table, agency_id)]
            for table in tables
            if table not in MOVING
        }


def ids_in(text: str) -> set[str]:
    """Everything in the text that has the shape of an id."""
    return set(ID.findall(text))


_IDS: Final = "select id from %s where agency_id = $1 and workspace_id = $2"


async def ids_of_workspace(owner: "asyncpg.Connection[asyncpg.Record]", agency_id: str, workspace_id: str) -> set[str]:
    """The workspace's id and those of all rows that are its own."""
    rows = await owner.fetch(
        """select a.attrelid::regclass::text as name from pg_attribute a join pg_attribute b using (attrelid)
           join pg_class c on c.oid = a.attrelid
           where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relrowsecurity
             and a.attname = 'workspace_id' and b.attname = 'id'"""
    )
    found = {workspace_id}
    async with owner.transaction(readonly=True):
        await owner.execute(f"set local app.agency_id = '{agency_id}'; set local app.workspace_ids = '*'")
        for row in rows:
            lines = await owner.fetch(_IDS % row["name"], agency_id, workspace_id)
            found |= {line["id"] for line in lines}
    return found
