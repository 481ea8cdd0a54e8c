"""Runs that do not go well: models, policies, archived workspaces, worn-out approvals, mistakes of ours."""

from pathlib import Path
from typing import Any

import pytest

from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.integrations import put
from colonnade.runs import invocations
from colonnade.runs.engine import gateway
from colonnade.runs.engine.model import NewTask, Retry, TaskId
from colonnade.runs.invocations import RunState
from colonnade.runs.invocations.admission import admit
from colonnade.runs.invocations.jobs import Limits
from colonnade.tenancy import workspaces
from tests.factories import an_agency
from tests.fakes.chat_server import TOKENS_IN, TOKENS_OUT, ChatServer
from tests.runs.run_fixtures import MASTERS, Bench, a_bench, alone, asking, bench, provider, until, working

__all__ = ["alone", "bench", "provider"]

UNTOUCHED = {"pool": 100_000, "issued": -100_000}
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


async def test_a_model_that_is_not_configured_fails_the_run_with_the_way_out_and_costs_nothing(
    database: Database, address: Address, tmp_path: Path
) -> None:
    bench = await a_bench(database, settings={"defaultModel": "anthropic:claude-x"})
    async with working(address, tmp_path):
        run = await bench.start()
        ended = await bench.in_state(run.id, *ENDED)

    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert (ended.error["code"], ended.error["reason"], ended.error["step"]) == (
        "UNPROCESSABLE",
        "model.not_configured",
        "write",
    )
    assert "provider-keys/anthropic" in ended.error["message"]
    assert await bench.balances() == UNTOUCHED


async def test_a_provider_that_stumbles_is_asked_again_and_the_run_is_charged_once(
    bench: Bench, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    provider.plan = [529]
    async with working(address, tmp_path, models=asking(provider)):
        run = await bench.start(input={"publish": False})
        ended = await bench.in_state(run.id, *ENDED)

    assert (ended.state, ended.credits_used) == (RunState.SUCCEEDED, 10_000)
    assert "try.failed" in [event for event, _ in await bench.events(run.id)]
    facts = await bench.fetchval(
        "select facts from run_step where agency_id = $1 and run_id = $2 and kind = 'model'", run.id
    )
    assert facts == {"model": "openai:model-1", "tokensIn": TOKENS_IN, "tokensOut": TOKENS_OUT}


async def test_a_refused_provider_key_stands_in_no_row_of_the_run(
    bench: Bench, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    wrong = "sk-wrong-key-0123456789"
    async with working(address, tmp_path, models=asking(provider, key=wrong)):
        run = await bench.start()
        ended = await bench.in_state(run.id, *ENDED)

    assert ended.error is not None
    assert ended.error["reason"] == "model.refused_key"
    for table in ("run", "run_step", "run_event", "audit_entry"):
        rows = await bench.fetchval(f"select jsonb_agg(t) from {table} t where agency_id = $1")
        assert wrong not in str(rows)
        assert provider.key not in str(rows)


async def test_a_workspaces_own_key_is_used_unless_it_is_switched_off(
    database: Database, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    bench = await a_bench(database)
    async with database.transaction(bench.home.reach) as tx:
        await put(
            tx,
            bench.home.caller,
            masters=MASTERS,
            workspace_id=bench.workspace.id,
            provider="openai",
            secret=Secret(provider.key),
        )
    async with working(address, tmp_path, models=asking(provider, key="sk-wrong-key-0123456789")):
        own = await bench.start(input={"publish": False})
        assert (await bench.in_state(own.id, *ENDED)).state is RunState.SUCCEEDED
        async with database.transaction(bench.home.reach) as tx:
            patch = {"settings": {"byok": {"openai": False}}}
            await workspaces.update(tx, bench.home.caller, bench.workspace.id, patch=patch)
        off = await bench.start(input={"publish": False})
        assert (await bench.in_state(off.id, *ENDED)).state is RunState.FAILED


async def test_a_workspace_that_is_archived_meanwhile_ends_its_run(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    run = await bench.start()
    async with bench.database.transaction(bench.home.reach) as tx:
        await workspaces.archive(tx, bench.home.caller, bench.workspace.id)
    async with working(address, tmp_path):
        ended = await bench.in_state(run.id, *ENDED)

    assert ended.error is not None
    assert (ended.state, ended.error["reason"]) == (RunState.FAILED, "workspace.archived")
    assert await bench.balances() == UNTOUCHED


async def test_an_archived_workspace_starts_nothing(bench: Bench) -> None:
    async with bench.database.transaction(bench.home.reach) as tx:
        await workspaces.archive(tx, bench.home.caller, bench.workspace.id)
    with pytest.raises(Refused) as caught:
        await bench.start()
    assert caught.value.reason == "workspace.archived"


async def test_an_approval_that_nobody_decides_expires_and_ends_the_run(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path, approval_seconds=1):
        run = await bench.start()
        ended = await bench.in_state(run.id, *ENDED)

    assert ended.result is not None
    assert (ended.state, ended.result["decision"]["status"]) == (RunState.CANCELLED, "EXPIRED")
    assert ended.credits_used == 10_000
    assert await bench.fetchval("select status from post where agency_id = $1 and run_id = $2", run.id) == "REJECTED"
    assert (
        await bench.fetchval("select count(*) from audit_entry where agency_id = $1 and event = 'approvals.expired'")
        == 1
    )


@pytest.mark.parametrize(
    ("agency", "own", "required", "waits"),
    [
        ({}, {}, False, True),
        ({"defaultApprovalPolicy": {"publish": "auto"}}, {}, False, False),
        ({"defaultApprovalPolicy": {"publish": "auto"}}, {}, True, True),
        ({}, {"publish": "auto"}, False, False),
        ({"defaultApprovalPolicy": {"publish": "auto"}}, {"publish": "require_approval"}, False, True),
    ],
)
async def test_a_run_waits_where_workspace_agency_or_the_run_itself_want_it(
    database: Database,
    address: Address,
    tmp_path: Path,
    agency: dict[str, Any],
    own: dict[str, str],
    required: bool,
    waits: bool,
) -> None:
    bench = await a_bench(database, settings={"approvalPolicy": own} if own else {})
    if agency:
        await bench.set_agency(**agency)
    async with working(address, tmp_path):
        run = await bench.start(approval_required=required)
        stands = await bench.in_state(run.id, RunState.WAITING_APPROVAL, *ENDED)
    assert stands.state is (RunState.WAITING_APPROVAL if waits else RunState.SUCCEEDED)


async def test_a_lock_of_the_agency_overrules_the_workspace(
    database: Database, address: Address, tmp_path: Path
) -> None:
    bench = await a_bench(database, settings={"approvalPolicy": {"publish": "auto"}})
    await bench.set_agency(lockedSettings=["approvalPolicy.publish"])
    async with working(address, tmp_path):
        run = await bench.start()
        assert (await bench.in_state(run.id, RunState.WAITING_APPROVAL, *ENDED)).state is RunState.WAITING_APPROVAL


async def test_a_task_whose_headers_name_another_tenant_touches_nothing(
    bench: Bench, worker_database: Database, address: Address, tmp_path: Path
) -> None:
    stranger = await an_agency(bench.database)
    run = await bench.start()
    await admit(worker_database, Limits(0, 0))
    headers = {"agency": stranger.agency_id, "workspace": bench.workspace.id}
    forged = NewTask("run", {"run": run.id}, key=f"forged {run.id}", headers=headers, retry=Retry(1, 0.1, 0.1))
    async with worker_database.pool.acquire() as connection:
        task = await gateway.spawn(connection, "interactive", forged)
    async with working(address, tmp_path, limits=Limits(0, 0)):
        await until(lambda: has_failed(worker_database, task))

    assert (await bench.run(run.id)).state is RunState.PENDING
    assert await bench.events(run.id) == [("state", "PENDING")]


async def has_failed(database: Database, task: TaskId) -> bool:
    async with database.pool.acquire() as connection:
        state = await gateway.find(connection, "interactive", task)
    return state is not None and state.state == "failed"


async def test_many_start_at_once_and_one_without_credits_fails_alone(database: Database) -> None:
    bench = await a_bench(database, granted="25")
    requests = [bench.request(queue="bulk") for _ in range(3)]
    async with database.transaction(bench.home.reach) as tx:
        outcomes = await invocations.invoke_many(tx, bench.home.caller, requests)

    assert [isinstance(outcome, Refused) for outcome in outcomes] == [False, False, True]
    assert await bench.balances() == {"pool": 3_000, "issued": -25_000, f"held:{bench.workspace.id}": 22_000}
