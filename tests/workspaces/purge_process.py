"""A process that purges what is due, for tests that kill it: `python -m tests.workspaces.purge_process {…}`."""

import asyncio
import json
import sys
from pathlib import Path

from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy.workspaces.jobs import purge_due
from colonnade.worker import purge_steps
from tests.conftest import PEPPER


async def _work(address: Address, folder: Path) -> None:
    database = Database(address, "colonnade_worker", PEPPER)
    await database.open()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        await purge_due(database, purge_steps(folder), at_once=1)


def main(told: str) -> None:
    """Erase row by row until killed."""
    wish = json.loads(told)
    server = embedded.locate(Path(wish["cluster"]))
    address = Address(server.host, server.port, wish["database"], server.passwords)
    asyncio.run(_work(address, Path(wish["folder"])))


if __name__ == "__main__":
    main(sys.argv[1])
