"""One PostgreSQL for the whole test run, one template from the real migrations, one copy of it for each process."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.db.migrating import migrate
from colonnade.schema import STEPS
from tests.sweep.watching import Sweep, watching

TEMPLATE = "colonnade_template"
PEPPER = Pepper({1: b"pepper of the tests, 32 bytes ...", 2: b"the one before"}, current=1)
_FOLDER = "COLONNADE_TEST_FOLDER"
_SWEEP = pytest.StashKey[Sweep]()
_UNSAFE_BUT_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}


async def _make_template(address: Address) -> None:
    owner = await asyncpg.connect(**address.arguments("colonnade_owner", database="colonnade"))
    await owner.execute(f"create database {TEMPLATE}")
    await owner.close()
    template = await asyncpg.connect(**address.arguments("colonnade_owner", database=TEMPLATE))
    await migrate(template, STEPS)
    await template.close()


LONG = re.compile(
    r"tests/(hostile|ops|journeys)/|tests/audit/test_exports|tests/house/test_(matrix|budgets)|tests/sweep/test_whole"
    r"|tests/credits/test_machine|tests/ground/test_(embedded|migrating|outgoing_client)"
    r"|tests/runs/test_(worker|engine_(leases|waits)|writing_hosted|invocations_(failing|cancel)|bulk_following)"
)
"""What takes long: left out of the everyday loop, never of the whole."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if LONG.search(item.nodeid):
            item.add_marker(pytest.mark.long)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SWEEP] = Sweep()
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    folder = Path(tempfile.mkdtemp(prefix="colonnade-tests-"))
    cluster = embedded.start(folder, settings=_UNSAFE_BUT_QUICK)
    asyncio.run(_make_template(cluster.address))
    os.environ[_FOLDER] = str(folder)

    def clean_up() -> None:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)

    config.add_cleanup(clean_up)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.config.stash[_SWEEP].heard(report)
    return report


@pytest.fixture(scope="session", autouse=True)
def sweep(pytestconfig: pytest.Config) -> Iterator[Sweep]:
    """What this process makes to be secret must be nowhere in clear at its end; told with the last test."""
    sweep = pytestconfig.stash[_SWEEP]
    sweep.known.note(PEPPER.keys[PEPPER.current].decode(), "secret of the installation")
    with watching(sweep):
        yield sweep
    if sweep.leaks:
        pytest.fail(sweep.told(), pytrace=False)


@pytest.fixture(scope="session")
def server() -> Address:
    """The test server's address; its database is the untouched one made at the start."""
    return embedded.locate(Path(os.environ[_FOLDER]))


@pytest_asyncio.fixture(scope="session")
async def address(server: Address, worker_id: str, sweep: Sweep) -> AsyncIterator[Address]:
    """A database of this process alone, copied from the template."""
    name = f"colonnade_test_{worker_id}"
    for password in server.passwords.values():
        sweep.known.note(password, "password of the database")
    owner = await asyncpg.connect(**server.arguments("colonnade_owner"))
    await owner.execute(f"create database {name} template {TEMPLATE}")
    address = Address(server.host, server.port, name, server.passwords)
    yield address
    await sweep.look_at(address, Path(os.environ[_FOLDER]))
    await owner.execute(f"drop database {name} with (force)")
    await owner.close()


@pytest_asyncio.fixture(scope="session")
async def database(address: Address) -> AsyncIterator[Database]:
    """The door as the servers use it."""
    database = Database(address, "colonnade_app", PEPPER, most_connections=20)
    await database.open()
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session")
async def worker_database(address: Address) -> AsyncIterator[Database]:
    """The door as the background workers use it."""
    database = Database(address, "colonnade_worker", PEPPER, most_connections=20)
    await database.open()
    yield database
    await database.close()


@pytest_asyncio.fixture
async def owner(address: Address) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection as the owner of the schema, for looking into the catalogue."""
    connection = await asyncpg.connect(**address.arguments("colonnade_owner"))
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="session")
async def a_schema_owner(address: Address) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """The same for what is made once for all tests."""
    connection = await asyncpg.connect(**address.arguments("colonnade_owner"))
    yield connection
    await connection.close()
