"""Leases: a run belongs to one process at a time, whoever dies, freezes or takes long."""

import asyncio
import signal
from typing import Any

from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import LeaseLost, Retry
from tests.runs.engine_fixtures import QUEUE, Diary, Engine, engine, engine_address, engine_pool, until, write

__all__ = ["engine", "engine_address", "engine_pool"]


async def test_after_kill_9_in_a_step_another_worker_goes_on_there_with_the_same_key(engine: Engine) -> None:
    async with engine.worker_process() as doomed:
        task = await engine.spawn("stumbling", retry=Retry(max_attempts=1))
        await engine.seen_something(task, "second")
        doomed.kill()
        doomed.wait()
    async with engine.worker_process():
        ended = await engine.ended(task)
    assert ended.result == {"names": ["first", "second", "third"]}
    assert await engine.seen(task) == ["first", "second", "lost:1", "second", "third", "completed"]
    keys = await engine.pool.fetch("select distinct key from seen where what = 'second'")
    assert [row["key"] for row in keys] == [f"{task}:second"]


async def test_what_a_frozen_worker_writes_after_it_was_replaced_is_refused(engine: Engine) -> None:
    async with engine.worker_process(lease_seconds=1) as frozen:
        task = await engine.spawn("stumbling")
        await engine.seen_something(task, "second")
        frozen.send_signal(signal.SIGSTOP)
        async with engine.worker_process():
            ended = await engine.ended(task)
        frozen.send_signal(signal.SIGCONT)
        later = await engine.spawn("stumbling")
        await engine.seen_something(later, "second")
    assert ended.result == {"names": ["first", "second", "third"]}
    assert (await engine.state(task)) == ended
    assert (await engine.seen(task)).count("completed") == 1


async def test_a_task_that_kills_its_workers_is_not_handed_on_for_ever(engine: Engine) -> None:
    task = await engine.spawn("deadly")
    for _ in range(3):
        async with engine.worker_process(lease_seconds=1) as victim:
            await until(lambda victim=victim: victim.poll() is not None)  # type: ignore[misc]
    async with engine.worker_process(lease_seconds=1):
        ended = await engine.ended(task)
    assert (ended.state, ended.failure["name"]) == ("failed", "TooManyLostLeases")
    assert await engine.seen(task) == ["lost:1", "lost:2", "lost:3", "failed:True"]


async def test_a_step_longer_than_its_lease_runs_once(engine: Engine) -> None:
    begun: list[int] = []

    async def long(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def takes_long() -> int:
            begun.append(ctx.attempt)
            await asyncio.sleep(2.6)
            return ctx.attempt

        return {"attempt": await ctx.step("long", takes_long)}

    async with engine.working({"long": long}, lease_seconds=1), engine.working({"long": long}, lease_seconds=1):
        assert (await engine.ended(await engine.spawn("long"))).result == {"attempt": 1}
    assert begun == [1]


async def test_a_run_whose_lease_was_lost_is_stopped_and_may_write_nothing(engine: Engine) -> None:
    stopped: list[str] = []
    begun = asyncio.Event()

    async def robbed(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            stopped.append("here")
        await ctx.step("late", lambda: asyncio.sleep(0, "late"))
        return {"robbed": True}

    diary = Diary()
    async with engine.working({"robbed": robbed}, lease_seconds=3, hooks=diary) as worker:
        task = await engine.spawn("robbed")
        await asyncio.wait_for(begun.wait(), 30)
        taken = await _rob(engine)
        await until(lambda: worker.counters.lost == 1)
        assert worker.active == 0
    assert stopped == ["here"]
    assert diary.told == []
    assert (taken.task_id, taken.attempt, taken.journal) == (task, 2, {})


async def _rob(engine: Engine) -> Any:
    """Let the lease run out and take the run, as another worker would."""
    async with engine.pool.acquire() as connection, connection.transaction():
        await connection.execute("update absurd.r_interactive set claim_expires_at = now() where state = 'running'")
        # The engine notices the expired lease in one look, and hands the run out in the next.
        assert await gateway.claim(connection, QUEUE, "robber", lease_seconds=60, count=1) == []
        [taken] = await gateway.claim(connection, QUEUE, "robber", lease_seconds=60, count=1)
    return taken


async def test_a_result_that_comes_after_the_lease_was_lost_is_refused_together_with_the_houses_rows(
    engine: Engine,
) -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def late(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        return {"late": True}

    diary = Diary()
    async with engine.working({"late": late}, lease_seconds=60, hooks=diary) as worker:
        task = await engine.spawn("late")
        await asyncio.wait_for(begun.wait(), 30)
        await _rob(engine)
        go_on.set()
        await until(lambda: worker.counters.lost == 1)
    assert len(diary.told) == 1
    assert await engine.seen(task) == []
    assert (await engine.state(task)).state == "running"


async def test_a_run_that_was_parked_and_taken_again_does_not_obey_its_first_holder(engine: Engine) -> None:
    task = await engine.spawn("anything")
    async with engine.pool.acquire() as connection:
        [first] = await gateway.claim(connection, QUEUE, "same worker", lease_seconds=60, count=1)
        await gateway.hand_back(connection, first)
        [second] = await gateway.claim(connection, QUEUE, "same worker", lease_seconds=60, count=1)
        assert second.run_id == first.run_id
        verdicts = await gateway.extend(connection, QUEUE, [first], 60)
        assert verdicts.lost == {first.grip}
        assert not (await gateway.extend(connection, QUEUE, [second], 60)).lost
        for refused in (
            gateway.complete(connection, first, {}),
            gateway.save_checkpoint(connection, first, "step", "1"),
            gateway.hand_back(connection, first),
            gateway.await_event(connection, first, "event", None),
        ):
            await _is_refused(refused)
        await gateway.complete(connection, second, {})
    assert (await engine.state(task)).state == "completed"


async def _is_refused(action: Any) -> None:
    try:
        await action
    except LeaseLost:
        return
    raise AssertionError("the first holder was obeyed")


async def test_lost_leases_are_not_counted_as_failures(engine: Engine) -> None:
    async def fails(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        await write_seen(engine, ctx)
        raise OSError

    task = await engine.spawn("fails", retry=Retry(2, 0.01, 0.02))
    async with engine.pool.acquire() as connection:
        await gateway.claim(connection, QUEUE, "dies", lease_seconds=60, count=1)
    for _ in range(3):
        await _rob(engine)
    await engine.pool.execute("update absurd.r_interactive set claim_expires_at = now() where state = 'running'")
    async with engine.working({"fails": fails}):
        assert (await engine.ended(task)).state == "failed"
    assert await engine.seen(task) == ["lost:4", "try:5", "failed:False", "try:6", "failed:True"]


async def write_seen(engine: Engine, ctx: Context) -> None:
    async with engine.pool.acquire() as connection:
        await write(connection, ctx.task_id, f"try:{ctx.attempt}")
