"""What can be done with a workspace that is there: read, change, archive, restore."""

from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.merging import changes
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, audit, people
from colonnade.tenancy.workspaces import checks, store
from colonnade.tenancy.workspaces.model import Profile, StoredKeys, Workspace, taken
from colonnade.tenancy.workspaces.settings import newly_byok, require_govern, require_settable

_UNIQUE: Final = frozenset({"slug", "externalId", "primaryDomain", "allowDuplicateDomain"})


async def no_stored_keys(_tx: Tx, _workspace_id: str, _providers: frozenset[str]) -> frozenset[str]:
    """Where nothing stores own provider keys, nobody has one."""
    return frozenset()


async def update(
    tx: Tx,
    caller: Caller,
    workspace_id: str,
    *,
    patch: dict[str, Any],
    expected_version: int | None = None,
    stored_keys: StoredKeys = no_stored_keys,
) -> Workspace:
    """Merge a patch (RFC 7396, names of the wire) into a workspace; null goes back to inherited or unset.

    What changes nothing writes nothing. Refused: a version that is not the current one, an archived workspace, locked
    settings, and what needs `workspaces:govern` (approval policy, credit pool, borrow limit, owner) without it.
    """
    caller.require("workspaces:write")
    workspace = await _opened(tx, workspace_id, expected_version)
    workspace.require_open()
    profile = checks.merged(workspace.profile, patch)
    before, after = changes(workspace.profile.as_sent(), profile.as_sent())
    if not after:
        return workspace
    await _require_allowed(tx, caller, workspace, profile, stored_keys)
    if not after.keys().isdisjoint(_UNIQUE):
        await _refuse_clash(tx, profile, besides=workspace.id)
    changed = await store.change(tx, workspace.id, profile)
    old, new = _narrowed(before, after)
    await audit.record(tx, caller, "workspaces.updated", workspace.id, workspace_id=workspace.id, before=old, after=new)
    return changed


def differs(workspace: Workspace, patch: dict[str, Any]) -> bool:
    """Whether `update` would write anything for this patch; refuses what it refuses of the patch and the archived."""
    workspace.require_open()
    return checks.merged(workspace.profile, patch) != workspace.profile


async def archive(tx: Tx, caller: Caller, workspace_id: str, *, expected_version: int | None = None) -> Workspace:
    """Make a workspace read only and free its domain for another; an archived one stays as it is."""
    caller.require("workspaces:archive")
    workspace = await _opened(tx, workspace_id, expected_version)
    if not workspace.is_active:
        return workspace
    archived = await store.archive(tx, workspace.id)
    await audit.record(tx, caller, "workspaces.archived", workspace.id, workspace_id=workspace.id)
    return archived


async def restore(tx: Tx, caller: Caller, workspace_id: str) -> Workspace:
    """Let an archived workspace take writes again; refused while another active one has its domain, or once it is
    being erased."""
    caller.require("workspaces:archive")
    workspace = await _opened(tx, workspace_id, None)
    if workspace.is_active:
        return workspace
    workspace.require_kept()
    await _refuse_clash(tx, workspace.profile, besides=workspace.id)
    restored = await store.restore(tx, workspace.id)
    await audit.record(tx, caller, "workspaces.restored", workspace.id, workspace_id=workspace.id)
    return restored


async def get(tx: Tx, caller: Caller, workspace_id: str) -> Workspace:
    """The workspace with this id; one out of reach is not found."""
    caller.require("workspaces:read")
    return _found(await store.find(tx, workspace_id))


async def find_by_external(tx: Tx, caller: Caller, external_id: str) -> Workspace | None:
    """The workspace that the agency's own systems know by this id, if it is in reach."""
    caller.require("workspaces:read")
    return await store.find_by_external(tx, external_id)


async def exists(tx: Tx, workspace_id: str) -> bool:
    """Whether it is there and in reach, archived or not."""
    return await store.find(tx, workspace_id) is not None


async def hold_open(tx: Tx, workspace_id: str) -> Workspace:
    """The same as `ensure_open`, and nobody else changes it until this transaction ends; asks for no scope."""
    workspace = _found(await store.find_locked(tx, workspace_id))
    workspace.require_open()
    return workspace


async def ensure_open(tx: Tx, workspace_id: str) -> Workspace:
    """The workspace, for a verb that is about to write in it; 404 when out of reach, refused when archived."""
    workspace = _found(await store.find(tx, workspace_id))
    workspace.require_open()
    return workspace


def _found(workspace: Workspace | None) -> Workspace:
    if workspace is None:
        raise NotFound("workspace")
    return workspace


async def _opened(tx: Tx, workspace_id: str, expected_version: int | None) -> Workspace:
    workspace = _found(await store.find_locked(tx, workspace_id))
    if expected_version is not None and workspace.version != expected_version:
        raise Refused("request.precondition_failed", "The workspace has changed since the version in `If-Match`.")
    return workspace


async def _refuse_clash(tx: Tx, profile: Profile, *, besides: str) -> None:
    others = await store.holders(tx, profile.names, besides=besides)
    clash = profile.clash(others)
    if clash is not None:
        raise taken(clash[0], others[clash])


async def _require_allowed(
    tx: Tx, caller: Caller, workspace: Workspace, profile: Profile, stored_keys: StoredKeys
) -> None:
    if profile.owner_id != workspace.owner_id:
        require_govern(caller)
        await _require_member(tx, profile.owner_id)
    if profile.settings != workspace.settings:
        agency = await agencies.in_force(tx)
        require_settable(caller, agency, workspace.settings, profile.settings)
        await require_stored_keys(tx, workspace.id, workspace.settings, profile.settings, stored_keys)


async def _require_member(tx: Tx, member_id: str | None) -> None:
    if member_id is not None and await people.find_member(tx, member_id) is None:
        raise BadField("/ownerId", "is not a member of this agency")


async def require_stored_keys(tx: Tx, workspace_id: str, before: Any, after: Any, stored_keys: StoredKeys) -> None:
    """Refuse what is switched to own keys that nobody has stored."""
    wanted = newly_byok(before, after)
    lacking = sorted(wanted - await stored_keys(tx, workspace_id, wanted)) if wanted else []
    if lacking:
        raise Refused(
            "settings.byok_without_key",
            f"There is no own key for {', '.join(lacking)}; store it before it is switched on.",
            details={"providers": lacking},
        )


def _narrowed(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of objects, only what differs inside: a new voice is told without the whole brand."""
    pairs = {
        name: changes(before[name], after[name])
        if isinstance(before[name], dict) and isinstance(after[name], dict)
        else (before[name], after[name])
        for name in after
    }
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}
