"""Tills on a real database, and what comes of many who ask at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from colonnade.credits import charging
from colonnade.credits.charge_model import Charge, ChargeWish, Done, Priced
from colonnade.credits.settling import CreditTill, settle
from colonnade.credits.till import Till, TillOptions
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database
from tests.credits.homes import Home


@contextlib.asynccontextmanager
async def a_till(database: Database, options: TillOptions | None = None) -> AsyncIterator[CreditTill]:
    """A till as a process has one."""
    till: CreditTill = Till(database, settle, options)
    try:
        yield till
    finally:
        await till.close()


def a_wish(workspace_id: str, amount: int, reference: str | None = None, feature: str = "image") -> ChargeWish:
    """A wish to charge so many milli-credits, under a reference of its own."""
    return ChargeWish(workspace_id, Priced(feature, MilliCredits(amount)), reference or new_id("evt"))


async def charged(till: CreditTill, home: Home, wish: ChargeWish) -> Charge:
    """The charge, by the agency's key."""
    made = (await charging.charge(till, a_request_of(home), wish)).made
    assert isinstance(made, Charge)
    return made


def a_request_of(home: Home) -> Caller:
    """The agency's key in a request of its own."""
    return replace(home.caller, request_id=new_request_id())


async def tried(till: CreditTill, home: Home, wishes: Iterable[ChargeWish]) -> list[Done | Refused]:
    """What came of each of these, all asked at once."""
    asked = (charging.charge(till, a_request_of(home), wish) for wish in wishes)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, Done | Refused), outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Done | Refused)]
