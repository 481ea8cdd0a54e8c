"""Deploying a version of a template in a workspace: three-way, field by field, and the posts as drafts, once."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from colonnade import integrations
from colonnade.brand import content
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import BadField, BadFields, FieldError, NotFound
from colonnade.ground.db.database import Tx
from colonnade.outbound.templates import deployment_store, store
from colonnade.outbound.templates.fields import Field, fields_of, own_fields, patch_of, plan
from colonnade.outbound.templates.model import Deployment, Mode, Version, found, require_contents, told_of
from colonnade.tenancy import agencies, audit, workspaces
from colonnade.tenancy.agencies import Agency
from colonnade.tenancy.workspaces import Workspace


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be deployed, and how: the version (none: the latest), what wins a conflict, whether it follows on."""

    template_id: str
    version: int | None = None
    overwrite: bool = False
    mode: Mode | None = None
    """None leaves it as it is; at first a workspace is pinned."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What has become of each field, and of each post under the path `posts.KEY`."""

    workspace_id: str
    template_id: str
    version: int
    mode: Mode
    fields: Sequence[Field]

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of the fields by what has become of them."""
        by: dict[str, list[str]] = {"applied": [], "kept": [], "same": []}
        for one in self.fields:
            by[one.outcome].append(one.name)
        return by


@dataclass(slots=True)
class Shared:
    """What deployments of one transaction have in common, read once."""

    version: Version
    agency: Agency
    bases: dict[int, Version] = field(default_factory=dict)


async def deploy(tx: Tx, caller: Caller, workspace_id: str, order: Order) -> Deployed:
    """Deploy a version of a template in a workspace, which is locked meanwhile.

    A field that was changed there by hand is kept, unless the order overwrites; one that the agency has locked is kept
    in any case. Posts become drafts once. Deploying the same again changes nothing. Refused: an archived workspace, and
    who may not set all of this there.
    """
    caller.require("templates:write")
    shared = await shared_of(tx, caller, order)
    try:
        return await deploy_one(tx, caller, workspace_id, shared, order)
    except NotFound as error:
        raise BadField("/workspaceId", "is no workspace within this key's reach") from error


class _Tried(Exception):
    """Takes back what was done to see what would be done."""


async def rehearse(tx: Tx, caller: Caller, workspace_id: str, order: Order) -> Deployed:
    """What `deploy` would do, found by doing it and taking all of it back."""
    caller.require("templates:write")
    with contextlib.suppress(_Tried):
        async with tx.savepoint():
            deployed = await deploy(tx, caller, workspace_id, order)
            raise _Tried
    return deployed


async def shared_of(tx: Tx, caller: Caller, order: Order, at: str = "") -> Shared:
    """The wanted version, if there is one and the caller may set its contents; `at` is where the order stands."""
    template = found(await store.find(tx, order.template_id) if is_id("tmpl", order.template_id) else None)
    version = await store.version(tx, template.id, order.version or template.version)
    if version is None:
        raise BadField(f"{at}/version", f"is not one of the template's versions, which go up to {template.version}")
    require_contents(caller, version.contents)
    return Shared(version, await agencies.in_force(tx), {version.number: version})


async def deploy_one(tx: Tx, caller: Caller, workspace_id: str, shared: Shared, order: Order) -> Deployed:
    """The same as `deploy`, for many with what they share."""
    version = shared.version
    workspace = await workspaces.hold_open(tx, workspace_id)
    before = await deployment_store.find_locked(tx, workspace.id, version.template_id)
    fields = await _fields(tx, workspace, before, shared, order)
    patch = patch_of(fields, workspace.tags)
    if patch:
        await workspaces.update(tx, caller, workspace.id, patch=patch, stored_keys=integrations.stored_keys)
    posts = await _write_posts(tx, caller, workspace, version, {} if before is None else before.posts)
    mode = order.mode or ("pin" if before is None else before.mode)
    told = Deployed(workspace.id, version.template_id, version.number, mode, [*fields, *_post_fields(version, before)])
    if patch or before is None or _differs(before, version, mode, posts):
        await _keep(tx, caller, told, version, posts)
    return told


def _differs(before: Deployment, version: Version, mode: Mode, posts: Mapping[str, str]) -> bool:
    stands = (before.version, before.state, before.mode, before.posts)
    return stands != (version.number, "applied", mode, posts)


async def _fields(tx: Tx, workspace: Workspace, before: Deployment | None, shared: Shared, order: Order) -> list[Field]:
    base: Mapping[str, Any] = {}
    if before is not None and before.version is not None:
        base = (await _base(tx, before, before.version, shared)).contents
    new, theirs = fields_of(shared.version.contents), own_fields(workspace)
    return plan(fields_of(base), theirs, new, overwrite=order.overwrite, locked=shared.agency.is_locked)


async def _base(tx: Tx, before: Deployment, number: int, shared: Shared) -> Version:
    if number not in shared.bases:
        version = await store.version(tx, before.template_id, number)
        assert version is not None, "a version that was deployed is never gone"
        shared.bases[number] = version
    return shared.bases[number]


async def _write_posts(
    tx: Tx, caller: Caller, workspace: Workspace, version: Version, written: Mapping[str, str]
) -> dict[str, str]:
    posts = dict(written)
    for post in version.posts:
        if post["key"] not in posts:
            draft = await content.draft(tx, caller, workspace_id=workspace.id, draft=_draft(post))
            posts[post["key"]] = draft.id
    return posts


def _draft(post: Mapping[str, Any]) -> content.Draft:
    return content.Draft(
        title=post["title"],
        body=post["body"],
        outline=post.get("outline", ()),
        meta_description=post.get("metaDescription", ""),
        slug=post.get("slug"),
        model=post.get("model"),
        keyword=post.get("keyword"),
        topic=post.get("topic"),
    )


def _post_fields(version: Version, before: Deployment | None) -> list[Field]:
    """A post that was written once is the workspace's own: it counts as the same, whatever has become of it."""
    written = {} if before is None else before.posts
    return [
        Field(("posts", post["key"]), post["title"], None, "same" if post["key"] in written else "applied")
        for post in version.posts
    ]


async def _keep(tx: Tx, caller: Caller, told: Deployed, version: Version, posts: Mapping[str, str]) -> None:
    names = told.names
    done = deployment_store.Done(told.mode, posts, names["kept"], told_of(caller))
    await deployment_store.put(tx, told.workspace_id, version, done)
    after = {"version": version.number, "mode": told.mode, "applied": names["applied"], "kept": names["kept"]}
    await audit.record(
        tx,
        caller,
        "templates.deployed",
        version.template_id,
        workspace_id=told.workspace_id,
        after={**after, "name": version.wording.name},
    )


async def adopt(tx: Tx, caller: Caller, workspace_id: str, ids: Sequence[str]) -> None:
    """Note for a workspace that is made just now with which templates it begins; a background process deploys them.

    Refused: ids that name none of the agency's templates, and who may not set all of their contents.
    """
    caller.require("templates:write")
    known = await store.find_many(tx, ids)
    missing = [
        FieldError(f"/templates/{n}", "is no template of this agency") for n, one in enumerate(ids) if one not in known
    ]
    if missing:
        raise BadFields(missing)
    for template in known.values():
        require_contents(caller, template.wording.contents)
    wanted = {one: known[one].version for one in ids}
    await deployment_store.want(tx, workspace_id, wanted, told_of(caller))
    after = {"templates": list(wanted)}
    await audit.record(tx, caller, "templates.adopted", workspace_id, workspace_id=workspace_id, after=after)


async def applied_block(tx: Tx, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Include `templatesApplied`: every template of each workspace with its version, state and mode."""
    told = await deployment_store.told(tx, ids)
    return {identity: told.get(identity, []) for identity in ids}
