"""Making workspaces, one or many: each is checked by itself, and all that fit are written at once."""

from collections.abc import Sequence
from typing import Any

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, audit, people
from colonnade.tenancy.workspaces import checks
from colonnade.tenancy.workspaces.adding import add
from colonnade.tenancy.workspaces.model import Adopt, Made, Profile, StoredKeys, Workspace
from colonnade.tenancy.workspaces.service import no_stored_keys, require_stored_keys
from colonnade.tenancy.workspaces.settings import require_settable

Draft = Profile | Refused
"""One that is to be made, or why it cannot be."""


async def no_templates(_tx: Tx, _caller: Caller, _workspace_id: str, _templates: Sequence[str]) -> None:
    """Where nothing keeps templates, there is none to begin with."""
    raise BadField("/templates", "names templates, and there are none here")


async def create(
    tx: Tx,
    caller: Caller,
    *,
    fields: dict[str, Any],
    stored_keys: StoredKeys = no_stored_keys,
    adopt: Adopt = no_templates,
) -> Workspace:
    """Make a workspace from fields named as on the wire; only `name` is required.

    A missing slug is made from the name. Templates are deployed soon after. Refused: a domain that another active
    workspace has (unless `allowDuplicateDomain`), an external id or a given slug that any other has.
    """
    caller.require("workspaces:create")
    _require_whole_reach(tx)
    profile, templates = checks.read_new(fields)
    [made] = await _make(tx, caller, [profile], stored_keys)
    if isinstance(made, Refused):
        raise made
    if templates:
        await adopt(tx, caller, made.id, templates)
    return made


async def create_many(
    tx: Tx, caller: Caller, *, each: Sequence[dict[str, Any]], stored_keys: StoredKeys = no_stored_keys
) -> list[Made]:
    """Make many as `create` makes one, in a few statements: for each its workspace, or why there is none.

    Of two that want the same name the first has it. None of them begins with templates.
    """
    caller.require("workspaces:create")
    _require_whole_reach(tx)
    return await _make(tx, caller, [_read(fields) for fields in each], stored_keys)


def _require_whole_reach(tx: Tx) -> None:
    if tx.reach.workspace_ids is not None:
        raise Refused("keys.wrong_kind", "Only a key that reaches all workspaces may make one.")


def _read(fields: dict[str, Any]) -> Draft:
    try:
        profile, templates = checks.read_new(fields)
    except Refused as refused:
        return refused
    return BadField("/templates", "cannot be told for many at once") if templates else profile


async def _make(tx: Tx, caller: Caller, drafts: Sequence[Draft], stored_keys: StoredKeys) -> list[Made]:
    """The outcome of each in their order; every one that is made leaves a record of its own."""
    bad = [draft for draft in drafts if isinstance(draft, Refused)]
    if len(bad) == len(drafts):
        return [*bad]
    drafts = await _allowed(tx, caller, drafts, stored_keys)
    drafts = await _owned(tx, drafts)
    added = iter(await add(tx, [draft for draft in drafts if isinstance(draft, Profile)]))
    outcome = [next(added) if isinstance(draft, Profile) else draft for draft in drafts]
    made = [one for one in outcome if isinstance(one, Workspace)]
    await audit.record_all(tx, [(caller, _fact(one)) for one in made])
    return outcome


async def _allowed(tx: Tx, caller: Caller, drafts: Sequence[Draft], stored_keys: StoredKeys) -> list[Draft]:
    """Without those whose settings the caller may not make."""
    agency = await agencies.in_force(tx)

    async def judged(draft: Draft) -> Draft:
        if isinstance(draft, Refused):
            return draft
        try:
            require_settable(caller, agency, {}, draft.settings)
            await require_stored_keys(tx, "", {}, draft.settings, stored_keys)
        except Refused as refused:
            return refused
        return draft

    return [await judged(draft) for draft in drafts]


async def _owned(tx: Tx, drafts: Sequence[Draft]) -> list[Draft]:
    """Each with its owner: the agency's where none is named."""
    named = [draft.owner_id for draft in drafts if isinstance(draft, Profile)]
    wanted = [owner for owner in named if owner is not None]
    members = set(await people.standing(tx, wanted)) if wanted else set()
    first = await people.owner(tx) if None in named else None

    def owned(draft: Draft) -> Draft:
        if isinstance(draft, Refused) or draft.owner_id in members:
            return draft
        if draft.owner_id is not None:
            return BadField("/ownerId", "is not a member of this agency")
        return draft if first is None else draft.owned_by(first.id)

    return [owned(draft) for draft in drafts]


def _fact(made: Workspace) -> audit.Fact:
    told = {name: value for name, value in made.profile.as_sent().items() if value not in (None, {}, [], False)}
    return audit.Fact("workspaces.created", made.id, made.id, after=told)
