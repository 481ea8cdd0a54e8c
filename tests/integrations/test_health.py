"""The health of a workspace's integrations, from facts: is there a key, how did its last use go, and to whom."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from colonnade import integrations
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.integrations.health import Use, target_of
from colonnade.runs.invocations import RunState
from colonnade.tenancy import workspaces
from tests.fakes.chat_server import ChatServer
from tests.runs.run_fixtures import MASTERS, Bench, a_bench, alone, asking, provider, working

__all__ = ["alone", "provider"]

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("worked_at", "failed_at", "reason", "since", "health"),
    [
        (None, None, None, None, "healthy"),
        (AT, None, None, None, "healthy"),
        (LATER, AT, "model.refused_key", None, "healthy"),
        (AT, LATER, "model.refused_key", None, "error"),
        (AT, LATER, "model.rate_limited", None, "warning"),
        (None, AT, "publishing.unreachable", None, "warning"),
        (None, AT, "publishing.receiver_refused", None, "error"),
        (None, AT, "provider_keys.unreadable", None, "error"),
        (None, AT, "model.refused_key", LATER, "healthy"),
    ],
)
def test_the_last_outcome_since_the_key_was_stored_counts(
    worked_at: datetime | None, failed_at: datetime | None, reason: str | None, since: datetime | None, health: str
) -> None:
    assert Use("openai", None, worked_at, failed_at, reason).health(since) == health


def test_a_target_tells_receivers_apart_and_repeats_none() -> None:
    one, two = ({"kind": "webhook", "url": f"https://x.example/{name}"} for name in ("token-a", "token-b"))
    assert target_of(one) != target_of(two) != target_of({"kind": "folder"})
    assert "token" not in target_of(one)


async def health(database: Database, bench: Bench) -> dict[str, str]:
    async with database.transaction(bench.home.reach, read_only=True) as tx:
        return dict((await integrations.health_block(tx, [bench.workspace.id]))[bench.workspace.id])


async def store_key(bench: Bench, text: str, *, is_agency: bool = False) -> None:
    async with bench.database.transaction(bench.home.reach) as tx:
        workspace_id = None if is_agency else bench.workspace.id
        await integrations.put(
            tx, bench.home.caller, masters=MASTERS, workspace_id=workspace_id, provider="openai", secret=Secret(text)
        )


async def test_a_key_that_is_there_and_never_failed_is_healthy_and_what_is_not_there_is_not_connected(
    database: Database,
) -> None:
    bench = await a_bench(database)
    before = await health(database, bench)
    await store_key(bench, "sk-" + "a" * 20, is_agency=True)
    after = await health(database, bench)

    assert before["openai"] == before["ahrefs"] == before["google_search_console"] == "not_connected"
    assert before["publishing"] == "healthy"
    assert (after["openai"], after["ahrefs"]) == ("healthy", "not_connected")


async def test_a_key_that_its_provider_refuses_is_an_error_until_another_is_stored(
    database: Database, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    bench = await a_bench(database, settings={"defaultModel": "openai:model-1"})
    await store_key(bench, "sk-" + "a" * 20)
    provider.plan = [401]
    async with working(address, tmp_path, models=asking(provider)):
        run = await bench.start(input={"publish": False})
        ended = await bench.in_state(run.id, *ENDED)
        assert (ended.state, (ended.error or {})["reason"]) == (RunState.FAILED, "model.refused_key")
        assert (await health(database, bench))["openai"] == "error"

        await store_key(bench, provider.key)
        assert (await health(database, bench))["openai"] == "healthy", "nothing is known against the new one"
        run = await bench.start(input={"publish": False})
        assert (await bench.in_state(run.id, *ENDED)).state is RunState.SUCCEEDED
    assert (await health(database, bench))["openai"] == "healthy"


async def test_a_receiver_that_cannot_be_reached_is_told_and_another_begins_anew(
    database: Database, address: Address, tmp_path: Path
) -> None:
    gone = {"kind": "webhook", "url": "http://127.0.0.1:9/hook"}
    policy = {"publish": "auto"}
    bench = await a_bench(database, settings={"publishing": gone, "approvalPolicy": policy})
    async with working(address, tmp_path):
        run = await bench.start()
        ended = await bench.in_state(run.id, *ENDED)
    assert ended.state is RunState.FAILED
    told = await health(database, bench)
    assert told["publishing"] == "error", "a private address is refused, and stays so"

    async with database.transaction(bench.home.reach) as tx:
        patch: dict[str, Any] = {"settings": {"publishing": {"kind": "folder", "url": None}}}
        await workspaces.update(tx, bench.home.caller, bench.workspace.id, patch=patch)
    assert (await health(database, bench))["publishing"] == "healthy"


async def test_many_workspaces_cost_as_many_statements_as_one(database: Database) -> None:
    bench = await a_bench(database)
    async with database.transaction(bench.home.reach) as tx:
        ids = [
            (await workspaces.create(tx, bench.home.caller, fields={"name": f"n{number}"})).id for number in range(20)
        ]

    async def statements(some: list[str]) -> int:
        asked: list[Any] = []
        async with database.transaction(bench.home.reach) as tx:
            with tx._connection.query_logger(asked.append):
                assert set(await integrations.health_block(tx, some)) == set(some)
        return len(asked)

    assert await statements(ids) == await statements(ids[:1]) <= 8
