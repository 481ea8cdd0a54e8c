"""The background process: killed in the middle, told to stop, telling that it lives, keeping the house."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.runs.invocations import RunState
from tests.fakes.chat_server import ChatServer
from tests.fakes.receiver import Receiver
from tests.runs.run_fixtures import Bench, a_bench, alone, asking, bench, provider, until, working

__all__ = ["alone", "bench", "provider"]

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@contextlib.asynccontextmanager
async def a_worker_process(
    address: Address, folder: Path, provider: ChatServer, receiver: Receiver
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """A background process of its own; told to stop at the end if it still lives."""
    wish = {
        "cluster": os.environ["COLONNADE_TEST_FOLDER"],
        "database": address.database,
        "folder": str(folder),
        "key": provider.key,
        "provider": provider.openai_url,
        "allow": f"127.0.0.1/32:{receiver.port}",
    }
    process = subprocess.Popen([sys.executable, "-m", "tests.runs.worker_process", json.dumps(wish)])
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        await until(lambda: has_left(process))


async def has_left(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is not None


@pytest.mark.timeout(400)
async def test_a_run_goes_on_after_kill_9_without_repeating_its_steps_and_is_charged_once(
    database: Database, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    async with Receiver() as receiver:
        url = f"{receiver.url}/publish"
        receiver.answer(200, json.dumps({"url": "https://acme.example/post"}))
        receiver.answer_next(200, json.dumps({"url": "https://acme.example/post"}), delay=60)
        bench = await a_bench(
            database,
            settings={"approvalPolicy": {"publish": "auto"}, "publishing": {"kind": "webhook", "url": url}},
        )
        run = await bench.start()
        async with a_worker_process(address, tmp_path, provider, receiver) as first:
            await receiver.received(1, within_seconds=100)
            first.kill()
        async with a_worker_process(address, tmp_path, provider, receiver):
            ended = await bench.in_state(run.id, *ENDED)
        before, after = receiver.requests

    assert (ended.state, ended.credits_used, ended.error) == (RunState.SUCCEEDED, 11_000, None)
    assert len(provider.asked) == 1
    assert before.body == after.body
    assert before.headers["webhook-id"] == after.headers["webhook-id"]
    assert await bench.steps(run.id) == ["context", "write", "save", "approval", "approve", "publish"]
    assert await bench.fetchval("select count(*) from post where agency_id = $1") == 1
    assert ("worker.lost", None) in await bench.events(run.id)
    assert await bench.balances() == {"pool": 89_000, "issued": -100_000, f"used:{bench.workspace.id}": 11_000}


@pytest.mark.timeout(400)
async def test_a_process_that_is_told_to_stop_hands_its_runs_back_and_ends_well(
    bench: Bench, address: Address, tmp_path: Path, provider: ChatServer
) -> None:
    provider.plan = ["silence"]
    async with Receiver() as receiver:
        run = await bench.start(input={"publish": False})
        async with a_worker_process(address, tmp_path, provider, receiver) as process:
            await until(lambda: is_asked(provider))
        assert process.returncode == 0

    async with working(address, tmp_path, models=asking(provider)):
        ended = await bench.in_state(run.id, *ENDED)
    assert (ended.state, ended.credits_used) == (RunState.SUCCEEDED, 10_000)


async def is_asked(provider: ChatServer) -> bool:
    return bool(provider.asked)


async def test_a_decision_that_came_while_no_worker_lived_is_delivered_by_the_next_one(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path):
        run = await bench.start()
        await bench.in_state(run.id, RunState.WAITING_APPROVAL)
    await bench.decide(run.id, approve=True)
    async with working(address, tmp_path):
        assert (await bench.in_state(run.id, *ENDED)).state is RunState.SUCCEEDED


async def test_runs_are_taken_up_when_they_are_rung_for_long_before_the_next_look(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path, poll_seconds=3600):
        await until(lambda: beats(bench.database))
        run = await bench.start()
        await bench.in_state(run.id, RunState.WAITING_APPROVAL)
        await bench.decide(run.id, approve=True)
        assert (await bench.in_state(run.id, *ENDED)).state is RunState.SUCCEEDED


async def beats(database: Database) -> int:
    rows = await database.lookup("select count(*) as n from worker_heartbeat where at > now() - interval '10 seconds'")
    count: int = rows[0]["n"]
    return count


async def test_a_process_tells_that_it_lives_and_that_it_has_left(
    database: Database, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path):
        await until(lambda: beats(database))
    assert await beats(database) == 0


KEPT_ANSWER = """
insert into idempotency (agency_id, workspace_id, caller_id, key, method, path, body_digest, status, headers, body,
                         created_at)
values ($1, '', 'key', $2, 'POST', '/', '', 200, '{}', '', now() - make_interval(hours => $3))
"""


async def test_what_is_past_its_time_is_forgotten_and_nothing_else(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with bench.database.transaction(bench.home.reach) as tx:
        for key, hours in (("old", 25), ("young", 23)):
            await tx.execute(KEPT_ANSWER, bench.home.agency_id, key, hours)
    async with working(address, tmp_path):

        async def is_gone() -> bool:
            count: int = await bench.fetchval("select count(*) from idempotency where agency_id = $1")
            return count == 1

        await until(is_gone)
    assert await bench.fetchval("select key from idempotency where agency_id = $1") == "young"


async def test_a_burst_of_runs_of_two_agencies_ends_with_every_credit_accounted_for(
    database: Database, address: Address, tmp_path: Path
) -> None:
    homes = [await a_bench(database, granted="200") for _ in range(2)]
    runs = [(home, await home.start(input={"publish": False})) for home in homes for _ in range(8)]
    async with working(address, tmp_path):
        ended = await asyncio.gather(*(home.in_state(run.id, *ENDED) for home, run in runs))

    assert {run.state for run in ended} == {RunState.SUCCEEDED}
    for home in homes:
        assert await home.balances() == {"pool": 120_000, "issued": -200_000, f"used:{home.workspace.id}": 80_000}


KILL_CONNECTIONS = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where usename = 'colonnade_worker' and datname = current_database() and pid <> pg_backend_pid()
"""


async def test_a_process_outlives_the_loss_of_all_its_connections(
    bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path):
        waiting = await bench.start()
        await bench.in_state(waiting.id, RunState.WAITING_APPROVAL)
        axe = await asyncpg.connect(**address.arguments("colonnade_worker"))
        killed = 0
        for _ in range(5):
            killed += await axe.fetchval(KILL_CONNECTIONS)
            await asyncio.sleep(0.2)
        await axe.close()
        assert killed > 5

        await bench.decide(waiting.id, approve=True)
        later = await bench.start(input={"publish": False})
        for run in (waiting, later):
            assert (await bench.in_state(run.id, *ENDED)).state is RunState.SUCCEEDED
