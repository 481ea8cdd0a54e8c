"""Putting credits into pools, moving them between pools, and telling how the pools stand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from colonnade.credits import balance_store, hold_store, store
from colonnade.credits.batches import Batch
from colonnade.credits.books import Movement, Signature
from colonnade.credits.holding import release
from colonnade.credits.lots import Draw
from colonnade.credits.model import (
    ISSUED_ID,
    AccountKind,
    CreditsOverview,
    Grant,
    Moved,
    PoolBalance,
    TransferKind,
    account_id,
)
from colonnade.credits.refusing import refusal
from colonnade.credits.rules import Standing, Stopped, funds, pool_limit
from colonnade.credits.standing import Wanted, open_standing
from colonnade.credits.terms import terms
from colonnade.ground.core.amounts import MOST, ZERO, MilliCredits, to_number
from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit


async def grant(
    tx: Tx,
    caller: Caller,
    *,
    amount: MilliCredits,
    workspace_id: str | None = None,
    expires_at: datetime | None = None,
    priority: int = 0,
    note: str | None = None,
) -> Grant:
    """Put credits into the agency's pool, or into that of one workspace. Grants are spent by priority (the lower
    number first), then the earliest expiry, then the oldest."""
    caller.require("credits:grant")
    _check_amount(amount)
    wanted = Wanted(workspaces=() if workspace_id is None else (workspace_id,))
    async with tx.widened() as whole:
        batch = Batch(await open_standing(whole, wanted, locking=True), Signature.of(caller))
        _check_reach(batch.standing, tx.reach, workspace_id, "/workspaceId")
        if expires_at is not None and expires_at <= batch.at:
            raise BadField("/expiresAt", "must lie in the future")
        granted = Grant(new_id("grant"), workspace_id, amount, amount, expires_at, priority, note, batch.at)
        batch.grants.append((granted, None))
        batch.enter(_granting(granted), Signature.of(caller))
        after = {"credits": to_number(amount), "note": note}
        batch.record(caller, audit.Fact("credits.granted", granted.id, workspace_id, after=after))
        await batch.write(whole)
    return granted


def _granting(granted: Grant) -> Movement:
    return Movement(
        kind=TransferKind.GRANT,
        amount=granted.amount,
        from_account=ISSUED_ID,
        to_account=account_id(AccountKind.POOL, granted.workspace_id),
        rule="grant",
        workspace_id=granted.workspace_id,
        reference=granted.id,
        grant_id=granted.id,
    )


async def transfer(
    tx: Tx,
    caller: Caller,
    *,
    amount: MilliCredits,
    from_workspace_id: str | None = None,
    to_workspace_id: str | None = None,
) -> Moved:
    """Move credits from one pool to another (none names the agency's); they keep their expiry and their priority.

    What would be spent first moves first; more than is available is refused.
    """
    caller.require("credits:transfer")
    _check_amount(amount)
    if from_workspace_id == to_workspace_id:
        raise BadField("/toWorkspaceId", "must name another pool than the one it comes from")
    wanted = Wanted(workspaces={name for name in (from_workspace_id, to_workspace_id) if name is not None})
    async with tx.widened() as whole:
        batch = Batch(await open_standing(whole, wanted, locking=True), Signature.of(caller))
        _check_reach(batch.standing, tx.reach, from_workspace_id, "/fromWorkspaceId")
        _check_reach(batch.standing, tx.reach, to_workspace_id, "/toWorkspaceId")
        return await _move(whole, caller, batch, Between(amount, from_workspace_id, to_workspace_id))


@dataclass(frozen=True, slots=True)
class Between:
    """How much moves from which pool to which; none names the agency's."""

    amount: MilliCredits
    from_workspace_id: str | None
    to_workspace_id: str | None


async def _move(whole: Tx, caller: Caller, batch: Batch, wanted: Between) -> Moved:
    """Move it, write everything that the batch holds, and record it."""
    source, target = (account_id(AccountKind.POOL, one) for one in (wanted.from_workspace_id, wanted.to_workspace_id))
    draws = batch.standing.pool(source).draw(wanted.amount, batch.standing.at)
    if draws is None:
        raise refusal(_short(batch.standing, wanted))
    told = Movement(
        kind=TransferKind.TRANSFER,
        amount=wanted.amount,
        from_account=source,
        to_account=target,
        rule="transfer",
        workspace_id=wanted.to_workspace_id or wanted.from_workspace_id,
    )
    moved = batch.enter(told, Signature.of(caller))
    await _carry_over(whole, batch, draws, wanted.to_workspace_id)
    batch.record(caller, _transferred(moved, wanted))
    await batch.write(whole)
    return Moved(moved, wanted.amount, wanted.from_workspace_id, wanted.to_workspace_id, batch.at)


def _short(standing: Standing, wanted: Between) -> Stopped:
    """A pool that has too little to give away; what it might borrow is nothing that it has."""
    limit = pool_limit(standing, account_id(AccountKind.POOL, wanted.from_workspace_id), wanted.from_workspace_id)
    return Stopped(wanted.amount, limit, [limit])


def _transferred(moved_id: str, wanted: Between) -> audit.Fact:
    source, target = wanted.from_workspace_id, wanted.to_workspace_id
    after = {"credits": to_number(wanted.amount), "fromWorkspaceId": source, "toWorkspaceId": target}
    return audit.Fact("credits.transferred", moved_id, target or source, after=after)


async def close_pool(tx: Tx, caller: Caller, workspace_id: str) -> Moved | None:
    """Move all that a workspace's pool has back to the agency's, after letting go of holds that are still open.

    None when there is nothing in it; asking again changes nothing.
    """
    caller.require("credits:transfer")
    async with tx.widened() as whole:
        await open_standing(whole, Wanted(workspaces=(workspace_id,)), locking=True)  # before any row of a hold
    for hold_id in await hold_store.open_holds(tx, workspace_id):
        await release(tx, caller, hold_id)
    async with tx.widened() as whole:
        standing = await open_standing(whole, Wanted(workspaces=(workspace_id,)), locking=True)
        left = standing.pool(account_id(AccountKind.POOL, workspace_id)).available(standing.at)
        batch = Batch(standing, Signature.of(caller))
        if left:
            return await _move(whole, caller, batch, Between(left, workspace_id, None))
        await batch.write(whole)
        return None


async def _carry_over(whole: Tx, batch: Batch, draws: Sequence[Draw], workspace_id: str | None) -> None:
    """Each grant that was drawn on becomes one in the other pool, with the same expiry, priority and note."""
    origins = await store.grants(whole, [draw.grant_id for draw in draws])
    for draw in draws:
        old = origins[draw.grant_id]
        fresh = replace(old, id=new_id("grant"), workspace_id=workspace_id, amount=draw.amount, created_at=batch.at)
        batch.grants.append((fresh, old.id))


async def balances(tx: Tx, caller: Caller) -> CreditsOverview:
    """How the pools stand in the current cycle: the agency's, where all of it is in reach, and the workspaces'."""
    caller.require("credits:read")
    in_force = await terms(tx)
    pools = await balance_store.balances(tx, in_force.at, in_force.current.starts_on)
    own = next((pool for pool in pools if pool.workspace_id is None), None)
    if own is None and tx.reach.workspace_ids is None:
        own = PoolBalance(None)
    return CreditsOverview(own, tuple(pool for pool in pools if pool.workspace_id is not None), in_force.current)


async def available(tx: Tx, caller: Caller, workspace_id: str) -> MilliCredits:
    """What could be spent now for the workspace: its pool, and what it may borrow; held credits are not in it."""
    caller.require("credits:read")
    async with tx.widened() as whole:
        standing = await open_standing(whole, Wanted(workspaces=(workspace_id,)), locking=False)
    if workspace_id not in standing.terms or not tx.reach.includes(workspace_id):
        raise NotFound("workspace")
    return funds(standing, workspace_id).available


def _check_amount(amount: MilliCredits) -> None:
    if not ZERO < amount <= MOST:
        raise BadField("/amount", "must be more than nothing and at most a trillion credits")


def _check_reach(standing: Standing, reach: Reach, workspace_id: str | None, pointer: str) -> None:
    """A pool of the agency takes the whole agency in reach; a workspace's takes that workspace."""
    if workspace_id is not None:
        if workspace_id not in standing.terms or not reach.includes(workspace_id):
            raise BadField(pointer, "is not a workspace within this key's reach")
    elif reach.workspace_ids is not None:
        raise Refused(
            "keys.wrong_kind",
            "The agency's own pool is moved by keys that reach all workspaces, this one does not. Name a workspace.",
        )
