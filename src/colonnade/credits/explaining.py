"""Explaining: what a call that takes credits would meet now. It decides as the call would, and takes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from colonnade.credits import refusing, rules
from colonnade.credits.books import key_of
from colonnade.credits.model import PRICES, Source
from colonnade.credits.pricing import price_list
from colonnade.credits.rules import Allowed, Limit, Standing, Stopped, Wish
from colonnade.credits.standing import Wanted, open_standing
from colonnade.ground.core.amounts import ZERO, MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import keys


@dataclass(frozen=True, slots=True)
class Question:
    """What if so much were wanted? Without an amount the price of one unit is meant, without a key the caller's own."""

    workspace_id: str
    feature: str
    amount: MilliCredits | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen, and everything that bounds it, in the order of precedence."""

    wish: Wish
    refused: Refused | None
    """The refusal that the call would get; none where it is let through."""
    rule: str | None
    """What would be kept as the rule that allowed it."""
    pays: Mapping[Source, MilliCredits]
    limit: Limit
    """What stops it; where nothing does, what would be the first to."""
    limits: Sequence[Limit]
    cycle_ends_at: datetime
    price_version: int
    sees_all: bool
    """Whether the one who asks may know what the agency's other workspaces take."""

    def stops(self, limit: Limit) -> bool:
        """Whether this limit by itself would stop it."""
        return limit.kind != "borrow" and self.wish.needed(limit.feature) > limit.available


async def explain(tx: Tx, caller: Caller, question: Question) -> Explanation:
    """What a charge or a hold of that amount would meet at this moment: the same decision over the same facts."""
    caller.require("credits:read")
    if not is_id("ws", question.workspace_id):
        raise _out_of_reach()
    key_id = await _key(tx, caller, question.key_id)
    amount = question.amount if question.amount is not None else await _price(tx, question.feature)
    wish = Wish(question.workspace_id, question.feature, amount, key_id)
    wanted = Wanted([wish.workspace_id], [wish.feature], [] if key_id is None else [key_id])
    async with tx.widened() as whole:
        standing = await open_standing(whole, wanted, locking=False)
    if wish.workspace_id not in standing.terms or not tx.reach.includes(wish.workspace_id):
        raise _out_of_reach()
    return _explained(standing, wish, sees_all=tx.reach.workspace_ids is None)


def _explained(standing: Standing, wish: Wish, *, sees_all: bool) -> Explanation:
    is_archived = standing.terms[wish.workspace_id].is_archived
    closed = refusing.archived(wish.workspace_id) if is_archived else None
    limits = rules.limits(standing, wish.workspace_id, wish.by_feature, wish.key_id)
    decided = rules.decide(standing, wish)
    if isinstance(decided, Stopped):
        refused, allowed, limit = refusing.refusal(decided), None, decided.limit
    else:
        refused, allowed = None, None if closed else decided
        limit = min((one for one in limits if one.kind != "borrow"), key=lambda one: one.available)
    return Explanation(
        wish=wish,
        refused=closed or refused,
        rule=None if allowed is None else allowed.rule,
        pays={} if allowed is None else _payers(standing, wish, allowed),
        limit=limit,
        limits=limits,
        cycle_ends_at=standing.cycle.ends_at,
        price_version=standing.price_version,
        sees_all=sees_all,
    )


def _payers(standing: Standing, wish: Wish, allowed: Allowed) -> dict[Source, MilliCredits]:
    own = standing.terms[wish.workspace_id].source
    parts = {own: MilliCredits(wish.amount - allowed.borrowed)}
    if allowed.borrowed:
        parts[Source.AGENCY] = allowed.borrowed
    return {source: part for source, part in parts.items() if part > ZERO}


def _out_of_reach() -> BadField:
    return BadField("?workspaceId", "is not a workspace within this key's reach")


async def _key(tx: Tx, caller: Caller, key_id: str | None) -> str | None:
    if key_id is None:
        return key_of(caller)
    found = await keys.find(tx, key_id) if is_id("key", key_id) else None
    if found is None:
        raise BadField("?keyId", "is not a key within this key's reach")
    return found.id


async def _price(tx: Tx, feature: str) -> MilliCredits:
    prices = await price_list(tx)
    if feature not in prices.own and feature not in PRICES:
        raise BadField("?amount", f"is needed: there is no price for `{feature}`")
    return prices.cost(feature, 1)
