"""How HTTP says templates."""

from typing import Annotated, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Call, PageOf, Place, Who, access, call_of, entity_tag, router
from colonnade.outbound import templates
from colonnade.outbound.templates import Slice
from colonnade.outbound.templates.shapes import (
    ChangeTemplate,
    CreateTemplate,
    Cut,
    DeployedShown,
    DeployTemplate,
    DriftShown,
    ListTemplates,
    TemplateShown,
    VersionShown,
)
from colonnade.tenancy import workspaces

routes = router("Templates")

_DIGITS: Final = 9
_LIST: Final = "templates"


def _number(version: str) -> int:
    """The number in a path; anything else is the number of no version."""
    if not (version.isascii() and version.isdigit() and len(version) <= _DIGITS):
        raise NotFound("version")
    return int(version)


def _slice(call: Call, what: str, query: ListTemplates | Cut) -> Slice:
    position = call.cursor(what, query.cursor)
    return Slice(query.limit, None if position is None else position[0], query.count == "exact")


@routes.get("/v1/templates", response_model=PageOf[TemplateShown])
@access(Who.ANY_KEY, "templates:read")
async def list_templates(request: Request, query: Annotated[ListTemplates, Query()]) -> Response:
    """List the agency's templates, the newest first."""
    call = call_of(request)
    cut = _slice(call, _LIST, query)
    async with call.reading() as tx:
        found, more, total = await templates.page(tx, call.caller, query.q, cut)
    following = call.next_cursor(_LIST, [found[-1].id] if more else None)
    data = [TemplateShown.of(one) for one in found]
    return call.answer(200, PageOf[TemplateShown](data=data, next_cursor=following, total=total))


@routes.post("/v1/templates", status_code=201, response_model=TemplateShown)
@access(Who.AGENCY, "templates:write")
async def create_template(request: Request, body: CreateTemplate) -> Response:
    """Create a template.

    Its contents obey the rules of workspaces and posts. Contents that set approval policy, credit pool or borrow limit
    need the scope `workspaces:govern` besides.
    """
    call = call_of(request)
    async with call.writing() as tx:
        template = await templates.create(tx, call.caller, fields=body.sent_json())
        headers = {"Location": f"/v1/templates/{template.id}", **entity_tag(template.version)}
        return call.answer(201, TemplateShown.of(template), headers=headers)


@routes.get("/v1/templates/{template_id}", response_model=TemplateShown)
@access(Who.ANY_KEY, "templates:read")
async def read_template(request: Request, template_id: str) -> Response:
    """Read a template as its latest version says."""
    call = call_of(request)
    async with call.reading() as tx:
        template = await templates.get(tx, call.caller, template_id)
    return call.answer(200, TemplateShown.of(template), headers=entity_tag(template.version))


@routes.patch("/v1/templates/{template_id}", response_model=TemplateShown)
@access(Who.AGENCY, "templates:write")
async def change_template(request: Request, template_id: str, body: ChangeTemplate) -> Response:
    """Change a template.

    A merge patch; what it makes of the template is its next version. Workspaces that follow it get that version within
    seconds, and keep what was changed there by hand.
    """
    call = call_of(request)
    async with call.writing() as tx:
        template = await templates.update(
            tx, call.caller, template_id, patch=body.sent_json(), expected_version=call.expected_version()
        )
        return call.answer(200, TemplateShown.of(template), headers=entity_tag(template.version))


@routes.delete("/v1/templates/{template_id}", status_code=204)
@access(Who.AGENCY, "templates:write")
async def delete_template(request: Request, template_id: str) -> Response:
    """Delete a template.

    What it has set in workspaces stays; nobody follows it any more, and its name is free.
    """
    call = call_of(request)
    async with call.writing() as tx:
        await templates.delete(tx, call.caller, template_id, expected_version=call.expected_version())
        return call.answer(204)


@routes.get("/v1/templates/{template_id}/versions", response_model=PageOf[VersionShown])
@access(Who.ANY_KEY, "templates:read")
async def list_template_versions(request: Request, template_id: str, query: Annotated[Cut, Query()]) -> Response:
    """List the versions of a template, the newest first."""
    call = call_of(request)
    what = f"template versions {template_id}"
    cut = _slice(call, what, query)
    async with call.reading() as tx:
        found, more, total = await templates.versions(tx, call.caller, template_id, cut)
    following = call.next_cursor(what, [found[-1].number] if more else None)
    data = [VersionShown.of(one) for one in found]
    return call.answer(200, PageOf[VersionShown](data=data, next_cursor=following, total=total))


@routes.get("/v1/templates/{template_id}/versions/{version}", response_model=VersionShown)
@access(Who.ANY_KEY, "templates:read")
async def read_template_version(request: Request, template_id: str, version: str) -> Response:
    """Read what a template said in one version."""
    call = call_of(request)
    async with call.reading() as tx:
        found = await templates.version(tx, call.caller, template_id, _number(version))
    return call.answer(200, VersionShown.of(found))


@routes.post("/v1/templates/{template_id}/deploy", response_model=DeployedShown)
@access(Who.AGENCY, "templates:write")
async def deploy_template(request: Request, template_id: str, body: DeployTemplate) -> Response:
    """Deploy a template in a workspace.

    Field by field: what stands as it was deployed before is set, what was changed by hand is kept (or overwritten, with
    `onConflict`), and what the agency has locked is kept. Posts become drafts, once. `dryRun` tells without doing.
    """
    call = call_of(request)
    act = templates.rehearse if body.dry_run else templates.deploy
    async with call.writing() as tx:
        done = await act(tx, call.caller, body.workspace_id, body.order(template_id))
        return call.answer(200, DeployedShown.of(done, dry_run=body.dry_run))


@routes.get("/v1/templates/{template_id}/drift", response_model=PageOf[DriftShown])
@access(Who.AGENCY, "templates:read")
async def list_template_drift(request: Request, template_id: str, query: Annotated[Cut, Query()]) -> Response:
    """List where a template is deployed, how far behind it is there, and what was changed by hand since."""
    call = call_of(request)
    what = f"template drift {template_id}"
    cut = _slice(call, what, query)
    async with call.reading() as tx:
        found, more, total = await templates.drift_of(tx, call.caller, template_id, cut)
    following = call.next_cursor(what, [found[-1].workspace_id] if more else None)
    data = [DriftShown.of(one) for one in found]
    return call.answer(200, PageOf[DriftShown](data=data, next_cursor=following, total=total))


@routes.get("/v1/workspaces/{workspace_id}/drift", response_model=PageOf[DriftShown])
@access(Who.ANY_KEY, "templates:read", place=Place.WORKSPACES)
async def list_workspace_drift(request: Request, workspace_id: str) -> Response:
    """List how far a workspace is from every template that is deployed in it."""
    call = call_of(request)
    async with call.reading() as tx:
        found = await templates.drift_in(tx, call.caller, await _named(call, tx, workspace_id))
    data = [DriftShown.of(one) for one in found]
    return call.answer(200, PageOf[DriftShown](data=data, next_cursor=None, total=len(data)))


async def _named(call: Call, tx: Tx, path_id: str) -> str:
    """The workspace that a path names, where `ext:` and the agency's own id will do."""
    if not path_id.startswith(workspaces.EXTERNAL):
        return path_id
    external_id = path_id.removeprefix(workspaces.EXTERNAL)
    found = await workspaces.find_by_external(tx, call.caller, external_id) if external_id.isprintable() else None
    if found is None:
        raise NotFound("workspace")
    return found.id
