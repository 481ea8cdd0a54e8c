"""A process of its own that charges, for the tests that kill it: `python -m tests.ops.charging_process '{…}'`.

Each outcome is a line on its output as soon as the caller has it: a reference, an amount and what came of it.
"""

import asyncio
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from colonnade.credits import charging, open_till
from colonnade.credits.charge_model import ChargeWish, Priced
from colonnade.credits.settling import CreditTill
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db import embedded
from colonnade.ground.db.database import Database
from tests.conftest import PEPPER
from tests.factories import agency_caller


def main(told: str) -> None:
    """Charge until all was tried, or killed."""
    asyncio.run(_work(json.loads(told)))


async def _work(wish: dict[str, Any]) -> None:
    server = embedded.locate(Path(wish["cluster"]))
    address = type(server)(server.host, server.port, wish["database"], server.passwords)
    database = Database(address, "colonnade_app", PEPPER, most_connections=4)
    await database.open()
    till = open_till(database)
    caller = agency_caller(wish["agency"])
    drawn = random.Random(wish["name"])
    tries = iter(range(wish["tries"]))

    async def ask() -> None:
        for number in tries:
            amount = 1000 if wish["most"] == 1 else drawn.randint(1, wish["most"]) * 1000
            reference = f"{wish['name']}-{number}"
            outcome = await _outcome(till, caller, wish["workspace"], amount, reference)
            sys.stdout.write(f"outcome {reference} {amount} {outcome}\n")
            sys.stdout.flush()

    await asyncio.gather(*(ask() for _ in range(wish["callers"])))
    await till.close()
    await database.close()


async def _outcome(till: CreditTill, caller: Caller, workspace_id: str, amount: int, reference: str) -> str:
    asked = ChargeWish(workspace_id, Priced("image", MilliCredits(amount)), reference)
    try:
        return (await charging.charge(till, replace(caller, request_id=new_request_id()), asked)).made.id
    except Refused as refused:
        return refused.reason


if __name__ == "__main__":
    main(sys.argv[1])
