"""How HTTP says workspaces."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.ids import is_id
from colonnade.ground.core.instants import format_optional
from colonnade.ground.core.refusals import BadField, NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Call, PageOf, Place, Who, access, call_of, entity_tag, json_answer, router, to_json
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces.model import Adopt, AtWork, EffectiveSettings, Paging, StoredKeys, Workspace
from colonnade.tenancy.workspaces.reader import WorkspaceReader, WorkspaceView
from colonnade.tenancy.workspaces.shapes import (
    ChangeWorkspace,
    CreateWorkspace,
    HealthShown,
    ListWorkspaces,
    PurgeWorkspace,
    ReadWorkspace,
    SettingsShown,
    WorkspaceShown,
)

Block = Callable[[Tx, Sequence[str]], Awaitable[Mapping[str, Any]]]
"""Tells one thing of many workspaces in a number of queries that does not grow with them."""

INCLUDES: Final = "workspace_includes"
"""The name under which the application's state may hold further blocks: name -> `Block`."""

READER: Final = "workspace_reader"
"""The name under which the application's state may hold the process's reader of single workspaces."""

STORED_KEYS: Final = "stored_keys"
"""The name under which the application's state may hold what knows the own provider keys."""

ADOPT: Final = "adopt_templates"
"""The name under which the application's state may hold what keeps templates."""

AT_WORK: Final = "runs_at_work"
"""The name under which the application's state may hold what knows the runs that are at work."""

OWN: Final[Mapping[str, Block]] = {
    "lastActiveAt": workspaces.last_active_block,
    "health": workspaces.health_block,
    "templatesApplied": workspaces.no_templates_block,
}
_INHERITING: Final[Mapping[str, Callable[[EffectiveSettings], Any]]] = {
    "settings": lambda in_force: in_force.values,
    "settingSources": lambda in_force: in_force.sources,
}
"""The blocks that a workspace's own row and the agency's tell together."""

_ALWAYS: Final = ("settings", "brand", "lastActiveAt", "templatesApplied")
"""What a single workspace is always shown with."""

_OF_A_VIEW: Final[Mapping[str, Callable[[WorkspaceView], Any]]] = {
    "settings": lambda view: view.in_force.values,
    "settingSources": lambda view: view.in_force.sources,
    "brand": lambda view: view.workspace.brand,
    "lastActiveAt": lambda view: format_optional(view.last_active_at),
    "templatesApplied": lambda view: view.templates,
}
"""The blocks that the shared reader brings along."""

routes = router("Workspaces")


def _catalogue(call: Call) -> Mapping[str, Block]:
    further: Mapping[str, Block] = getattr(call.request.app.state, INCLUDES, {})
    return {**OWN, **further}


def _stored_keys(call: Call) -> StoredKeys:
    known: StoredKeys = getattr(call.request.app.state, STORED_KEYS, workspaces.no_stored_keys)
    return known


def _adopt(call: Call) -> Adopt:
    known: Adopt = getattr(call.request.app.state, ADOPT, workspaces.no_templates)
    return known


def _at_work(call: Call) -> AtWork:
    known: AtWork = getattr(call.request.app.state, AT_WORK, workspaces.nothing_at_work)
    return known


def _wanted(call: Call, include: str | None) -> list[str]:
    if not include:
        return []
    known = [*_INHERITING, "brand", *_catalogue(call)]
    names = [name.strip() for name in include.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise BadField("?include", f"`{name[:50]}` is not known; known are {', '.join(known)}")
    if "settings" in names:
        names.append("settingSources")  # a value without its source leaves the question that follows
    return list(dict.fromkeys(names))


async def _shown(call: Call, tx: Tx, items: Sequence[Workspace], names: Sequence[str]) -> list[WorkspaceShown]:
    found = await _blocks(call, tx, items, names) if items else {}
    return [
        WorkspaceShown.of(workspace, {name: block.get(workspace.id) for name, block in found.items()})
        for workspace in items
    ]


async def _blocks(call: Call, tx: Tx, items: Sequence[Workspace], names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Each block for all of these workspaces; what their rows tell already is not asked for again."""
    catalogue, ids = _catalogue(call), [workspace.id for workspace in items]
    in_force = await workspaces.in_force_for(tx, items) if _INHERITING.keys() & set(names) else {}
    found: dict[str, Mapping[str, Any]] = {"brand": {workspace.id: workspace.brand for workspace in items}}
    found |= {name: {one: tell(told) for one, told in in_force.items()} for name, tell in _INHERITING.items()}
    return {name: found[name] if name in found else await catalogue[name](tx, ids) for name in names}


async def _one(call: Call, tx: Tx, workspace: Workspace, names: Sequence[str] = ()) -> WorkspaceShown:
    return (await _shown(call, tx, [workspace], list(dict.fromkeys([*_ALWAYS, *names]))))[0]


async def _named(call: Call, tx: Tx, named: str) -> str:
    """The id that a path names, where `ext:` and the agency's own id will do."""
    if not named.startswith(workspaces.EXTERNAL):
        if not is_id("ws", named):
            raise NotFound("workspace")
        return named
    external_id = named.removeprefix(workspaces.EXTERNAL)
    found = await workspaces.find_by_external(tx, call.caller, external_id) if external_id.isprintable() else None
    if found is None:
        raise NotFound("workspace")
    return found.id


@routes.get("/v1/workspaces", response_model=PageOf[WorkspaceShown])
@access(Who.ANY_KEY, "workspaces:read", place=Place.WORKSPACES)
async def list_workspaces(request: Request, query: Annotated[ListWorkspaces, Query()]) -> Response:
    """List the workspaces that the key reaches.

    `include` adds blocks to each of them: settings (with their sources), brand, lastActiveAt, usage, health,
    integrations, templatesApplied.
    """
    call = call_of(request)
    names = _wanted(call, query.include)
    what = f"workspaces {query.sort}"
    after = call.cursor(what, query.cursor)
    paging = Paging(query.sort, query.limit, None if after is None else (after[0], after[1]), query.count == "exact")
    async with call.reading() as tx:
        found = await workspaces.page(tx, call.caller, query.filters(), paging)
        data = await _shown(call, tx, found.items, names)
    following = call.next_cursor(what, None if found.next is None else list(found.next))
    return call.answer(200, PageOf[WorkspaceShown](data=data, next_cursor=following, total=found.total))


@routes.post("/v1/workspaces", status_code=201, response_model=WorkspaceShown)
@access(Who.AGENCY, "workspaces:create")
async def create_workspace(request: Request, body: CreateWorkspace) -> Response:
    """Create a workspace.

    One workspace is one brand with everything that belongs to it. A slug that is left out is made from the name. A
    second active workspace with the same domain is refused unless `allowDuplicateDomain` is sent. `templates` are
    deployed within seconds (`templatesApplied` tells); `integrations` names providers whose own keys of the agency it
    uses.
    """
    call = call_of(request)
    async with call.writing() as tx:
        workspace = await workspaces.create(
            tx, call.caller, fields=body.sent_json(), stored_keys=_stored_keys(call), adopt=_adopt(call)
        )
        headers = {"Location": f"/v1/workspaces/{workspace.id}", **entity_tag(workspace.version)}
        return call.answer(201, await _one(call, tx, workspace), headers=headers)


@routes.get("/v1/workspaces/{workspace_id}", response_model=WorkspaceShown)
@access(Who.ANY_KEY, "workspaces:read", place=Place.WORKSPACES)
async def read_workspace(request: Request, workspace_id: str, query: Annotated[ReadWorkspace, Query()]) -> Response:
    """Read a workspace.

    By its id, or by `ext:` and your own id for it. Settings are the effective ones.
    """
    call = call_of(request)
    names = list(dict.fromkeys([*_ALWAYS, *_wanted(call, query.include)]))
    reader: WorkspaceReader | None = getattr(request.app.state, READER, None)
    if reader is not None and is_id("ws", workspace_id) and _OF_A_VIEW.keys() >= set(names):
        view = await reader.read(call.caller, workspace_id)
        return json_answer(200, _written(view, tuple(names)), entity_tag(view.workspace.version))
    async with call.reading() as tx:
        workspace = await workspaces.get(tx, call.caller, await _named(call, tx, workspace_id))
        shown = await _one(call, tx, workspace, names)
    return call.answer(200, shown, headers=entity_tag(workspace.version))


def _written(view: WorkspaceView, names: tuple[str, ...]) -> bytes:
    """The answer's bytes; written once for each content that was read."""
    known = view.written.get(names)
    if known is None:
        shown = WorkspaceShown.of(view.workspace, {name: _OF_A_VIEW[name](view) for name in names})
        known = view.written[names] = to_json(shown)
    return known


@routes.patch("/v1/workspaces/{workspace_id}", response_model=WorkspaceShown)
@access(Who.ANY_KEY, "workspaces:write", place=Place.WORKSPACES)
async def change_workspace(request: Request, workspace_id: str, body: ChangeWorkspace) -> Response:
    """Change a workspace.

    A merge patch of its fields, its own settings and its brand. Approval policy, credit pool, borrow limit and owner
    need the scope `workspaces:govern` besides.
    """
    call = call_of(request)
    async with call.writing() as tx:
        workspace = await workspaces.update(
            tx,
            call.caller,
            await _named(call, tx, workspace_id),
            patch=body.sent_json(),
            expected_version=call.expected_version(),
            stored_keys=_stored_keys(call),
        )
        return call.answer(200, await _one(call, tx, workspace), headers=entity_tag(workspace.version))


@routes.delete("/v1/workspaces/{workspace_id}", status_code=204)
@access(Who.AGENCY, "workspaces:archive", place=Place.WORKSPACES)
async def archive_workspace(request: Request, workspace_id: str) -> Response:
    """Archive a workspace.

    It can still be read, its keys stop writing, and its domain is free for another.
    """
    call = call_of(request)
    async with call.writing() as tx:
        named = await _named(call, tx, workspace_id)
        await workspaces.archive(tx, call.caller, named, expected_version=call.expected_version())
        return call.answer(204)


@routes.post("/v1/workspaces/{workspace_id}/restore", response_model=WorkspaceShown)
@access(Who.AGENCY, "workspaces:archive", place=Place.WORKSPACES)
async def restore_workspace(request: Request, workspace_id: str) -> Response:
    """Restore an archived workspace.

    Refused while another active workspace has its domain.
    """
    call = call_of(request)
    async with call.writing() as tx:
        workspace = await workspaces.restore(tx, call.caller, await _named(call, tx, workspace_id))
        return call.answer(200, await _one(call, tx, workspace), headers=entity_tag(workspace.version))


@routes.post("/v1/workspaces/{workspace_id}/purge", status_code=202, response_model=WorkspaceShown)
@access(Who.AGENCY, "workspaces:purge", place=Place.WORKSPACES)
async def purge_workspace(request: Request, workspace_id: str, body: PurgeWorkspace) -> Response:
    """Erase an archived workspace for good.

    All that lies inside is erased in the background, and its credits go back to the agency; then it is not found any
    more. Ledger, usage and the audit log without its contents stay. In the first 30 days after archiving `confirm` has
    to repeat the name. Refused while runs are at work.
    """
    call = call_of(request)
    async with call.writing() as tx:
        named = await _named(call, tx, workspace_id)
        purging = await workspaces.purge(tx, call.caller, named, confirm=body.confirm, at_work=_at_work(call))
        return call.answer(202, await _one(call, tx, purging))


@routes.get("/v1/workspaces/{workspace_id}/settings", response_model=SettingsShown)
@access(Who.ANY_KEY, "workspaces:read", place=Place.WORKSPACES)
async def read_workspace_settings(request: Request, workspace_id: str) -> Response:
    """Read a workspace's effective settings.

    With the source of each value and whether the agency has locked it.
    """
    call = call_of(request)
    async with call.reading() as tx:
        workspace = await workspaces.get(tx, call.caller, await _named(call, tx, workspace_id))
        found = (await workspaces.in_force_for(tx, [workspace]))[workspace.id]
    shown = SettingsShown(workspace_id=workspace.id, settings=found.values, setting_sources=found.sources)
    return call.answer(200, shown, headers=entity_tag(workspace.version))


@routes.get("/v1/workspaces/{workspace_id}/health", response_model=HealthShown)
@access(Who.ANY_KEY, "workspaces:read", place=Place.WORKSPACES)
async def read_workspace_health(request: Request, workspace_id: str) -> Response:
    """Read how a workspace's integrations are."""
    call = call_of(request)
    async with call.reading() as tx:
        workspace = await workspaces.get(tx, call.caller, await _named(call, tx, workspace_id))
        blocks = await _catalogue(call)["health"](tx, [workspace.id])
    return call.answer(200, HealthShown(workspace_id=workspace.id, health=blocks[workspace.id]))
