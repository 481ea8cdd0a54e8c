"""What can be done with templates themselves: make, read, change, delete. Every change is a version of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.merging import changes
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.outbound.templates import store
from colonnade.outbound.templates.fields import fields_of
from colonnade.outbound.templates.model import (
    Template,
    Version,
    Wording,
    found,
    is_governing,
    merged,
    read,
    told_of,
)
from colonnade.tenancy import audit

_COUNTED_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Slice:
    """How a list is cut: the length of a page, the place after which it goes on, whether all are counted."""

    limit: int = 50
    after: Any = None
    counts_all: bool = False

    def told(self, counted: int) -> int | None:
        """The total as lists tell it."""
        return counted if self.counts_all or counted <= _COUNTED_MOST else None

    @property
    def counted_most(self) -> int | None:
        """How far is counted."""
        return None if self.counts_all else _COUNTED_MOST + 1


async def create(tx: Tx, caller: Caller, *, fields: Mapping[str, Any]) -> Template:
    """Make a template from fields named as on the wire; only `name` is required, and it is its own in the agency.

    Contents that decide over approvals or money need `workspaces:govern`, here and wherever they are deployed.
    """
    caller.require("templates:write")
    _require_whole(tx)
    wording = read(fields)
    _require_governing(caller, wording)
    await _refuse_taken(tx, wording.name_key, besides=None)
    template_id = await store.add(tx, wording, told_of(caller))
    await audit.record(tx, caller, "templates.created", template_id, after=_told(wording, 1))
    return found(await store.find(tx, template_id))


async def get(tx: Tx, caller: Caller, template_id: str) -> Template:
    """The template as its latest version says."""
    caller.require("templates:read")
    return found(await store.find(tx, template_id) if is_id("tmpl", template_id) else None)


async def page(tx: Tx, caller: Caller, q: str | None, cut: Slice) -> tuple[Sequence[Template], bool, int | None]:
    """The agency's templates, perhaps those with this in their names: the newest first, whether there are more."""
    caller.require("templates:read")
    asked = " ".join(q.casefold().split()) if q else None
    some = await store.page(tx, asked or None, after=cut.after, limit=cut.limit + 1)
    counted = await store.count(tx, asked or None, cut.counted_most)
    return some[: cut.limit], len(some) > cut.limit, cut.told(counted)


async def versions(tx: Tx, caller: Caller, template_id: str, cut: Slice) -> tuple[Sequence[Version], bool, int]:
    """What the template has said, the newest first, whether there is more, and how many versions it has."""
    caller.require("templates:read")
    template = found(await store.find(tx, template_id))
    some = await store.versions(tx, template.id, before=cut.after, limit=cut.limit + 1)
    return some[: cut.limit], len(some) > cut.limit, template.version


async def version(tx: Tx, caller: Caller, template_id: str, number: int) -> Version:
    """What the template said in this version."""
    caller.require("templates:read")
    template = found(await store.find(tx, template_id))
    one = await store.version(tx, template.id, number)
    if one is None:
        raise NotFound("version")
    return one


async def update(
    tx: Tx, caller: Caller, template_id: str, *, patch: Mapping[str, Any], expected_version: int | None = None
) -> Template:
    """Merge a patch (RFC 7396) into a template: that is its next version, and workspaces that follow it get it soon.

    What changes nothing is no version. Refused: a version in `If-Match` that is not the latest.
    """
    caller.require("templates:write")
    template = await _opened(tx, template_id, expected_version)
    wording = merged(template.wording, patch)
    if wording == template.wording:
        return template
    _require_governing(caller, wording)
    await _refuse_taken(tx, wording.name_key, besides=template.id)
    changed = await store.change(tx, template, wording, told_of(caller))
    before, after = changes(_told(template.wording, template.version), _told(wording, changed.version))
    after["changed"] = _changed(template.wording, wording)
    await audit.record(tx, caller, "templates.updated", template.id, before=before, after=after)
    return changed


async def delete(tx: Tx, caller: Caller, template_id: str, *, expected_version: int | None = None) -> None:
    """Delete a template. What it has set in workspaces stays, and nobody follows it any more."""
    caller.require("templates:write")
    template = await _opened(tx, template_id, expected_version)
    await store.delete(tx, template.id)
    await audit.record(tx, caller, "templates.deleted", template.id, before=_told(template.wording, template.version))


async def _opened(tx: Tx, template_id: str, expected_version: int | None) -> Template:
    found(await store.find(tx, template_id) if is_id("tmpl", template_id) else None)
    _require_whole(tx)
    template = found(await store.find_locked(tx, template_id))
    if expected_version is not None and template.version != expected_version:
        raise Refused("request.precondition_failed", "The template has changed since the version in `If-Match`.")
    return template


def _require_whole(tx: Tx) -> None:
    if tx.reach.workspace_ids is not None:
        raise Refused(
            "keys.wrong_kind", "Templates are the agency's: only a key that reaches all workspaces writes them."
        )


def _require_governing(caller: Caller, wording: Wording) -> None:
    if is_governing(wording.contents):
        caller.require("workspaces:govern")


async def _refuse_taken(tx: Tx, name_key: str, *, besides: str | None) -> None:
    whose = await store.find_named(tx, name_key)
    if whose is not None and whose != besides:
        raise Refused(
            "templates.name_taken",
            "Another template of the agency has this name; choose another.",
            details={"templateId": whose},
        )


def _told(wording: Wording, number: int) -> dict[str, Any]:
    # The contents lie in the versions, once; the log names the version.
    return {"name": wording.name, "description": wording.description, "version": number}


def _changed(before: Wording, after: Wording) -> list[str]:
    old, new = fields_of(before.contents), fields_of(after.contents)
    paths = [".".join(path) for path in {**old, **new} if old.get(path) != new.get(path)]
    return paths + (["posts"] if before.contents.get("posts") != after.contents.get("posts") else [])
