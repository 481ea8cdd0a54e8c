"""Waiting for events and sleeping: nothing is lost, nothing holds a slot, and the first answer stays."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import Expired, TryAgain
from tests.runs.engine_fixtures import QUEUE, Engine, engine, engine_address, engine_pool, until

__all__ = ["engine", "engine_address", "engine_pool"]


async def asks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Waits for one event, for ever or for some seconds."""
    seconds = params.get("seconds")
    deadline = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    answer = await ctx.wait_for(params["event"], timeout=deadline)
    return {"expired": True} if isinstance(answer, Expired) else {"answer": answer}


async def quick(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Ends at once."""
    return {"quick": True}


async def test_three_hundred_waiting_runs_leave_four_slots_free_for_others(engine: Engine) -> None:
    async with engine.working({"asks": asks, "quick": quick}, slots=4) as worker:
        waiting = [await engine.spawn("asks", {"event": f"appr_{n}"}) for n in range(300)]
        await until(lambda: worker.counters.parked == 300)
        assert worker.active == 0
        assert (await engine.ended(await engine.spawn("quick"))).result == {"quick": True}
        async with engine.pool.acquire() as connection, connection.transaction():
            for n in range(300):
                await gateway.emit(connection, QUEUE, f"appr_{n}", n)
        await until(lambda: worker.counters.finished == 301)
    assert [(await engine.state(task)).result for task in waiting] == [{"answer": n} for n in range(300)]


async def test_an_event_that_came_before_the_wait_is_not_lost(engine: Engine) -> None:
    await engine.emit("early", {"yes": True})
    async with engine.working({"asks": asks}) as worker:
        assert (await engine.ended(await engine.spawn("asks", {"event": "early"}))).result == {"answer": {"yes": True}}
        assert worker.counters.parked == 0


async def test_of_an_event_emitted_twice_the_first_counts(engine: Engine) -> None:
    async with engine.working({"asks": asks}):
        task = await engine.spawn("asks", {"event": "twice"})
        await engine.in_state(task, "sleeping")
        await engine.emit("twice", "first")
        await engine.emit("twice", "second")
        assert (await engine.ended(task)).result == {"answer": "first"}


async def test_an_event_may_bring_nothing_and_still_arrives(engine: Engine) -> None:
    async with engine.working({"asks": asks}):
        task = await engine.spawn("asks", {"event": "empty"})
        await engine.in_state(task, "sleeping")
        await engine.emit("empty", None)
        assert (await engine.ended(task)).result == {"answer": None}


async def test_an_emit_that_is_rolled_back_wakes_nobody(engine: Engine) -> None:
    async with engine.working({"asks": asks}):
        task = await engine.spawn("asks", {"event": "undone"})
        await engine.in_state(task, "sleeping")
        async with engine.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await gateway.emit(connection, QUEUE, "undone", "never")
            await transaction.rollback()
        await engine.emit("undone", "truly")
        assert (await engine.ended(task)).result == {"answer": "truly"}


async def test_a_wait_that_is_over_time_is_expired(engine: Engine) -> None:
    async with engine.working({"asks": asks}):
        task = await engine.spawn("asks", {"event": "never", "seconds": 1})
        assert (await engine.ended(task)).result == {"expired": True}


async def test_a_wait_that_expired_stays_expired_though_the_event_comes_later(engine: Engine) -> None:
    answers: list[Any] = []

    async def impatient(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        answers.append(await ctx.wait_for("late", timeout=datetime.now(UTC)))
        if len(answers) == 1:
            await engine.emit("late", "too late")
            raise TryAgain("look again", after_seconds=0)
        return {}

    async with engine.working({"impatient": impatient}):
        assert (await engine.ended(await engine.spawn("impatient"))).state == "completed"
    assert answers == [Expired("late")] * 2


async def test_an_answer_is_the_same_in_every_later_run(engine: Engine) -> None:
    answers: list[Any] = []

    async def forgetful(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        answers.append(await ctx.wait_for("one"))
        answers.append(await ctx.wait_for("two"))
        if len(answers) < 4:
            raise TryAgain("look again", after_seconds=0)
        return {}

    async with engine.working({"forgetful": forgetful}):
        task = await engine.spawn("forgetful")
        await engine.in_state(task, "sleeping")
        await engine.emit("two", 2)
        await engine.emit("one", 1)
        assert (await engine.ended(task)).state == "completed"
    assert answers == [1, 2, 1, 2]


async def test_a_sleeping_run_holds_no_slot_and_goes_on_after_its_steps(engine: Engine) -> None:
    done: list[str] = []

    async def sleeper(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def before() -> str:
            done.append("before")
            return "kept"

        kept = await ctx.step("before", before)
        await ctx.sleep("rest", 1)
        return {"kept": kept}

    async with engine.working({"sleeper": sleeper, "quick": quick}, slots=1) as worker:
        task = await engine.spawn("sleeper")
        await until(lambda: worker.counters.parked == 1)
        await engine.ended(await engine.spawn("quick"))
        assert (await engine.state(task)).state == "sleeping"
        assert (await engine.ended(task)).result == {"kept": "kept"}
        assert worker.counters.parked == 1
    assert done == ["before"]


async def test_a_run_cannot_wait_while_one_of_its_steps_is_open(engine: Engine) -> None:
    async def muddled(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def waits() -> Any:
            return await ctx.wait_for("inside a step")

        with pytest.raises(RuntimeError, match="one of its steps is open"):
            await ctx.step("waits", waits)
        return {"refused": True}

    async with engine.working({"muddled": muddled}):
        assert (await engine.ended(await engine.spawn("muddled"))).result == {"refused": True}


async def test_a_function_that_catches_every_exception_is_parked_all_the_same(engine: Engine) -> None:
    async def catches(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"answer": await ctx.wait_for("caught")}
        except Exception:
            return {"answer": "swallowed"}

    async with engine.working({"catches": catches}):
        task = await engine.spawn("catches")
        await engine.in_state(task, "sleeping")
        await engine.emit("caught", "true")
        assert (await engine.ended(task)).result == {"answer": "true"}


async def test_a_wait_inside_a_task_group_parks_the_run(engine: Engine) -> None:
    async def grouped(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(ctx.wait_for("grouped"))
        return {"answer": waiting.result()}

    async with engine.working({"grouped": grouped}) as worker:
        task = await engine.spawn("grouped")
        await until(lambda: worker.counters.parked == 1)
        await engine.emit("grouped", 1)
        assert (await engine.ended(task)).result == {"answer": 1}


async def test_after_its_run_was_parked_a_function_begins_no_step(engine: Engine) -> None:
    begun: list[str] = []

    async def careless(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def effect() -> str:
            begun.append("effect")
            return "effect"

        waiting = asyncio.ensure_future(ctx.wait_for("careless"))
        await asyncio.wait({waiting})
        await ctx.step("effect", effect)
        return {"answer": waiting.result()}

    async with engine.working({"careless": careless}) as worker:
        task = await engine.spawn("careless")
        await until(lambda: worker.counters.parked == 1)
        assert begun == []
        await engine.emit("careless", 1)
        assert (await engine.ended(task)).result == {"answer": 1}
    assert begun == ["effect"]


async def test_one_slot_parks_and_resumes_the_same_runs_again_and_again(engine: Engine) -> None:
    async def naps(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        for n in range(5):
            await ctx.sleep(f"nap-{n}", 0.001)
            await engine.emit(f"{ctx.task_id}-{n}", n)
            await ctx.wait_for(f"{ctx.task_id}-{n}")
        return {}

    async with engine.working({"naps": naps}, slots=3, poll_seconds=0.05):
        for task in [await engine.spawn("naps") for _ in range(20)]:
            assert (await engine.ended(task)).state == "completed"


async def test_waits_and_events_that_meet_at_the_same_moment_all_find_each_other(engine: Engine) -> None:
    async with engine.working({"asks": asks}, slots=8):
        pairs = [engine.spawn("asks", {"event": f"meet_{n}"}) for n in range(60)]
        emits = [engine.emit(f"meet_{n}", n) for n in range(60)]
        outcomes = await asyncio.gather(*[action for pair in zip(pairs, emits, strict=True) for action in pair])
        tasks = [task for task in outcomes if task is not None]
        assert [(await engine.ended(task)).result for task in tasks] == [{"answer": n} for n in range(60)]
