"""Hard caps: what an agency, a workspace or a key may take of credits in a cycle, for everything or for one feature."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from colonnade.credits import cap_store
from colonnade.credits.cap_store import CapRow, Holder
from colonnade.credits.pricing import FEATURE
from colonnade.credits.rules import Cap
from colonnade.credits.terms import terms
from colonnade.ground.core.amounts import MOST, MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id, new_id
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit, keys, workspaces

MOST_CAPS: Final = 100
"""Of one holder; they are all looked at whenever it is charged."""


@dataclass(frozen=True, slots=True)
class CapStatus:
    """A cap and how it stands in the running cycle."""

    cap: Cap
    used: MilliCredits
    held: MilliCredits
    cycle_ends_at: datetime
    updated_at: datetime
    is_new: bool = False

    @property
    def available(self) -> MilliCredits:
        """What it leaves; nothing where more was taken before it was set so low."""
        return MilliCredits(max(self.cap.credits - self.used - self.held, 0))


async def caps(
    tx: Tx, caller: Caller, *, workspace_id: str | None = None, key_id: str | None = None
) -> list[CapStatus]:
    """The caps of a workspace, of a key or, where neither is named, of the agency: first the one for everything."""
    caller.require("credits:read")
    return await _of(tx, await _holder(tx, workspace_id, key_id))


async def set_cap(
    tx: Tx,
    caller: Caller,
    amount: MilliCredits,
    *,
    workspace_id: str | None = None,
    key_id: str | None = None,
    feature: str | None = None,
) -> CapStatus:
    """Let no more than this be taken in a cycle, by a workspace, a key or the whole agency; at once, for all.

    What was taken before in this cycle counts. A cap below it stops everything until the next one.
    """
    caller.require("credits:cap")
    _check(amount, feature)
    holder = await _opened(tx, workspace_id, key_id)
    await cap_store.lock(tx)
    known = {one.cap.feature: one for one in await _of(tx, holder)}
    before = known.get(feature)
    if before is not None and before.cap.credits == amount:
        return before
    if before is None and len(known) >= MOST_CAPS:
        raise BadField("/feature", f"is one too many: there are caps for {MOST_CAPS} already")
    cap_id = new_id("cap") if before is None else before.cap.id
    cap = Cap(cap_id, holder.level, holder.workspace_id, holder.key_id, feature, amount)
    await cap_store.put(tx, cap, created_by=caller.actor_id, at=await tx.now())
    old = None if before is None else _told(before.cap)
    await audit.record(
        tx, caller, "credit_caps.set", cap.id, workspace_id=cap.workspace_id, before=old, after=_told(cap)
    )
    (after,) = [one for one in await _of(tx, holder) if one.cap.feature == feature]
    return replace(after, is_new=before is None)


async def remove_cap(
    tx: Tx,
    caller: Caller,
    *,
    workspace_id: str | None = None,
    key_id: str | None = None,
    feature: str | None = None,
) -> None:
    """Take away the cap for this feature, or the one for everything where none is named; it stops nothing any more."""
    caller.require("credits:cap")
    holder = await _opened(tx, workspace_id, key_id)
    await cap_store.lock(tx)
    found = [one.cap for one in await _of(tx, holder) if one.cap.feature == feature]
    if not found:
        raise NotFound("credit cap")
    (cap,) = found
    await cap_store.remove(tx, cap.id)
    await audit.record(tx, caller, "credit_caps.removed", cap.id, workspace_id=cap.workspace_id, before=_told(cap))


async def _of(tx: Tx, holder: Holder) -> list[CapStatus]:
    cycle = (await terms(tx)).cycle(await tx.now())
    async with tx.widened() as whole:  # what a key takes is counted beside the workspaces
        rows = await cap_store.caps(whole, holder, cycle.starts_on)
    return [_status(row, cycle.ends_at) for row in rows]


def _status(row: CapRow, cycle_ends_at: datetime) -> CapStatus:
    held = MilliCredits(row.tally.taken - row.tally.used)
    return CapStatus(row.cap, row.tally.used, held, cycle_ends_at, row.updated_at)


async def _holder(tx: Tx, workspace_id: str | None, key_id: str | None) -> Holder:
    """Whose caps are meant, where they are within reach."""
    if key_id is not None:
        key = await keys.find(tx, key_id) if is_id("key", key_id) else None
        if key is None:
            raise NotFound("API key")
        return Holder("key", key.workspace_id, key.id)
    if workspace_id is not None:
        if not await workspaces.exists(tx, workspace_id):
            raise NotFound("workspace")
        return Holder("workspace", workspace_id)
    if tx.reach.workspace_ids is not None:
        raise Refused("keys.wrong_kind", "The agency's caps are for keys that reach all of its workspaces.")
    return Holder("agency")


async def _opened(tx: Tx, workspace_id: str | None, key_id: str | None) -> Holder:
    """The same for a change: a workspace that is archived keeps its caps as they are."""
    holder = await _holder(tx, workspace_id, key_id)
    if holder.workspace_id is not None:
        await workspaces.hold_open(tx, holder.workspace_id)
    return holder


def _check(amount: MilliCredits, feature: str | None) -> None:
    if not 0 <= amount <= MOST:
        raise BadField("/credits", "must be nothing or more, and at most a trillion credits")
    if feature is not None and not FEATURE.fullmatch(feature):
        raise BadField("/feature", "must be named like `rank_check`: small letters, digits and `_`, 63 at most")


def _told(cap: Cap) -> dict[str, Any]:
    return {"level": cap.level, "keyId": cap.key_id, "feature": cap.feature, "credits": to_number(cap.credits)}
