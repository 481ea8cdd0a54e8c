"""Background tasks end when they are told to, also those that miss it at first."""

import asyncio

from colonnade.ground.db.tasks import end_all


async def test_a_task_that_loses_its_first_cancel_is_ended_all_the_same() -> None:
    lost = 0

    async def deaf_at_first() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    tasks = [asyncio.create_task(deaf_at_first()), asyncio.create_task(asyncio.sleep(3600))]
    await asyncio.sleep(0)

    await end_all(tasks)

    assert all(task.cancelled() for task in tasks)
    assert lost == 2
