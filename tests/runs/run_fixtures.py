"""Agencies with credits that start runs, and a background process in this one that carries them out."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits, from_decimal
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.integrations import MasterKeys
from colonnade.outbound.mail import MailOptions
from colonnade.runs import approvals, invocations
from colonnade.runs.approvals import Approval, Ruling
from colonnade.runs.invocations import Run, RunState, StartRequest
from colonnade.runs.invocations.jobs import Limits
from colonnade.runs.writing import ModelOptions
from colonnade.tenancy import agencies
from colonnade.tenancy.workspaces import Workspace
from colonnade.worker import BackgroundProcess, WorkerProcessOptions
from tests.conftest import PEPPER
from tests.factories import Home, a_workspace, an_agency
from tests.fakes.chat_server import ChatServer, chat_server

PATIENCE_SECONDS = 100.0
"""How long a test waits for what must come; a bound against hanging, not a claim about speed."""

MASTERS = MasterKeys.single(b"a master key of the tests, 32 b.")


@dataclass
class Bench:
    """One agency with one workspace and credits, and what tests do with runs there."""

    database: Database
    home: Home
    workspace: Workspace

    @property
    def caller(self) -> Caller:
        """The master key, acting in the workspace."""
        return self.home.caller.within(self.workspace.id)

    def request(self, **fields: Any) -> StartRequest:
        fields.setdefault("input", {"topic": "A fair comparison"})
        return StartRequest(fields.pop("workspace_id", self.workspace.id), fields.pop("skill", "draft_post"), **fields)

    async def start(self, **fields: Any) -> Run:
        request = self.request(**fields)
        caller = self.home.caller.within(request.workspace_id)
        async with self.database.transaction(caller.reach) as tx:
            return await invocations.invoke(tx, caller, request)

    async def run(self, run_id: str) -> Run:
        async with self.database.transaction(self.home.reach, read_only=True) as tx:
            return await invocations.get(tx, self.home.caller, run_id)

    async def cancel(self, run_id: str) -> Run:
        async with self.database.transaction(self.caller.reach) as tx:
            return await invocations.cancel(tx, self.caller, run_id)

    async def in_state(self, run_id: str, *wanted: RunState) -> Run:
        """The run once it stands in one of these states."""

        async def there() -> Run | None:
            run = await self.run(run_id)
            return run if run.state in wanted else None

        found: Run = await until(there)
        return found

    async def approval_of(self, run_id: str) -> Approval:
        async with self.database.transaction(self.home.reach) as tx:
            identity = await approvals.pending_of(tx, self.home.caller, run_id)
            return await approvals.get(tx, self.home.caller, identity)

    async def decide(self, run_id: str, *, approve: bool, **said: Any) -> Approval:
        approval = await self.approval_of(run_id)
        async with self.database.transaction(self.caller.reach) as tx:
            return await approvals.decide(tx, self.caller, approval.id, Ruling(approve=approve, **said))

    async def steps(self, run_id: str) -> list[str]:
        async with self.database.transaction(self.home.reach, read_only=True) as tx:
            return [step.name for step in await invocations.steps(tx, self.home.caller, run_id)]

    async def events(self, run_id: str) -> list[tuple[str, Any]]:
        async with self.database.transaction(self.home.reach, read_only=True) as tx:
            found = await invocations.events_after(tx, self.home.caller, run_id, 0)
        return [(event.event, event.data.get("status") or event.data.get("name")) for event in found]

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        async with self.database.transaction(self.home.reach) as tx:
            return await tx.fetchval(sql, self.home.agency_id, *arguments)

    async def balances(self) -> dict[str, int]:
        """Every account of the agency that is not empty."""
        async with self.database.transaction(self.home.reach) as tx:
            rows = await tx.fetch("select id, balance from credit_account where agency_id = $1", self.home.agency_id)
        return {row["id"]: row["balance"] for row in rows if row["balance"]}

    async def set_agency(self, **settings: Any) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await agencies.update_settings(tx, self.home.caller, patch=settings)


async def until(condition: Callable[[], Any], patience: float = PATIENCE_SECONDS) -> Any:
    """Wait until the condition, a coroutine function, is true; its value."""
    async with asyncio.timeout(patience):
        while True:
            value = await condition()
            if value:
                return value
            await asyncio.sleep(0.03)


async def a_bench(database: Database, *, granted: str = "100", **fields: Any) -> Bench:
    """A fresh agency with credits and one workspace."""
    home = await an_agency(database)
    workspace = await a_workspace(database, home, **fields)
    if granted != "0":
        async with database.transaction(home.reach) as tx:
            await credits.grant(tx, home.caller, amount=MilliCredits(from_decimal(granted)))
    return Bench(database, home, workspace)


def options(address: Address, folder: Path, **changes: Any) -> WorkerProcessOptions:
    """A background process that looks often and works in the folder."""
    chosen: dict[str, Any] = {
        "limits": Limits(per_agency=16, per_workspace=8),
        "lease_seconds": 10,
        "poll_seconds": 0.3,
        "drain_seconds": 4.0,
        **changes,
    }
    return WorkerProcessOptions(address, PEPPER, MASTERS, folder, MailOptions(folder / "mail"), **chosen)


@contextlib.asynccontextmanager
async def working(address: Address, folder: Path, **changes: Any) -> AsyncIterator[BackgroundProcess]:
    """A background process inside this one for as long as the block lasts."""
    process, stop = BackgroundProcess(options(address, folder, **changes)), asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    try:
        yield process
    finally:
        stop.set()
        await task


EMPTY = "truncate run cascade"
EMPTY_ENGINE = """
select format('truncate %s', string_agg(format('absurd.%I', tablename), ', ')) from pg_tables
where schemaname = 'absurd' and tablename ~ '^[trcew]_'
"""


@pytest_asyncio.fixture(autouse=True)
async def alone(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No run of an earlier test waits for a worker of this one. For the modules that import it."""
    await owner.execute(EMPTY)
    await owner.execute(await owner.fetchval(EMPTY_ENGINE))


@pytest_asyncio.fixture
async def bench(database: Database) -> Bench:
    """A fresh agency with a hundred credits, and a workspace that says little of itself."""
    return await a_bench(database, brand={"shortDescription": "Project management for engineers"})


def folder_of_tests() -> Path:
    """Where the test server lives, for processes that are started on their own."""
    return Path(os.environ["COLONNADE_TEST_FOLDER"])


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ChatServer]:
    """A model's provider on loopback."""
    async with chat_server() as server:
        yield server


def asking(provider: ChatServer, *, key: str | None = None) -> ModelOptions:
    """The installation's models: this provider's, with its right key unless another is given."""
    return ModelOptions(
        default_model="openai:model-1",
        openai_key=Secret(key or provider.key),
        openai_base_url=provider.openai_url,
        timeout_seconds=20,
    )
