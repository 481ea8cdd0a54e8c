"""The worker: slots, wakes, cancelling, leaving in good order, and dying loudly."""

import asyncio
from typing import Any

import asyncpg
import pytest

from colonnade.ground.db.database import Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import Cancelled, Expired
from colonnade.runs.engine.worker import Worker, WorkerOptions
from tests.runs.engine_fixtures import QUEUE, Diary, Engine, engine, engine_address, engine_pool, until

__all__ = ["engine", "engine_address", "engine_pool"]


async def quick(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Ends at once."""
    return {"quick": True}


class Gate:
    """Runs that stand in a step until they are let through."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.interrupted = 0
        self.opened = asyncio.Event()

    async def run(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        await ctx.step("gate", self._stand)
        await ctx.step("after", lambda: asyncio.sleep(0, "after"))
        return {"through": True}

    async def _stand(self) -> bool:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.interrupted += 1
            raise
        finally:
            self.inside -= 1
        return True


async def test_a_slot_that_frees_is_filled_though_others_are_still_busy(engine: Engine) -> None:
    gate = Gate()
    async with engine.working({"gate": gate.run, "quick": quick}, slots=2, poll_seconds=60) as worker:
        await engine.spawn("gate")
        await until(lambda: gate.inside == 1)
        for task in [await engine.spawn("quick") for _ in range(20)]:
            await engine.ended(task)
        assert (worker.active, gate.inside) == (1, 1)
        gate.opened.set()


async def test_no_more_runs_than_slots_are_in_a_worker_and_each_queue_has_its_own(engine: Engine) -> None:
    gate, other = Gate(), Gate()
    functions = {"gate": gate.run, "other": other.run}
    async with engine.working(functions, queues={QUEUE: 3, "bulk": 2}) as worker:
        for _ in range(8):
            await engine.spawn("gate")
            await engine.spawn("other", queue="bulk")
        await until(lambda: gate.inside == 3 and other.inside == 2)
        gate.opened.set()
        other.opened.set()
        await until(lambda: worker.counters.finished == 16)
    assert (gate.most, other.most) == (3, 2)


async def test_a_spawn_is_heard_at_once_without_polling(engine: Engine) -> None:
    async with engine.working({"quick": quick}, poll_seconds=3600) as worker:
        await _listens(engine)
        for _ in range(3):
            await engine.ended(await engine.spawn("quick"))
        await until(lambda: worker.counters.finished == 3)


async def _listeners(engine: Engine) -> list[int]:
    rows = await engine.pool.fetch(
        "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
    )
    return [row["pid"] for row in rows]


async def _listens(engine: Engine, besides: int = 0) -> int:
    async def there() -> list[int]:
        return [pid for pid in await _listeners(engine) if pid != besides]

    pids: list[int] = await until(there)
    return pids[0]


async def test_a_lost_listening_connection_is_replaced(engine: Engine) -> None:
    async with engine.working({"quick": quick}, poll_seconds=3600):
        pid = await _listens(engine)
        await engine.pool.execute("select pg_terminate_backend($1)", pid)
        await _listens(engine, besides=pid)
        await engine.ended(await engine.spawn("quick"))


async def test_a_worker_outlives_the_loss_of_all_its_connections(engine: Engine) -> None:
    gate = Gate()
    arguments = engine.address.arguments("colonnade_worker") | {"server_settings": {"application_name": "doomed"}}
    async with (
        asyncpg.create_pool(**arguments, min_size=4, max_size=4) as pool,
        engine.working({"gate": gate.run, "quick": quick}, pool=pool) as worker,
    ):
        task = await engine.spawn("gate")
        await until(lambda: gate.inside == 1)
        await engine.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doomed'"
        )
        gate.opened.set()
        assert (await engine.ended(task)).result == {"through": True}
        await engine.ended(await engine.spawn("quick"))
        assert worker.counters.lost == 0


async def test_a_queued_task_that_is_cancelled_never_runs(engine: Engine) -> None:
    task = await engine.spawn("quick")
    await engine.cancel(task)
    async with engine.working({"quick": quick}) as worker:
        await engine.ended(await engine.spawn("quick"))
        assert worker.counters.claimed == 1
    assert (await engine.state(task)).state == "cancelled"


async def test_a_running_task_that_is_cancelled_stops_at_once(engine: Engine) -> None:
    gate = Gate()
    diary = Diary()
    async with engine.working({"gate": gate.run}, lease_seconds=3600, hooks=diary) as worker:
        task = await engine.spawn("gate")
        await until(lambda: gate.inside == 1)
        await engine.cancel(task)
        await until(lambda: worker.counters.cancelled == 1)
    assert gate.interrupted == 1
    assert (await engine.state(task)).state == "cancelled"
    assert diary.told == []


async def test_a_waiting_task_that_is_cancelled_is_not_woken_by_its_event(engine: Engine) -> None:
    async def asks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        answer = await ctx.wait_for("answer")
        assert not isinstance(answer, Expired)
        return {"answer": answer}

    async with engine.working({"asks": asks, "quick": quick}) as worker:
        task = await engine.spawn("asks")
        await engine.in_state(task, "sleeping")
        await engine.cancel(task)
        await engine.emit("answer", "too late")
        await engine.ended(await engine.spawn("quick"))
        assert worker.counters.claimed == 2
    assert (await engine.state(task)).state == "cancelled"


async def test_a_task_cancelled_before_its_end_is_written_fails_alone(engine: Engine) -> None:
    tasks = [await engine.spawn("anything", key=f"k{n}") for n in range(3)]
    async with engine.pool.acquire() as connection:
        claims = await gateway.claim(connection, QUEUE, "me", lease_seconds=60, count=3)
        await gateway.cancel(connection, QUEUE, tasks[1])
        refused = []
        async with connection.transaction():
            for claim in claims:
                try:
                    async with connection.transaction():
                        await gateway.complete(connection, claim, {})
                except Cancelled:
                    refused.append(claim.task_id)
    assert refused == [tasks[1]]
    assert [(await engine.state(task)).state for task in tasks] == ["completed", "cancelled", "completed"]


async def test_a_stopping_worker_hands_runs_back_after_the_step_that_is_open(engine: Engine) -> None:
    gate = Gate()
    async with engine.working({"gate": gate.run}, drain_seconds=60) as worker:
        task = await engine.spawn("gate")
        await until(lambda: gate.inside == 1)
        worker.stop()
        gate.opened.set()
    assert (worker.counters.handed_back, worker.counters.finished, gate.interrupted) == (1, 0, 0)
    async with engine.working({"gate": gate.run}, poll_seconds=3600) as second:
        assert (await engine.ended(task)).result == {"through": True}
        assert second.counters.lost == 0
    assert (gate.most, await engine.seen(task)) == (1, ["completed"])


async def test_a_step_that_outlasts_the_drain_is_interrupted_and_its_run_handed_back(engine: Engine) -> None:
    gate = Gate()
    async with engine.working({"gate": gate.run}, drain_seconds=0.4, lease_seconds=3600) as worker:
        task = await engine.spawn("gate")
        await until(lambda: gate.inside == 1)
    assert (worker.counters.handed_back, gate.interrupted) == (1, 1)
    gate.opened.set()
    async with engine.working({"gate": gate.run}):
        assert (await engine.ended(task)).state == "completed"
    assert await engine.seen(task) == ["completed"]


async def test_a_step_that_is_done_is_kept_though_its_run_is_interrupted_meanwhile(engine: Engine) -> None:
    effects: list[int] = []
    locked = asyncio.Event()

    async def paying(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def pay() -> str:
            effects.append(1)
            locked.set()
            await unlocked.wait()
            return "paid"

        return {"paid": await ctx.step("pay", pay)}

    unlocked = asyncio.Event()
    async with engine.pool.acquire() as other, engine.working({"paying": paying}, drain_seconds=8) as worker:
        task = await engine.spawn("paying")
        await asyncio.wait_for(locked.wait(), 30)
        async with other.transaction():
            await other.execute("select from absurd.r_interactive for update")
            unlocked.set()
            await asyncio.sleep(0.2)
            for execution in worker._current():
                execution.give_back()
        await until(lambda: worker.counters.finished == 1)
    assert (await engine.state(task)).result == {"paid": "paid"}
    assert (effects, worker.counters.handed_back) == ([1], 1)


async def test_a_run_that_does_not_let_itself_be_interrupted_is_not_handed_back(engine: Engine) -> None:
    begun = asyncio.Event()
    end = asyncio.Event()

    async def stubborn(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue
        return {}

    async with engine.working({"stubborn": stubborn}, drain_seconds=0.4, lease_seconds=3600) as worker:
        task = await engine.spawn("stubborn")
        await asyncio.wait_for(begun.wait(), 30)
    assert worker.counters.handed_back == 0
    assert (await engine.state(task)).state == "running"
    end.set()


async def test_parallel_steps_are_all_ended_before_the_run_is(engine: Engine) -> None:
    ended: list[str] = []
    diary = Diary()

    async def parallel(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def slow() -> str:
            await asyncio.sleep(0.5)
            ended.append("slow")
            return "slow"

        async def bad() -> str:
            raise OSError

        await asyncio.gather(ctx.step("slow", slow), ctx.step("bad", bad))
        return {}

    async with engine.working({"parallel": parallel}, hooks=diary):
        await engine.ended(await engine.spawn("parallel"))
    assert ended == ["slow"]
    assert len(diary.told) == 3


async def test_the_death_of_a_part_of_the_worker_is_raised(engine: Engine, engine_pool: Pool) -> None:
    worker = Worker(engine_pool, {}, WorkerOptions({"no_such_queue": 1}), hooks=Diary())
    with pytest.raises(ExceptionGroup) as raised:
        await worker.run()
    assert isinstance(raised.value.exceptions[0], asyncpg.UndefinedTableError)


async def test_old_tasks_are_cleaned_away(engine: Engine) -> None:
    async with engine.working({"quick": quick}):
        await engine.ended(await engine.spawn("quick"))
    await engine.pool.execute("update absurd.r_interactive set completed_at = now() - interval '40 days'")
    async with engine.pool.acquire() as connection:
        assert await gateway.clean(connection) == 1
