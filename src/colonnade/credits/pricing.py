"""What features cost an agency: the house's prices, and the agency's own in their place."""

import re
from collections.abc import Mapping
from typing import Any, Final

from colonnade.credits import cap_store, price_store
from colonnade.credits.model import PriceList
from colonnade.ground.core.amounts import MOST, MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.checking import escaped
from colonnade.ground.core.refusals import BadField, BadFields, FieldError, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit

FEATURE: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""How a feature is named: those of the house, and an agency's own."""

MOST_PRICES: Final = 200


async def price_list(tx: Tx) -> PriceList:
    """The prices in force; asks for no scope, for work of every kind is priced by them."""
    return await price_store.in_force(tx)


async def set_prices(
    tx: Tx, caller: Caller, prices: Mapping[str, MilliCredits | None], *, expected_version: int | None = None
) -> PriceList:
    """Let these be all of the agency's own prices; a feature without one costs what the house asks.

    Work that has begun goes on at the prices of its beginning. What changes nothing makes no version.
    """
    caller.require("credits:grant")
    _check(prices)
    if tx.reach.workspace_ids is not None:
        raise Refused("keys.wrong_kind", "Prices are the agency's; they are set by keys that reach all workspaces.")
    await cap_store.lock(tx)
    before = await price_store.in_force(tx)
    if expected_version not in {None, before.version}:
        raise Refused("request.precondition_failed", "The prices have changed since the version in `If-Match`.")
    own = {feature: credits for feature, credits in sorted(prices.items()) if credits is not None}
    changed = {name: own.get(name) for name in sorted({*before.own, *own}) if before.own.get(name) != own.get(name)}
    if not changed:
        return before
    after = PriceList(before.version + 1, own)
    await price_store.add(tx, after.version, changed, created_by=caller.actor_id, at=await tx.now())
    old, new = ({name: _told(prices.own, name) for name in changed} for prices in (before, after))
    await audit.record(tx, caller, "prices.updated", caller.agency_id, before=old, after=new)
    return after


def _check(prices: Mapping[str, MilliCredits | None]) -> None:
    if len(prices) > MOST_PRICES:
        raise BadField("/prices", f"may have at most {MOST_PRICES} features")
    wrong = [
        FieldError(
            f"/prices/{escaped(name)}", "must be named like `rank_check`: small letters, digits and `_`, 63 at most"
        )
        for name in prices
        if not FEATURE.fullmatch(name)
    ]
    wrong += [
        FieldError(f"/prices/{escaped(name)}", "must be nothing or more, and at most a trillion credits")
        for name, credits in prices.items()
        if credits is not None and not 0 <= credits <= MOST
    ]
    if wrong:
        raise BadFields(wrong)


def _told(own: Mapping[str, MilliCredits], name: str) -> Any:
    return to_number(own[name]) if name in own else None
