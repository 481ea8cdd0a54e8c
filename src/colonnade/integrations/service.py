"""What can be done with own provider keys: store, look at, remove, and use them in a run.

The agency's keys lie outside a workspace's reach; for what holds in a workspace they are read by a widened
transaction, of which nothing but the providers' names and a run's own use gets out.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.envelope import MasterKeys, seal
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Tx
from colonnade.integrations import store
from colonnade.integrations.model import (
    OwnKeys,
    ProviderKey,
    SealedKey,
    checked,
    hint_of,
    known_provider,
    new_slot,
)
from colonnade.tenancy import audit, workspaces


async def put(
    tx: Tx, caller: Caller, *, masters: MasterKeys, workspace_id: str | None, provider: str, secret: Secret
) -> ProviderKey:
    """Store an own key for a provider, of one workspace or (none) of the agency; the one before it is gone for good.

    The key itself can never be read back.
    """
    caller.require("integrations:write")
    await _require_level(tx, workspace_id, is_writing=True)
    text = checked(secret)
    slot = new_slot(tx.agency_id, workspace_id, known_provider(provider))
    kept = SealedKey(slot, seal(masters, text.reveal(), slot.context))
    key = await store.put(tx, kept, hint_of(text), caller.actor_id)
    await audit.record(tx, caller, "provider_keys.stored", key.id, workspace_id=workspace_id, after=_told(key))
    return key


async def get(tx: Tx, caller: Caller, *, workspace_id: str | None, provider: str) -> ProviderKey:
    """What may be shown of the key at this level: its hint and when it was stored."""
    caller.require("integrations:read")
    await _require_level(tx, workspace_id)
    return _found(await store.find(tx, workspace_id, known_provider(provider)))


async def every(tx: Tx, caller: Caller, *, workspace_id: str | None) -> list[ProviderKey]:
    """What may be shown of all keys at this level."""
    caller.require("integrations:read")
    await _require_level(tx, workspace_id)
    return await store.of_level(tx, workspace_id)


async def remove(tx: Tx, caller: Caller, *, workspace_id: str | None, provider: str) -> None:
    """Remove the key at this level for good."""
    caller.require("integrations:write")
    await _require_level(tx, workspace_id, is_writing=True)
    key = _found(await store.delete(tx, workspace_id, known_provider(provider)))
    await audit.record(tx, caller, "provider_keys.removed", key.id, workspace_id=workspace_id, before=_told(key))


async def keys_for(tx: Tx, caller: Caller, workspace_id: str, *, masters: MasterKeys) -> OwnKeys:
    """The own keys that a run in this workspace uses, by provider: the workspace's first, then the agency's.

    For runs alone, in a worker's transaction; each key is opened at the moment when it is asked for. One that cannot
    be opened raises `CannotOpen` then, and the others still open.
    """
    caller.require("integrations:read")
    if caller.kind is not CallerKind.RUN:
        raise Refused("keys.wrong_kind", "Own provider keys are opened for runs alone; nobody reads them back.")
    own = await store.sealed(tx, workspace_id) if tx.reach.includes(workspace_id) else {}
    async with tx.widened() as whole:
        shared = await store.sealed(whole, None)
    return OwnKeys(masters, {**shared, **own})


async def stored_providers(tx: Tx, ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """For each of these workspaces the providers that have a key, its own or the agency's; asks for no scope."""
    shared, own = await _stored(tx, ids)
    everywhere = frozenset(key.provider for key in shared)
    return {one: everywhere | {key.provider for key in own if key.workspace_id == one} for one in ids}


async def stored_keys(tx: Tx, workspace_id: str, providers: frozenset[str]) -> frozenset[str]:
    """Those of the providers for which the workspace or its agency has a key: what `settings.byok` needs to know."""
    return (await stored_providers(tx, [workspace_id]))[workspace_id] & providers


async def integrations_block(tx: Tx, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Include `integrations`: the own keys that hold in each workspace; of the agency's ones no hint is shown."""
    shared, own = await _stored(tx, ids)
    blocks: dict[str, list[dict[str, Any]]] = {}
    for one in ids:
        holding = {key.provider: key for key in shared} | {k.provider: k for k in own if k.workspace_id == one}
        blocks[one] = [_block(key) for _, key in sorted(holding.items())]
    return blocks


async def holding_keys(tx: Tx, ids: Sequence[str]) -> dict[str, dict[str, datetime]]:
    """For each of these workspaces the providers whose key holds there, with when it was stored; asks for no scope."""
    shared, own = await _stored(tx, ids)
    everywhere = {key.provider: key.created_at for key in shared}
    return {one: everywhere | {k.provider: k.created_at for k in own if k.workspace_id == one} for one in ids}


async def _stored(tx: Tx, ids: Sequence[str]) -> tuple[list[ProviderKey], list[ProviderKey]]:
    own = await store.of_workspaces(tx, ids)
    async with tx.widened() as whole:
        return await store.of_level(whole, None), own


def _block(key: ProviderKey) -> dict[str, Any]:
    return {
        "provider": key.provider,
        "level": key.level,
        "hint": key.hint if key.level == "workspace" else None,
        "createdAt": format_instant(key.created_at),
    }


async def _require_level(tx: Tx, workspace_id: str | None, *, is_writing: bool = False) -> None:
    if workspace_id is None:
        if tx.reach.workspace_ids is not None:
            raise Refused("keys.wrong_kind", "The agency's own keys need a key that reaches all of its workspaces.")
    elif is_writing:
        await workspaces.ensure_open(tx, workspace_id)
    elif not await workspaces.exists(tx, workspace_id):
        raise NotFound("workspace")


def _found(key: ProviderKey | None) -> ProviderKey:
    if key is None:
        raise NotFound("own key")
    return key


def _told(key: ProviderKey) -> dict[str, Any]:
    return {"provider": key.provider, "level": key.level, "hint": key.hint}
