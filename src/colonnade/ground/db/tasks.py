"""Ending background tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_SECONDS: Final = 0.5


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these tasks and return when they have ended.

    A task whose connection fails at the very moment of the cancel may see the failure alone (`asyncio.wait_for` before
    Python 3.12 loses the cancel then) and would go on for ever; so they are asked again until they are gone.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
