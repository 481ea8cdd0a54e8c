"""Putting credits into pools, moving them between pools, and telling how the pools stand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from colonnade.credits import balance_store, hold_store, store
from colonnade.credits.books import Books, Movement, Signature
from colonnade.credits.holding import enter_expired, exhausted, release
from colonnade.credits.lots import Draw
from colonnade.credits.model import (
    ISSUED_ID,
    AccountKind,
    CreditsOverview,
    Grant,
    Moved,
    PoolBalance,
    Source,
    TransferKind,
    account_id,
)
from colonnade.credits.terms import terms
from colonnade.ground.core.amounts import MOST, ZERO, MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import BadField, Refused
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
    await _check_reach(tx, workspace_id, "/workspaceId")
    at = await tx.now()
    if expires_at is not None and expires_at <= at:
        raise BadField("/expiresAt", "must lie in the future")
    granted = Grant(new_id("grant"), workspace_id, amount, amount, expires_at, priority, note, at)
    async with tx.widened() as whole:
        pool = account_id(AccountKind.POOL, workspace_id)
        accounts = await store.lock_accounts(whole, [pool])
        books = Books(accounts + await store.lock_accounts(whole, [ISSUED_ID]))
        books.enter(
            Movement(
                kind=TransferKind.GRANT,
                amount=amount,
                from_account=ISSUED_ID,
                to_account=pool,
                rule="grant",
                workspace_id=workspace_id,
                reference=granted.id,
                grant_id=granted.id,
            )
        )
        await store.add_grants(whole, [(granted, None)])
        await store.write_books(whole, books, Signature.of(caller, at))
    after = {"credits": to_number(amount), "note": note}
    await audit.record(tx, caller, "credits.granted", granted.id, workspace_id=workspace_id, after=after)
    return granted


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
    await _check_reach(tx, from_workspace_id, "/fromWorkspaceId")
    await _check_reach(tx, to_workspace_id, "/toWorkspaceId")
    async with tx.widened() as whole:
        moved = await _move(whole, caller, amount, from_workspace_id, to_workspace_id)
    after = {"credits": to_number(amount), "fromWorkspaceId": from_workspace_id, "toWorkspaceId": to_workspace_id}
    await audit.record(tx, caller, "credits.transferred", moved.id, workspace_id=to_workspace_id, after=after)
    return moved


async def _move(
    whole: Tx, caller: Caller, amount: MilliCredits, from_workspace_id: str | None, to_workspace_id: str | None
) -> Moved:
    at = await whole.now()
    source, target = (account_id(AccountKind.POOL, name) for name in (from_workspace_id, to_workspace_id))
    accounts = await store.lock_accounts(whole, [source, target])
    pool = (await store.pools(whole, [source]))[source]
    expired = pool.expire(at)
    books = Books(accounts + await store.lock_accounts(whole, [ISSUED_ID] if expired else []))
    enter_expired(books, source, expired)
    draws = pool.draw(amount, at)
    if draws is None:
        payer = Source.AGENCY if from_workspace_id is None else Source.WORKSPACE
        raise exhausted(amount, pool.available(at), payer)
    transfer_id = books.enter(
        Movement(
            kind=TransferKind.TRANSFER,
            amount=amount,
            from_account=source,
            to_account=target,
            rule="transfer",
            workspace_id=to_workspace_id or from_workspace_id,
        )
    )
    await store.set_remaining(whole, pool.changes(), at)
    await _carry_over(whole, draws, to_workspace_id, at)
    await store.write_books(whole, books, Signature.of(caller, at))
    return Moved(transfer_id, amount, from_workspace_id, to_workspace_id, at)


async def close_pool(tx: Tx, caller: Caller, workspace_id: str) -> Moved | None:
    """Move all that a workspace's pool has back to the agency's, after letting go of holds that are still open.

    None when there is nothing in it; asking again changes nothing.
    """
    caller.require("credits:transfer")
    for hold_id in await hold_store.open_holds(tx, workspace_id):
        await release(tx, caller, hold_id)
    async with tx.widened() as whole:
        moved = await _empty(whole, caller, workspace_id)
    if moved is not None:
        after = {"credits": to_number(moved.amount), "fromWorkspaceId": workspace_id, "toWorkspaceId": None}
        await audit.record(tx, caller, "credits.transferred", moved.id, workspace_id=workspace_id, after=after)
    return moved


async def _empty(whole: Tx, caller: Caller, workspace_id: str) -> Moved | None:
    pool = account_id(AccountKind.POOL, workspace_id)
    await store.lock_accounts(whole, [pool, account_id(AccountKind.POOL, None)])
    left = (await store.pools(whole, [pool]))[pool].available(await whole.now())
    return await _move(whole, caller, left, workspace_id, None) if left else None


async def _carry_over(whole: Tx, draws: Sequence[Draw], workspace_id: str | None, at: datetime) -> None:
    """Each grant that was drawn on becomes one in the other pool, with the same expiry, priority and note."""
    origins = await store.grants(whole, [draw.grant_id for draw in draws])
    parts = []
    for draw in draws:
        old = origins[draw.grant_id]
        fresh = replace(old, id=new_id("grant"), workspace_id=workspace_id, amount=draw.amount, created_at=at)
        parts.append((fresh, old.id))
    await store.add_grants(whole, parts)


async def balances(tx: Tx, caller: Caller) -> CreditsOverview:
    """How the pools stand in the current cycle: the agency's, where all of it is in reach, and the workspaces'."""
    caller.require("credits:read")
    at = await tx.now()
    cycle = (await terms(tx)).cycle(at)
    pools = await balance_store.balances(tx, at, cycle.starts_on)
    own = next((pool for pool in pools if pool.workspace_id is None), None)
    if own is None and tx.reach.workspace_ids is None:
        own = PoolBalance(None)
    return CreditsOverview(own, tuple(pool for pool in pools if pool.workspace_id is not None), cycle)


async def available(tx: Tx, caller: Caller, workspace_id: str) -> MilliCredits:
    """What the pool that pays for the workspace could spend now; held credits are not in it."""
    caller.require("credits:read")
    pool = (await terms(tx, [workspace_id])).pool_of(workspace_id)
    at = await tx.now()
    async with tx.widened() as whole:
        return (await balance_store.available(whole, [pool], at))[pool]


def _check_amount(amount: MilliCredits) -> None:
    if not ZERO < amount <= MOST:
        raise BadField("/amount", "must be more than nothing and at most a trillion credits")


async def _check_reach(tx: Tx, workspace_id: str | None, pointer: str) -> None:
    """A pool of the agency takes the whole agency in reach; a workspace's takes that workspace."""
    if workspace_id is not None:
        if workspace_id not in (await terms(tx, [workspace_id])).sources:
            raise BadField(pointer, "is not a workspace within this key's reach")
    elif tx.reach.workspace_ids is not None:
        raise Refused(
            "keys.wrong_kind",
            "The agency's own pool is moved by keys that reach all workspaces, this one does not. Name a workspace.",
        )
