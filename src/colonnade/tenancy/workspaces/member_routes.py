"""How HTTP says who works in a workspace, and to whom it belongs."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import (
    Body,
    Call,
    Instant,
    PageOf,
    Place,
    Shown,
    Who,
    access,
    call_of,
    dated_cursor,
    dated_position,
    entity_tag,
    examples,
    router,
)
from colonnade.tenancy import workspaces
from colonnade.tenancy.people import Colleague, Paging, WorkspaceRole
from colonnade.tenancy.people import Filters as MemberFilters

routes = router("Members")


class ListColleagues(Body):
    """Which of those who may work in the workspace, from the newest member on."""

    role: Literal["owner", "admin", "manager", "viewer"] | None = Field(None, description="The role that counts here.")
    q: str | None = Field(None, max_length=200, description="A part of the e-mail address or the name.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None


class AppointMember(Body):
    """The role that the member has in this workspace."""

    model_config = examples({"role": "manager"})
    role: WorkspaceRole


class TransferWorkspace(Body):
    """To whom the workspace goes."""

    model_config = examples({"toMemberId": "mem_01jx8k2m3n4p5q6r7s8t9vwxyz"})
    to_member_id: str = Field(max_length=64)


class ColleagueShown(Shown):
    """Who may work in the workspace, as what, and why."""

    member_id: str
    email: str
    name: str | None
    role: Literal["owner", "admin", "manager", "viewer"] = Field(description="What counts in this workspace.")
    source: Literal["agency", "workspace"] = Field(
        description="`agency`: by the role in the agency; `workspace`: by an assignment to this workspace."
    )
    member_since: Instant

    @classmethod
    def of(cls, colleague: Colleague) -> "ColleagueShown":
        """The member as callers read them."""
        return cls(
            member_id=colleague.member_id,
            email=colleague.email,
            name=colleague.name,
            role=colleague.role,
            source=colleague.source,
            member_since=colleague.created_at,
        )


class TransferredShown(Shown):
    """Whose workspace it is now."""

    workspace_id: str
    owner_id: str


async def _workspace_id(call: Call, tx: Tx, named: str) -> str:
    """The id that a path names, where `ext:` and the agency's own id will do."""
    if is_id("ws", named):
        return named
    external_id = named.removeprefix(workspaces.EXTERNAL)
    is_external = named.startswith(workspaces.EXTERNAL) and external_id.isprintable()
    found = await workspaces.find_by_external(tx, call.caller, external_id) if is_external else None
    if found is None:
        raise NotFound("workspace")
    return found.id


@routes.get("/v1/workspaces/{workspace_id}/members", response_model=PageOf[ColleagueShown])
@access(Who.AGENCY, "members:read", place=Place.WORKSPACES)
async def list_workspace_members(
    request: Request, workspace_id: str, query: Annotated[ListColleagues, Query()]
) -> Response:
    """List who may work in a workspace.

    With the role that counts there, and whether the agency or an assignment says so. Owners and admins work in every
    workspace.
    """
    call = call_of(request)
    what = f"members {workspace_id}"
    paging = Paging(query.limit, dated_position(call.cursor(what, query.cursor)), query.count == "exact")
    filters = MemberFilters(role=query.role, q=query.q or None)
    async with call.reading() as tx:
        named = await _workspace_id(call, tx, workspace_id)
        found = await workspaces.colleagues(tx, call.caller, named, filters, paging)
    following = call.next_cursor(what, dated_cursor(found.next))
    data = [*map(ColleagueShown.of, found.items)]
    return call.answer(200, PageOf[ColleagueShown](data=data, next_cursor=following, total=found.total))


@routes.put("/v1/workspaces/{workspace_id}/members/{member_id}", response_model=ColleagueShown)
@access(Who.AGENCY, "members:write", place=Place.WORKSPACES)
async def appoint_member(request: Request, workspace_id: str, member_id: str, body: AppointMember) -> Response:
    """Give a member a role in a workspace.

    It adds to what the role in the agency allows there, and never takes away. The answer tells what counts.
    """
    call = call_of(request)
    async with call.writing() as tx:
        named = await _workspace_id(call, tx, workspace_id)
        colleague = await workspaces.appoint(tx, call.caller, named, member_id, body.role)
        return call.answer(200, ColleagueShown.of(colleague))


@routes.delete("/v1/workspaces/{workspace_id}/members/{member_id}", status_code=204)
@access(Who.AGENCY, "members:write", place=Place.WORKSPACES)
async def dismiss_member(request: Request, workspace_id: str, member_id: str) -> Response:
    """Take away a member's role in a workspace.

    What the role in the agency allows there stays.
    """
    call = call_of(request)
    async with call.writing() as tx:
        await workspaces.dismiss(tx, call.caller, await _workspace_id(call, tx, workspace_id), member_id)
        return call.answer(204)


@routes.post("/v1/workspaces/{workspace_id}/transfer", response_model=TransferredShown)
@access(Who.AGENCY, "workspaces:govern", place=Place.WORKSPACES)
async def transfer_workspace(request: Request, workspace_id: str, body: TransferWorkspace) -> Response:
    """Give a workspace to another member.

    The member must be able to work in it.
    """
    call = call_of(request)
    async with call.writing() as tx:
        named = await _workspace_id(call, tx, workspace_id)
        workspace = await workspaces.transfer(tx, call.caller, named, body.to_member_id)
        assert workspace.owner_id is not None, "a workspace that was given to somebody has no owner"
        shown = TransferredShown(workspace_id=workspace.id, owner_id=workspace.owner_id)
        return call.answer(200, shown, headers=entity_tag(workspace.version))
