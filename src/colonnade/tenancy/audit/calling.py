"""Reading the request log back."""

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx
from colonnade.tenancy.audit import call_store
from colonnade.tenancy.audit.call_log import CallFilters, CallPlace, LoggedCall


async def page_calls(
    tx: Tx, caller: Caller, filters: CallFilters, *, limit: int, behind: CallPlace | None = None
) -> tuple[list[LoggedCall], bool]:
    """Calls of the agency from the newest on, behind the given place, and whether there are more."""
    caller.require("audit:read")
    calls = await call_store.after(tx, filters, behind, limit + 1)
    return calls[:limit], len(calls) > limit


async def calls_after(tx: Tx, filters: CallFilters, behind: CallPlace | None, most: int) -> list[LoggedCall]:
    """At most so many calls behind the given place: what an export is made of."""
    return await call_store.after(tx, filters, behind, most)
