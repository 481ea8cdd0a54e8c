"""What the test twin of an agency begins with: credits that are worth nothing, and plenty of them."""

from typing import Final

from colonnade.credits.funding import grant
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx

TWIN_CREDITS: Final = MilliCredits(1_000_000 * 1000)


async def fill_twin(tx: Tx, caller: Caller) -> None:
    """Put a million fake credits into the pool of a fresh test twin."""
    caller.require("credits:grant")
    await grant(tx, caller, amount=TWIN_CREDITS, note="Fake credits, for trying things out")
