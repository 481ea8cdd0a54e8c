"""A process that calls the limiter from many tasks at once, and tells on its output what each call was told."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy.keys import Limiter


async def flood(told: dict[str, Any]) -> list[tuple[bool, int]]:
    """Make the calls; whichever caller is free takes the next one."""
    server = embedded.locate(Path(os.environ["COLONNADE_TEST_FOLDER"]))
    address = Address(server.host, server.port, told["database"], server.passwords)
    database = Database(address, "colonnade_app", Pepper({1: b"any"}, 1), most_connections=2)
    await database.open()
    limiter = Limiter(database)
    answers: list[tuple[bool, int]] = []
    calls = iter(range(told["calls"]))

    async def call() -> None:
        for _ in calls:
            taken = await limiter.take(told["subject"], told["requests"], told["window_seconds"])
            answers.append((taken.granted, taken.remaining))

    await asyncio.gather(*(call() for _ in range(told["callers"])))
    await database.close()
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(flood(json.load(sys.stdin)))))
