"""What can be done with a workspace: create, read, change, archive, restore."""

from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, audit, people
from colonnade.tenancy.workspaces import checks, naming, store
from colonnade.tenancy.workspaces.model import Profile, StoredKeys, Workspace, taken
from colonnade.tenancy.workspaces.settings import newly_byok, require_settable

_SLUG_TRIES: Final = 8


async def no_stored_keys(_tx: Tx, _workspace_id: str, _providers: frozenset[str]) -> frozenset[str]:
    """Where nothing stores own provider keys, nobody has one."""
    return frozenset()


async def create(
    tx: Tx, caller: Caller, *, fields: dict[str, Any], stored_keys: StoredKeys = no_stored_keys
) -> Workspace:
    """Make a workspace from fields named as on the wire; only `name` is required.

    A missing slug is made from the name. Refused: a domain that another active workspace has (unless
    `allowDuplicateDomain`), an external id or a given slug that any other has.
    """
    caller.require("workspaces:create")
    if tx.reach.workspace_ids is not None:
        raise Refused("keys.wrong_kind", "Only a key that reaches all workspaces may make one.")
    profile = checks.read(fields)
    agency = await agencies.in_force(tx)
    require_settable(caller, agency, {}, profile.settings or {})
    await _require_stored_keys(tx, "", {}, profile.settings or {}, stored_keys)
    profile = await _with_owner(tx, profile)
    workspace = await _add(tx, profile)
    await audit.record(
        tx, caller, "workspaces.created", workspace.id, workspace_id=workspace.id, after=_told(workspace.as_sent())
    )
    return workspace


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


async def ensure_open(tx: Tx, workspace_id: str) -> Workspace:
    """The workspace, for a verb that is about to write in it; 404 when out of reach, refused when archived."""
    workspace = _found(await store.find(tx, workspace_id))
    workspace.require_open()
    return workspace


def _found(workspace: Workspace | None) -> Workspace:
    if workspace is None:
        raise NotFound("workspace")
    return workspace


async def _with_owner(tx: Tx, profile: Profile) -> Profile:
    if profile.owner_id is not None:
        if await people.find_member(tx, profile.owner_id) is None:
            raise BadField("/ownerId", "is not a member of this agency")
        return profile
    owner = await people.owner(tx)
    return profile if owner is None else profile.owned_by(owner.id)


async def _add(tx: Tx, profile: Profile) -> Workspace:
    """The first free slug wins; a clash that shows only while writing is looked up afresh and told."""
    base = naming.slug_base(profile.name, profile.primary_domain)
    for _ in range(_SLUG_TRIES):
        candidate = profile if profile.slug else profile.with_slug(base)
        found = dict(await store.clashes(tx, candidate))
        if profile.slug is None and "slug" in found:
            del found["slug"]
            known = await store.slugs_like(tx, base[: naming.SLUG_MOST - 8], locked=True)
            candidate = profile.with_slug(naming.free_slug(base, known))
        for clash, whose in found.items():
            raise taken(clash, whose)
        workspace = await store.add(tx, candidate)
        if workspace is not None:
            return workspace
    raise taken("slug", None)


async def _require_stored_keys(tx: Tx, workspace_id: str, before: Any, after: Any, stored_keys: StoredKeys) -> None:
    wanted = newly_byok(before, after)
    lacking = sorted(wanted - await stored_keys(tx, workspace_id, wanted)) if wanted else []
    if lacking:
        raise Refused(
            "settings.byok_without_key",
            f"There is no own key for {', '.join(lacking)}; store it before it is switched on.",
            details={"providers": lacking},
        )


def _told(sent: dict[str, Any]) -> dict[str, Any]:
    """For the audit log: without what was left empty."""
    return {name: value for name, value in sent.items() if value not in (None, {}, [], False)}
