"""Bulk actions over HTTP: the curl that people copy, plans, items, and every no."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest_asyncio

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.runs.bulk.routes import routes
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces.routes import routes as workspace_routes
from tests.factories import Home, a_workspace, an_agency
from tests.serving import a_key, served

BULK = "/v1/workspaces/bulk-action"
INVOKE: dict[str, Any] = {
    "action": "agent.invoke",
    "workspaces": "all",
    "config": {"skill": "draft_post", "input": {"topic": "A fair comparison"}},
}


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [routes, workspace_routes]) as client:
        yield client


async def a_home(database: Database, *, brands: int = 2, granted: int = 100_000) -> tuple[Home, list[str]]:
    """An agency with credits in its own pool and some workspaces, by their ids."""
    home = await an_agency(database)
    made = [(await a_workspace(database, home, name=f"Brand {number}")).id for number in range(brands)]
    if granted:
        async with database.transaction(home.reach) as tx:
            await credits.grant(tx, home.caller, amount=MilliCredits(granted))
    return home, made


async def archive(database: Database, home: Home, workspace_id: str) -> None:
    async with database.transaction(home.reach) as tx:
        await workspaces.archive(tx, home.caller, workspace_id)


async def runs_of(database: Database, home: Home) -> int:
    async with database.transaction(home.reach) as tx:
        count: int = await tx.fetchval("select count(*) from run where agency_id = $1", home.agency_id)
        return count


def pointers(answer: httpx2.Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_the_copied_curl_starts_a_run_in_every_active_workspace(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home, ids = await a_home(database, brands=3)
    await archive(database, home, ids[2])
    key = await a_key(database, home)
    form = {**key, "content-type": "application/x-www-form-urlencoded"}

    answer = await http.post(BULK, headers=form, content=json.dumps(INVOKE))
    shown = answer.json()
    read = await http.get(answer.headers["location"], headers=key)
    items = await http.get(shown["links"]["items"], headers=key)

    assert answer.status_code == 202
    assert shown["bulkActionId"].startswith("bulk_")
    assert shown["status"] == "PENDING"
    assert shown["counts"] == {
        **dict.fromkeys(("running", "waiting", "succeeded", "failed", "cancelled", "skipped"), 0),
        **{"total": 2, "pending": 2},
    }
    assert shown["links"] == {"self": answer.headers["location"], "items": f"{answer.headers['location']}/items"}
    assert read.json() == shown
    assert [item["workspaceId"] for item in items.json()["data"]] == sorted(ids[:2])
    assert all(item["state"] == "PENDING" and item["invocationId"] for item in items.json()["data"])
    assert await runs_of(database, home) == 2
