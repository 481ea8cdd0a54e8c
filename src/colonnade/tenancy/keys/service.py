"""What can be done with API keys: mint, read, change, roll, revoke."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id, new_id
from colonnade.ground.core.instants import format_instant, format_optional
from colonnade.ground.core.merging import changes as differences
from colonnade.ground.core.refusals import BadField, BadFields, FieldError, NotFound, Refused
from colonnade.ground.core.secrets import Secret, new_key_text
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, audit, workspaces
from colonnade.tenancy.keys import store
from colonnade.tenancy.keys.model import (
    LONGEST_OVERLAP_SECONDS,
    LONGEST_WINDOW_SECONDS,
    MOST_REQUESTS,
    MOST_WORKSPACES,
    Changes,
    Draft,
    Key,
    KeyFilters,
    KeyScope,
    Minted,
    RatePatch,
    granted_scopes,
    is_on,
    networks,
    noting,
)

_COUNTED: Final = 1001
"""Lists say how many there are up to a thousand; one more tells that there are more."""


EVERY: Final = KeyFilters()


async def mint(tx: Tx, caller: Caller, draft: Draft, *, workspace_id: str | None = None) -> Minted:
    """Make a key of the agency, or of the named workspace, and show its text for the only time.

    Nobody can hand on a scope or a workspace that they do not hold. An agency key needs scopes or a preset.
    """
    caller.require("keys:write")
    await _require_level(tx, caller, workspace_id)
    kind: KeyScope = "agency" if workspace_id is None else "workspace"
    agency, now = await agencies.in_force(tx), await tx.now()
    text = new_key_text(kind, agency.mode)
    key = Key(
        agency_id=tx.agency_id,
        workspace_id=workspace_id,
        id=new_id("key"),
        scope=kind,
        name=draft.name,
        description=draft.description,
        hint=text.hint,
        scopes=(),
        workspaces=None,
        ip_allowlist=(),
        rate_limit=draft.rate_limit,
        mode=agency.mode,
        expires_at=draft.expires_at,
        revoked_at=None,
        revoked_by=None,
        created_by=caller.actor_id,
        created_at=now,
        updated_at=now,
        version=1,
    )
    key = await _filled(tx, key, draft)
    caller.require_all(key.held)
    return await _minted(tx, caller, key, text)


async def for_installation(tx: Tx, *, name: str = "Master key") -> Minted:
    """The first key of an agency, of preset `master`, made by the operator when the agency is founded."""
    agency = await agencies.in_force(tx)
    return await mint(tx, agencies.entering(agency.id, mode=agency.mode), Draft(name, preset="master"))


async def get(tx: Tx, caller: Caller, key_id: str, *, workspace_id: str | None = None) -> Key:
    """One key of the agency, or of the named workspace; never its text."""
    caller.require("keys:read")
    key = await store.find(tx, key_id, workspace_id)
    if key is None:
        raise NotFound("API key")
    return key


async def find(tx: Tx, key_id: str) -> Key | None:
    """The key within reach, of the agency or of a workspace, for what else is kept of keys; asks for no scope."""
    return await store.find_any(tx, key_id)


async def page(
    tx: Tx,
    caller: Caller,
    filters: KeyFilters = EVERY,
    *,
    workspace_id: str | None = None,
    limit: int = 50,
    after_id: str | None = None,
) -> tuple[list[Key], bool]:
    """Keys of the agency, or of the named workspace, from the newest on, and whether there are more."""
    caller.require("keys:read")
    if workspace_id is not None and not await workspaces.exists(tx, workspace_id):
        raise NotFound("workspace")
    keys = await store.page(tx, workspace_id, filters, limit=limit + 1, after_id=after_id)
    return keys[:limit], len(keys) > limit


async def count(
    tx: Tx, caller: Caller, filters: KeyFilters = EVERY, *, workspace_id: str | None = None, exact: bool = False
) -> int | None:
    """How many such keys there are on this level; none beyond a thousand, unless the exact number is wanted."""
    caller.require("keys:read")
    counted = await store.count(tx, workspace_id, filters, most=2**31 if exact else _COUNTED)
    return counted if exact or counted < _COUNTED else None


async def update(
    tx: Tx,
    caller: Caller,
    key_id: str,
    changes: Changes,
    *,
    workspace_id: str | None = None,
    expected_version: int | None = None,
) -> Key:
    """Change a key's name, scopes, limits or end; heard by every process at the commit. No change writes nothing.

    Scopes may be taken away by anybody who writes keys, and added only by who holds them. Refuses to lock out the very
    key that calls, and to change a revoked key.
    """
    caller.require("keys:write")
    before = await _opened(tx, key_id, workspace_id, expected_version)
    after = _changed(before, changes, await tx.now())
    caller.require_all(after.held - before.held)
    if caller.actor_id == before.id and after.ip_allowlist != before.ip_allowlist:
        _refuse_lock_out(caller, after)
    old, new = differences(_told(before), _told(after))
    if not new:
        return await _whole(tx, before)
    key = await store.update(tx, after)
    await store.announce(tx, key.id)
    await audit.record(tx, caller, "keys.updated", key.id, workspace_id=workspace_id, before=old, after=new)
    return await _whole(tx, key)


async def roll(
    tx: Tx, caller: Caller, key_id: str, *, workspace_id: str | None = None, overlap_seconds: int = 0
) -> Minted:
    """Give the key a new text; its id, limits and end stay. The old text is good for the overlap and no longer.

    Whoever rolls a key holds it from then on, so nobody rolls a key that may do more than they.
    """
    caller.require("keys:write")
    if not 0 <= overlap_seconds <= LONGEST_OVERLAP_SECONDS:
        raise BadField("/overlapSeconds", f"must be 0 to {LONGEST_OVERLAP_SECONDS}")
    before = await _opened(tx, key_id, workspace_id, None)
    now = await tx.now()
    if before.state(now) == "expired":
        raise Refused("keys.ended", "This key has expired; give it a later `expiresAt` first, or make a new one.")
    caller.require_all(before.held)
    _require_reach(caller, before)
    text = new_key_text(before.scope, before.mode)
    await store.end_secrets(tx, before, now + timedelta(seconds=overlap_seconds))
    key = await store.update(tx, replace(before, hint=text.hint))
    await store.add_secret(tx, key, tx.pepper.digest(text.reveal()))
    await store.announce(tx, key.id)
    after = {"hint": key.hint, "overlapSeconds": overlap_seconds}
    await audit.record(
        tx, caller, "keys.rolled", key.id, workspace_id=workspace_id, before={"hint": before.hint}, after=after
    )
    return Minted(await _whole(tx, key), text)


async def revoke(tx: Tx, caller: Caller, key_id: str, *, workspace_id: str | None = None) -> Key:
    """End a key at once, in every process. Revoking twice is one revocation and one record."""
    caller.require("keys:write")
    key = await store.revoke(tx, key_id, workspace_id, caller.actor_id)
    if key is None:
        ended = await store.find(tx, key_id, workspace_id)
        if ended is None:
            raise NotFound("API key")
        return ended
    await store.announce(tx, key.id)
    after = {"revokedAt": format_optional(key.revoked_at)}
    await audit.record(
        tx, caller, "keys.revoked", key.id, workspace_id=workspace_id, before={"revokedAt": None}, after=after
    )
    return key


async def _minted(tx: Tx, caller: Caller, key: Key, text: Secret) -> Minted:
    made = await store.add(tx, key)
    await store.add_secret(tx, made, tx.pepper.digest(text.reveal()))
    after = {**_told(made), "hint": made.hint, "mode": made.mode}
    await audit.record(tx, caller, "keys.minted", made.id, workspace_id=made.workspace_id, after=after)
    return Minted(await _whole(tx, made), text)


async def _whole(tx: Tx, key: Key) -> Key:
    """The key with what is known of its texts and its use."""
    found = await store.find(tx, key.id, key.workspace_id)
    assert found is not None, "a key that was just written is not there"
    return found


async def _filled(tx: Tx, key: Key, draft: Draft) -> Key:
    """The key with what the draft wants of it; every field that is not acceptable is named at once."""
    errors = _wrong(key)
    errors += _wrong_end(key, await tx.now())
    if draft.mode not in {None, key.mode}:
        errors.append(FieldError("/mode", f"must be `{key.mode}` here: a test key belongs to the agency's test twin"))
    with noting(errors):
        key = replace(key, scopes=granted_scopes(draft.scopes, draft.preset, key.scope))
    with noting(errors):
        key = replace(key, workspaces=await _workspaces(tx, draft, key.scope))
    with noting(errors):
        key = replace(key, ip_allowlist=networks(draft.ip_allowlist))
    if errors:
        raise BadFields(errors)
    return key


async def _require_level(tx: Tx, caller: Caller, workspace_id: str | None) -> None:
    if workspace_id is not None:
        await workspaces.ensure_open(tx, workspace_id)
        return
    if not caller.is_agency_wide:
        raise Refused("keys.wrong_kind", "Keys of the agency are made with a key of the agency.")
    if caller.reach.workspace_ids is not None:
        raise Refused(
            "keys.scope_not_held",
            "The maker reaches only some of the workspaces; keys of the agency are made with all of them in reach.",
            details={"workspaces": list(caller.reach.workspace_ids)},
        )


def _require_reach(caller: Caller, key: Key) -> None:
    """Nobody gets hold of a key that reaches further than they do."""
    ours, wanted = caller.reach.workspace_ids, key.reach.workspace_ids
    if ours is not None and (wanted is None or not set(wanted) <= set(ours)):
        raise Refused("keys.scope_not_held", "This key reaches workspaces that its roller does not.")


async def _workspaces(tx: Tx, draft: Draft, kind: KeyScope) -> tuple[str, ...] | None:
    if draft.workspaces is None:
        return None
    if kind == "workspace":
        raise BadField("/workspaces", "is for keys of the agency; this one belongs to its workspace")
    wanted = tuple(dict.fromkeys(draft.workspaces))
    if not 1 <= len(wanted) <= MOST_WORKSPACES:
        raise BadField("/workspaces", f"must name 1 to {MOST_WORKSPACES} workspaces, or be left out for all")
    errors = [
        FieldError(f"/workspaces/{number}", "is no workspace within this key's reach")
        for number, identity in enumerate(wanted)
        if not is_id("ws", identity) or not await workspaces.exists(tx, identity)
    ]
    if errors:
        raise BadFields(errors)
    return wanted


def _wrong(key: Key) -> list[FieldError]:
    errors, rate = [], key.rate_limit
    if not key.name.strip() or len(key.name) > 255:
        errors.append(FieldError("/name", "must have 1 to 255 characters"))
    if len(key.description) > 2000:
        errors.append(FieldError("/description", "must have at most 2000 characters"))
    if rate is not None and not 1 <= rate.requests <= MOST_REQUESTS:
        errors.append(FieldError("/rateLimit/requests", f"must be 1 to {MOST_REQUESTS}; null is no limit"))
    if rate is not None and not 1 <= rate.window_seconds <= LONGEST_WINDOW_SECONDS:
        errors.append(FieldError("/rateLimit/windowSeconds", f"must be 1 to {LONGEST_WINDOW_SECONDS}"))
    return errors


def _wrong_end(key: Key, now: datetime) -> list[FieldError]:
    if key.expires_at is None or key.expires_at > now:
        return []
    return [FieldError("/expiresAt", "must lie in the future; to end a key now, revoke it")]


async def _opened(tx: Tx, key_id: str, workspace_id: str | None, expected_version: int | None) -> Key:
    if workspace_id is not None:
        await workspaces.ensure_open(tx, workspace_id)
    key = await store.lock(tx, key_id, workspace_id)
    if key is None:
        raise NotFound("API key")
    if expected_version is not None and key.version != expected_version:
        raise Refused("request.precondition_failed", "The key has changed since the version in `If-Match`.")
    if key.revoked_at is not None:
        raise Refused("keys.ended", f"This key was revoked at {format_instant(key.revoked_at)}; make a new one.")
    return key


def _changed(key: Key, changes: Changes, now: datetime) -> Key:
    values: dict[str, Any] = dict(changes)
    errors: list[FieldError] = []
    scopes, allowlist = values.pop("scopes", None), values.pop("ip_allowlist", None)
    if isinstance(values.get("rate_limit"), RatePatch):
        values["rate_limit"] = values["rate_limit"].on(key.rate_limit)
    after = replace(key, **values)
    errors += _wrong(after) + (_wrong_end(after, now) if after.expires_at != key.expires_at else [])
    with noting(errors):
        after = after if scopes is None else replace(after, scopes=granted_scopes(scopes, None, key.scope))
    with noting(errors):
        after = after if allowlist is None else replace(after, ip_allowlist=networks(allowlist))
    if errors:
        raise BadFields(errors)
    return after


def _refuse_lock_out(caller: Caller, key: Key) -> None:
    if key.ip_allowlist and not is_on(key.ip_allowlist, caller.address):
        raise Refused(
            "settings.locks_out",
            f"This key calls from {caller.address or 'an unknown address'}, which would no longer be on its allowlist.",
            details={"address": caller.address},
        )


def _told(key: Key) -> dict[str, Any]:
    """What the audit log tells of a key, under the names of the wire."""
    rate = key.rate_limit
    return {
        "name": key.name,
        "description": key.description,
        "scopes": list(key.scopes),
        "workspaces": "all" if key.workspaces is None else list(key.workspaces),
        "ipAllowlist": [str(network) for network in key.ip_allowlist],
        "rateLimit": None if rate is None else {"requests": rate.requests, "windowSeconds": rate.window_seconds},
        "expiresAt": format_optional(key.expires_at),
    }
