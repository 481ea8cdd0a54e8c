"""What hostile requests meet: a real server with the whole application, and an agency that must not change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from colonnade import app
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.settings import Settings, pepper_of
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_workspace, an_agency
from tests.hostile.standing import Line, standing
from tests.serving import a_key

Census = Callable[[], Awaitable[dict[str, int]]]

_TENANT_TABLES = """
select c.table_name from information_schema.columns c
join information_schema.tables t using (table_schema, table_name)
where c.table_schema = 'public' and c.column_name = 'agency_id' and t.table_type = 'BASE TABLE'
  and c.table_name not in ('request_log', 'api_key_use')
"""


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("installation")
    return Settings(data_dir=folder, secret_key=SecretStr("a secret of the tests, forty characters ."))


@pytest_asyncio.fixture(scope="session")
async def house(settings: Settings, address: Address) -> AsyncIterator[Database]:
    """The door as the served application has it, with its digests."""
    database = Database(address, "colonnade_app", pepper_of(settings), most_connections=5)
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def port(settings: Settings, address: Address) -> Any:
    """Where the whole application answers."""
    with standing(app.create(settings, address)) as port:
        yield port


@dataclass(frozen=True, slots=True)
class Target:
    """An agency with one workspace and a key for all of it, and a line to the server that holds it."""

    home: Home
    workspace: Workspace
    line: Line
    key: str


@pytest_asyncio.fixture
async def target(house: Database, port: int) -> Target:
    home = await an_agency(house)
    workspace = await a_workspace(house, home)
    key = (await a_key(house, home, preset="master", rate_limit=None))["authorization"].removeprefix("Bearer ")
    return Target(home, workspace, Line(port, key), key)


@pytest_asyncio.fixture
async def census(owner: "asyncpg.Connection[asyncpg.Record]", target: Target) -> Census:
    """Counts every row that the target's agency has, but for what is noted of every request."""
    tables = [row["table_name"] for row in await owner.fetch(_TENANT_TABLES)]
    counts = " union all ".join(
        f"select '{table}' as name, count(*) as rows from \"{table}\" where agency_id = $1" for table in tables
    )

    async def count() -> dict[str, int]:
        return {row["name"]: row["rows"] for row in await owner.fetch(counts, target.home.agency_id)}

    return count
