"""What a durable function may rely on: steps, retries, ends, and the house's rows in the same commit."""

import asyncio
from functools import partial
from typing import Any

import asyncpg
import pytest

from colonnade.ground.db.database import Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import Completed, Failed, GiveUp, NewTask, Retry, TryAgain
from colonnade.runs.engine.schema import SchemaMismatch, install
from tests.runs.engine_fixtures import QUEUE, Diary, Engine, engine, engine_address, engine_pool, until

__all__ = ["engine", "engine_address", "engine_pool"]


async def _value(value: Any) -> Any:
    return value


async def test_three_steps_run_in_order_and_their_results_make_the_end(engine: Engine) -> None:
    async def sum_up(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        parts = [await ctx.step(f"part-{n}", partial(_value, params["base"] + n)) for n in range(3)]
        return {"sum": sum(parts)}

    async with engine.working({"sum_up": sum_up}) as worker:
        task = await engine.spawn("sum_up", {"base": 10})
        assert (await engine.ended(task)).result == {"sum": 33}
        assert (worker.counters.claimed, worker.counters.finished) == (1, 1)


async def test_a_step_returns_the_same_shape_in_its_first_run_and_from_the_journal(engine: Engine) -> None:
    shapes = []

    async def shaped(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        shapes.append(await ctx.step("shape", lambda: _value({"a": (1, 2), "none": None})))
        if len(shapes) == 1:
            raise TryAgain("once more", after_seconds=0)
        return {"kept": await ctx.step("null", lambda: _value(None))}

    async with engine.working({"shaped": shaped}):
        ended = await engine.ended(await engine.spawn("shaped"))
    assert shapes == [{"a": [1, 2], "none": None}] * 2
    assert ended.result == {"kept": None}


async def test_a_failing_step_is_retried_with_a_rest_and_then_the_task_fails(engine: Engine) -> None:
    done: list[str] = []

    async def failing(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def good() -> str:
            done.append("good")
            return "good"

        async def bad() -> str:
            done.append("bad")
            raise OverflowError("with a secret in its words")

        await ctx.step("good", good)
        await ctx.step("bad", bad)
        return {}

    diary = Diary()
    async with engine.working({"failing": failing}, hooks=diary) as worker:
        task = await engine.spawn("failing", retry=Retry(3, 0.05, 0.1))
        ended = await engine.ended(task)
        await until(lambda: worker.counters.failed == 1)
    assert ended.state == "failed"
    assert ended.failure == {"name": "OverflowError", "sentence": "OverflowError"}
    assert done == ["good", "bad", "bad", "bad"]
    assert [(o.final, o.failures) for o in diary.told if isinstance(o, Failed)] == [(False, 1), (False, 2), (True, 3)]
    assert [o.rest_seconds > 0 for o in diary.told if isinstance(o, Failed)] == [True, True, False]


async def test_giving_up_ends_the_task_at_once_with_its_sentence(engine: Engine) -> None:
    async def hopeless(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        raise GiveUp("The site does not exist.")

    async with engine.working({"hopeless": hopeless}):
        ended = await engine.ended(await engine.spawn("hopeless"))
    assert (ended.state, ended.failure["sentence"]) == ("failed", "The site does not exist.")


async def test_a_failed_task_that_is_retried_by_hand_goes_on_from_its_journal(engine: Engine) -> None:
    calls: list[str] = []
    healed = asyncio.Event()

    async def frail(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def once() -> int:
            calls.append("once")
            return 1

        await ctx.step("once", once)
        if not healed.is_set():
            raise GiveUp("not yet")
        if len(calls) == 1:
            calls.append("second try")
            raise TryAgain("and again", after_seconds=0)
        return {}

    diary = Diary()
    async with engine.working({"frail": frail}, hooks=diary):
        task = await engine.spawn("frail")
        assert (await engine.ended(task)).state == "failed"
        healed.set()
        async with engine.pool.acquire() as connection:
            await gateway.retry(connection, QUEUE, task)
        await engine.in_state(task, "completed")
    assert calls == ["once", "second try"]
    assert await engine.seen(task) == ["failed:True", "failed:False", "completed"]


async def test_the_houses_rows_and_the_engines_end_are_committed_together_or_not_at_all(engine: Engine) -> None:
    async def simple(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"tries": ctx.attempt}

    diary = Diary(refuse=1)
    async with engine.working({"simple": simple}, hooks=diary):
        task = await engine.spawn("simple")
        ended = await engine.ended(task)
    assert ended.result == {"tries": 2}
    assert [type(outcome) for outcome in diary.told] == [Completed, Failed, Completed]
    assert await engine.seen(task) == ["failed:False", "completed"]


async def test_a_result_that_is_not_json_fails_the_try_and_not_the_worker(engine: Engine) -> None:
    async def strange(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"not": {"json"}}

    async with engine.working({"strange": strange}):
        ended = await engine.ended(await engine.spawn("strange", retry=Retry(max_attempts=1)))
    assert (ended.state, ended.failure["name"]) == ("failed", "TypeError")


@pytest.mark.parametrize("value", [{"a set"}, "a NUL \x00 in it", "half a \ud800 pair", float("nan")])
async def test_a_step_whose_result_cannot_be_kept_is_not_done_again(engine: Engine, value: Any) -> None:
    done: list[int] = []

    async def strange(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        async def effect() -> Any:
            done.append(1)
            return value

        await ctx.step("strange", effect)
        return {}

    async with engine.working({"strange": strange}):
        ended = await engine.ended(await engine.spawn("strange"))
    assert (ended.state, ended.failure["name"], done) == ("failed", "GiveUp", [1])


async def test_text_that_only_speaks_of_nul_is_kept(engine: Engine) -> None:
    async def speaks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"text": await ctx.step("text", partial(_value, params["text"]))}

    async with engine.working({"speaks": speaks}):
        text = r"\u0000 and \\u0000"
        assert (await engine.ended(await engine.spawn("speaks", {"text": text}))).result == {"text": text}


async def test_the_same_key_gives_the_same_task(engine: Engine) -> None:
    first = await engine.spawn("anything", key="one")
    assert await engine.spawn("anything", {"other": True}, key="one") == first
    assert await engine.spawn("anything", key="two") != first


async def test_many_tasks_are_started_in_one_statement_in_their_order(engine: Engine) -> None:
    tasks = [NewTask("anything", {"n": n}, f"many-{n}") for n in range(50)]
    async with engine.pool.acquire() as connection:
        ids = await gateway.spawn_all(connection, QUEUE, tasks)
        assert await gateway.spawn_all(connection, QUEUE, tasks) == ids
        claims = await gateway.claim(connection, QUEUE, "me", lease_seconds=30, count=50)
    assert {claim.task_id: claim.params["n"] for claim in claims} == {task: n for n, task in enumerate(ids)}


async def test_a_spawn_that_is_rolled_back_leaves_no_task(engine: Engine) -> None:
    async with engine.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        task = await gateway.spawn(connection, QUEUE, NewTask("anything", {}, "rolled-back"))
        await transaction.rollback()
        assert await gateway.find(connection, QUEUE, task) is None


async def test_an_unknown_function_is_put_back_and_not_failed(engine: Engine) -> None:
    async with engine.working({}) as worker:
        task = await engine.spawn("of_a_newer_version")
        await until(lambda: worker.counters.handed_back == 1)
        assert (await engine.state(task)).state == "sleeping"


async def test_a_step_name_is_used_once_in_a_run_and_never_the_engines_own(engine: Engine) -> None:
    async def twice(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        await ctx.step("same", lambda: _value(1))
        with pytest.raises(ValueError, match="twice"):
            await ctx.step("same", lambda: _value(2))
        with pytest.raises(ValueError, match="no name"):
            await ctx.step("$tally", lambda: _value(2))
        return {"ok": True}

    async with engine.working({"twice": twice}):
        assert (await engine.ended(await engine.spawn("twice"))).result == {"ok": True}


async def test_headers_travel_with_the_task(engine: Engine) -> None:
    async def looks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return dict(ctx.headers)

    async with engine.working({"looks": looks}):
        task = await engine.spawn("looks", headers={"agency": "agency_1"})
        assert (await engine.ended(task)).result == {"agency": "agency_1"}


async def test_installing_again_changes_nothing_and_another_version_is_refused(
    engine: Engine, owner_inside: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    task = await engine.spawn("anything")
    transaction = owner_inside.transaction()
    await transaction.start()
    await install(owner_inside)
    assert await gateway.find(owner_inside, QUEUE, task) is not None
    await owner_inside.execute(
        "create or replace function absurd.get_schema_version() returns text language sql as $$ select '9'::text $$"
    )
    with pytest.raises(SchemaMismatch, match="version 9"):
        await install(owner_inside)
    await transaction.rollback()


async def test_the_app_role_cannot_see_the_engine(engine: Engine) -> None:
    app = await asyncpg.connect(**engine.address.arguments("colonnade_app"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.fetch("select * from absurd.t_interactive")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway.emit(app, QUEUE, "appr_1", True)
    await app.close()


@pytest.fixture
async def owner_inside(engine_pool: Pool, engine: Engine) -> Any:
    connection = await asyncpg.connect(**engine.address.arguments("colonnade_owner"))
    yield connection
    await connection.close()
