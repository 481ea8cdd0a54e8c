"""What can be done with an agency: make, read, change its profile and its settings."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.checking import merged
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.merging import changes
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import audit
from colonnade.tenancy.agencies import logo_store, store
from colonnade.tenancy.agencies.model import (
    GOVERNED,
    PROFILE,
    SETTINGS,
    Agency,
    checked,
    refuse_lock_out,
    refuse_without_factor,
)
from colonnade.tenancy.agencies.pictures import Picture

Fill = Callable[[Tx, Caller], Awaitable[None]]
"""Gives a fresh test twin what a higher floor has for it."""


def entering(agency_id: str, *, mode: str = "live") -> Caller:
    """The operator of the installation, entering one agency: everything in it, nothing beside it."""
    return Caller(
        kind=CallerKind.OPERATOR,
        reach=Reach(agency_id),
        scopes=AGENCY_SCOPES,
        actor_id="operator",
        actor_name="operator",
        request_id=new_request_id(),
        mode=mode,
    )


async def create(tx: Tx, caller: Caller, *, name: str, live_agency_id: str | None = None) -> Agency:
    """Make the agency whose id the transaction is scoped to; with `live_agency_id` it is that agency's test twin."""
    caller.require("agency:write")
    profile = checked(PROFILE, {"name": name})
    agency = await store.add(tx, profile["name"], live_agency_id)
    await audit.record(tx, caller, "agencies.created", agency.id, after={"name": agency.name, "mode": agency.mode})
    return agency


async def ensure_test_twin(database: Database, caller: Caller, fill: Fill | None = None) -> str:
    """The id of the agency's test twin, made when its first key is wanted; a twin is its own twin.

    It begins with the agency's name, branding and settings, and with what `fill` gives it in the same transaction.
    """
    caller.require("keys:write")
    async with database.transaction(caller.reach, read_only=True) as tx:
        live = await in_force(tx)
    if live.mode == "test":
        return live.id
    twin = await store.find_twin(database, live.id)
    if twin is not None:
        return twin
    operator = entering(new_id("agency"), mode="test")
    try:
        async with database.transaction(operator.reach) as tx:
            await create(tx, operator, name=live.name, live_agency_id=live.id)
            await take_over(tx, live)
            if fill is not None:
                await fill(tx, operator)
            return operator.agency_id
    except asyncpg.UniqueViolationError:  # somebody else made it meanwhile
        made = await store.find_twin(database, live.id)
        assert made is not None, "a twin that stood in the way is not there"
        return made


async def take_over(tx: Tx, live: Agency) -> None:
    """Give the test twin in scope the profile and the settings of its live agency, if they differ."""
    twin = await _opened(tx, None)
    assert twin.live_agency_id == live.id, "an agency follows the one that it is the twin of"
    settings = dict(live.settings)
    await _changed(tx, entering(twin.id, mode="test"), twin, profile=_profile(live), settings=settings)


async def get(tx: Tx, caller: Caller) -> Agency:
    """The caller's agency with its profile and settings."""
    caller.require("agency:read")
    return await in_force(tx)


async def in_force(tx: Tx) -> Agency:
    """The agency in scope, for rules of the house that follow its settings; asks for no scope."""
    agency = await store.find(tx)
    if agency is None:
        raise NotFound("agency")
    return agency


async def update(tx: Tx, caller: Caller, *, patch: dict[str, Any], expected_version: int | None = None) -> Agency:
    """Merge a patch (RFC 7396) into name, website and branding; null unsets. What changes nothing writes nothing."""
    caller.require("agency:write")
    agency = await _opened(tx, expected_version)
    before = {"name": agency.name, "website": agency.website, "branding": dict(agency.branding)}
    after = checked(PROFILE, merged(PROFILE.schema, before, patch))
    return await _changed(tx, caller, agency, profile=after, settings=dict(agency.settings))


async def update_settings(
    tx: Tx, caller: Caller, *, patch: dict[str, Any], expected_version: int | None = None
) -> Agency:
    """Merge a patch into the settings; null unsets. Refuses an allowlist that locks out its own author.

    What decides over workspaces (approval policies, locks, credit pool and cycle) needs `workspaces:govern` besides.
    """
    caller.require("agency:write")
    agency = await _opened(tx, expected_version)
    after = checked(SETTINGS, merged(SETTINGS.schema, dict(agency.settings), patch))
    changed = set(changes(dict(agency.settings), after)[1])
    if changed & GOVERNED:
        caller.require("workspaces:govern")
    if "ipAllowlist" in changed:
        refuse_lock_out(after, caller)
    if after.get("requireTwoFactor"):
        refuse_without_factor(caller)
    return await _changed(tx, caller, agency, profile=_profile(agency), settings=after)


async def set_logo(tx: Tx, caller: Caller, picture: Picture, *, base_url: str) -> Agency:
    """Show this picture as the agency's logo under a public address that only its content decides.

    The one before is gone from then on; the same picture again changes nothing.
    """
    caller.require("agency:write")
    agency = await _opened(tx, None)
    await logo_store.put(tx, picture)
    return await _rebranded(tx, caller, agency, f"{base_url.rstrip('/')}/logos/{agency.id}/{picture.file_name}")


async def remove_logo(tx: Tx, caller: Caller, *, expected_version: int | None = None) -> Agency:
    """Show no logo any more, wherever it came from; none there changes nothing."""
    caller.require("agency:write")
    return await _rebranded(tx, caller, await _opened(tx, expected_version), None)


async def _rebranded(tx: Tx, caller: Caller, agency: Agency, logo_url: str | None) -> Agency:
    profile = {**_profile(agency), "branding": {**agency.branding, "logoUrl": logo_url}}
    return await _changed(tx, caller, agency, profile=checked(PROFILE, profile), settings=dict(agency.settings))


def _profile(agency: Agency) -> dict[str, Any]:
    website = {} if agency.website is None else {"website": agency.website}
    branding = {"branding": dict(agency.branding)} if agency.branding else {}
    return {"name": agency.name, **website, **branding}


async def _opened(tx: Tx, expected_version: int | None) -> Agency:
    agency = await store.find_locked(tx)
    if agency is None:
        raise NotFound("agency")
    if expected_version is not None and agency.version != expected_version:
        raise Refused("request.precondition_failed", "The agency has changed since the version in `If-Match`.")
    return agency


async def _changed(
    tx: Tx, caller: Caller, agency: Agency, *, profile: dict[str, Any], settings: dict[str, Any]
) -> Agency:
    if profile.get("branding") == {}:
        del profile["branding"]
    before, after = changes({**_profile(agency), "settings": dict(agency.settings)}, {**profile, "settings": settings})
    if not after:
        return agency
    if "settings" in after:
        before["settings"], after["settings"] = changes(before["settings"], after["settings"])
    changed = await store.change(tx, agency, profile, settings)
    if "branding" in after:
        await logo_store.forget_unless_named(tx, changed.branding.get("logoUrl", ""))
    await audit.record(tx, caller, "agencies.updated", agency.id, before=before, after=after)
    return changed
