"""What becomes of keys when their maker leaves or loses rights: nothing, unless somebody asks for it.

Keys belong to the agency and not to who made them, so that programs outlive people.
"""

from dataclasses import replace

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_optional
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit
from colonnade.tenancy.keys import store
from colonnade.tenancy.keys.model import Key


async def standing_made_by(tx: Tx, caller: Caller, actor_id: str) -> int:
    """How many keys of this maker (a member's or a key's id) are good: of the agency and of all its workspaces."""
    caller.require("keys:read")
    async with tx.widened() as whole:
        return await store.count_made_by(whole, actor_id)


async def revoke_made_by(tx: Tx, caller: Caller, actor_id: str) -> int:
    """End every key that this maker (a member's or a key's id) made and that is still good; how many that were.

    At once and in every process, each with its own record, whatever part of the agency the caller reaches.
    """
    caller.require("keys:write")
    async with tx.widened() as whole:
        found = await store.lock_made_by(whole, actor_id)
        for key in found:
            await _end(whole, caller, key)
    return len(found)


async def narrow_made_by(tx: Tx, caller: Caller, actor_id: str, scopes: frozenset[str]) -> int:
    """Take from every good key of this maker what is not among these scopes; how many keys changed.

    A key that would hold nothing any more is revoked. Nothing is ever added.
    """
    caller.require("keys:write")
    changed = 0
    async with tx.widened() as whole:
        for key in await store.lock_made_by(whole, actor_id):
            left = key.held & scopes
            if left == key.held:
                continue
            changed += 1
            await (_narrow(whole, caller, key, left) if left else _end(whole, caller, key))
    return changed


async def _end(tx: Tx, caller: Caller, key: Key) -> None:
    ended = await store.revoke(tx, key.id, key.workspace_id, caller.actor_id)
    assert ended is not None, "a key that was locked while it was good is not there"
    await store.announce(tx, key.id)
    after = {"revokedAt": format_optional(ended.revoked_at)}
    await audit.record(
        tx, caller, "keys.revoked", key.id, workspace_id=key.workspace_id, before={"revokedAt": None}, after=after
    )


async def _narrow(tx: Tx, caller: Caller, key: Key, left: frozenset[str]) -> None:
    narrowed = await store.update(tx, replace(key, scopes=tuple(sorted(left))))
    await store.announce(tx, key.id)
    before, after = {"scopes": list(key.scopes)}, {"scopes": list(narrowed.scopes)}
    await audit.record(tx, caller, "keys.updated", key.id, workspace_id=key.workspace_id, before=before, after=after)
