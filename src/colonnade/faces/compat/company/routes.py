"""How HTTP says workspaces and their keys to tools that speak of a company; the same verbs as everywhere."""

from starlette.requests import Request
from starlette.responses import Response

from colonnade.faces.compat.company.shapes import (
    AddKey,
    AddWorkspace,
    CompanyKey,
    CompanyKeyMade,
    CompanyKeys,
    CompanyWorkspace,
    CompanyWorkspaces,
    Done,
)
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadFields, FieldError, NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Place, Who, access, call_of, router
from colonnade.tenancy import keys, people, workspaces
from colonnade.tenancy.workspaces import Workspace

routes = router("Company")

_IN_USE = 100
"""How many keys are read at once."""


@routes.get("/company/workspaces", response_model=CompanyWorkspaces)
@access(Who.AGENCY, "workspaces:read", place=Place.WORKSPACES)
async def list_company_workspaces(request: Request) -> Response:
    """List all workspaces of the company.

    Every active one that the key reaches, the oldest first, in one answer.
    """
    call = call_of(request)
    async with call.reading() as tx:
        found = await workspaces.roll_call(tx, call.caller)
    return call.answer(200, CompanyWorkspaces(workspaces=[CompanyWorkspace.of(one) for one in found]))


@routes.post("/company/workspaces", response_model=CompanyWorkspace)
@access(Who.AGENCY, "workspaces:create")
async def add_company_workspace(request: Request, body: AddWorkspace) -> Response:
    """Create a workspace of the company.

    Members named in `userIds` may work in it from then on: those who may not work everywhere become its managers.
    """
    call = call_of(request)
    fields, member_ids = body.read()
    async with call.writing() as tx:
        await _require_members(tx, member_ids)
        workspace = await workspaces.create(tx, call.caller, fields=fields)
        await _let_in(tx, call.caller, workspace.id, member_ids)
        return call.answer(200, CompanyWorkspace.of(workspace))


@routes.get("/company/workspaces/{workspace_id}", response_model=CompanyWorkspace)
@access(Who.AGENCY, "workspaces:read", place=Place.WORKSPACES)
async def read_company_workspace(request: Request, workspace_id: str) -> Response:
    """Read a workspace of the company."""
    call = call_of(request)
    async with call.reading() as tx:
        workspace = await _standing(tx, call.caller, workspace_id)
    return call.answer(200, CompanyWorkspace.of(workspace))


@routes.delete("/company/workspaces/{workspace_id}", response_model=Done)
@access(Who.AGENCY, "workspaces:archive", place=Place.WORKSPACES)
async def remove_company_workspace(request: Request, workspace_id: str) -> Response:
    """Remove a workspace of the company.

    It is archived: gone from this surface, its keys no longer write; `/v1/workspaces/{id}/restore` brings it back.
    """
    call = call_of(request)
    async with call.writing() as tx:
        workspace = await _standing(tx, call.caller, workspace_id)
        await workspaces.archive(tx, call.caller, workspace.id)
        return call.answer(200, Done(success=True))


@routes.get("/company/workspaces/{workspace_id}/api-keys", response_model=CompanyKeys)
@access(Who.AGENCY, "keys:read", place=Place.WORKSPACES)
async def list_company_keys(request: Request, workspace_id: str) -> Response:
    """List the keys of a workspace that are in use.

    All of them, the newest first; those that were revoked or have expired are left out.
    """
    call = call_of(request)
    async with call.reading() as tx:
        workspace = await _standing(tx, call.caller, workspace_id)
        shown = [CompanyKey.of(key) for key in await _keys_in_use(tx, call.caller, workspace)]
    return call.answer(200, CompanyKeys(api_keys=shown))


@routes.post("/company/workspaces/{workspace_id}/api-keys", response_model=CompanyKeyMade)
@access(Who.AGENCY, "keys:write", place=Place.WORKSPACES)
async def add_company_key(request: Request, workspace_id: str, body: AddKey) -> Response:
    """Make a key of a workspace.

    It may do all that a workspace key may; this answer alone holds its text.
    """
    call = call_of(request)
    async with call.writing() as tx:
        workspace = await _standing(tx, call.caller, workspace_id)
        minted = await keys.mint(tx, call.caller, keys.Draft(body.name), workspace_id=workspace.id)
        return call.answer(200, CompanyKeyMade.minted(minted), kept=CompanyKey.of(minted.key))


@routes.delete("/company/workspaces/{workspace_id}/api-keys/{key_id}", response_model=Done)
@access(Who.AGENCY, "keys:write", place=Place.WORKSPACES)
async def revoke_company_key(request: Request, workspace_id: str, key_id: str) -> Response:
    """Revoke a key of a workspace.

    At once, in every process, and for ever.
    """
    call = call_of(request)
    async with call.writing() as tx:
        workspace = await _standing(tx, call.caller, workspace_id)
        await keys.revoke(tx, call.caller, key_id, workspace_id=workspace.id)
        return call.answer(200, Done(success=True))


async def _standing(tx: Tx, caller: Caller, named: str) -> Workspace:
    """The workspace that a path names, by its id or by the agency's own; archived ones are gone here."""
    if named.startswith(workspaces.EXTERNAL):
        found = await workspaces.find_by_external(tx, caller, named.removeprefix(workspaces.EXTERNAL))
    else:
        found = await workspaces.get(tx, caller, named)
    if found is None or not found.is_active:
        raise NotFound("workspace")
    return found


async def _keys_in_use(tx: Tx, caller: Caller, workspace: Workspace) -> list[keys.Key]:
    now, found = await tx.now(), list[keys.Key]()
    more, last = True, None
    while more:
        page, more = await keys.page(tx, caller, workspace_id=workspace.id, limit=_IN_USE, after_id=last)
        found += [key for key in page if key.state(now) == "active"]
        last = page[-1].id if page else None
    return found


async def _require_members(tx: Tx, member_ids: list[str]) -> None:
    unknown = [
        FieldError(f"/userIds/{number}", "is not a member of this company")
        for number, member_id in enumerate(member_ids)
        if await people.find_member(tx, member_id) is None
    ]
    if unknown:
        raise BadFields(unknown)


async def _let_in(tx: Tx, caller: Caller, workspace_id: str, member_ids: list[str]) -> None:
    """Members who may work everywhere have been let in already; the others become managers of this workspace."""
    for member_id in member_ids:
        if await people.find_colleague(tx, workspace_id, member_id) is None:
            await workspaces.appoint(tx, caller, workspace_id, member_id, "manager")
