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
from tests.house.installed import photograph
from tests.serving import a_key

Census = Callable[[], Awaitable[dict[str, list[str]]]]


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
async def target(house: Database, port: int, owner: "asyncpg.Connection[asyncpg.Record]") -> Target:
    # All tests call from one address, and thirty calls without a good key in a minute are all that it has.
    await owner.execute("delete from rate_window where subject like 'address:%'")
    home = await an_agency(house)
    workspace = await a_workspace(house, home)
    key = (await a_key(house, home, preset="master", rate_limit=None))["authorization"].removeprefix("Bearer ")
    return Target(home, workspace, Line(port, key), key)


@pytest_asyncio.fixture
async def census(owner: "asyncpg.Connection[asyncpg.Record]", target: Target) -> Census:
    """Every row that the target's agency has, but for what is noted of every request."""

    async def rows() -> dict[str, list[str]]:
        return await photograph(owner, target.home.agency_id)

    return rows
