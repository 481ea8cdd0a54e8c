"""How HTTP says skills and invocations: start, read, follow, stop."""

from typing import Annotated, Any, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from colonnade import credits
from colonnade.ground.core.refusals import BadField
from colonnade.ground.web import Call, PageOf, Place, Who, access, call_of, entity_tag, json_answer, router
from colonnade.runs import approvals, invocations, skills
from colonnade.runs.invocations import watching
from colonnade.runs.invocations.model import StartRequest
from colonnade.runs.invocations.shapes import (
    Follow,
    Handle,
    InvocationNode,
    InvocationShown,
    Invoke,
    ListInvocations,
    SkillShown,
    SkillsShown,
    StepShown,
    StepsShown,
    path_of,
)

routes = router("Agent")

FOREGROUND_SECONDS: Final = 55.0
_TOLD: Final = {
    "type": "object",
    "required": ["number", "event", "at"],
    "properties": {
        "number": {"type": "integer", "minimum": 1},
        "event": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
    },
}
_EVENT: Final = {
    "type": "object",
    "description": "One event of the stream; its `data` is JSON.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Its number, for `Last-Event-ID`."},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": _TOLD},
    },
}
_TEXT: Final = {"text/event-stream": {"schema": _EVENT}}
_STREAM: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "Events as they happen.", "content": _TEXT}}


@routes.get("/v1/agent/skills", response_model=SkillsShown)
@access(Who.ANY_KEY, "runs:read")
async def list_skills(request: Request) -> Response:
    """List the skills, with what a run of each costs at most."""
    call = call_of(request)
    async with call.reading() as tx:
        prices = await credits.price_list(tx)
    return call.answer(200, SkillsShown(skills=[SkillShown.of(skill, prices) for skill in skills.SKILLS.values()]))


_ENDED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": InvocationShown, "description": "The ended invocation (`FOREGROUND`)"}
}
_STOPPING: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": InvocationShown, "description": "A worker still has to stop it"}
}


@routes.post("/v1/agent/invoke", status_code=202, response_model=Handle, responses=_ENDED)
@access(Who.ANY_KEY, "runs:start", place=Place.NAMED)
async def invoke(request: Request, body: Invoke) -> Response:
    """Start a skill.

    The credits that it may use at most are held; what it did not use is released when it ends. With `mode: FOREGROUND`
    the answer is the ended invocation (200), or its handle (202) if that takes longer than 55 seconds.
    """
    call = call_of(request)
    wish = StartRequest(
        call.caller.the_workspace(),
        body.skill,
        body.input,
        approval_required=body.approval.required,
        mode=body.mode,
    )
    async with call.writing() as tx:
        run = await invocations.invoke(tx, call.caller, wish)
        answer = call.answer(202, Handle.of(run), headers={"Location": path_of(run)})
    if body.mode == "BACKGROUND" or not call.caller.holds("runs:read"):
        return answer
    run = await watching.until_ended(call.database, call.caller, run.id, FOREGROUND_SECONDS)
    return json_answer(200, await _shown(call, run.id)) if run.state.is_final else answer


@routes.get("/v1/agent/invocations", response_model=PageOf[InvocationShown])
@access(Who.ANY_KEY, "runs:read", place=Place.LISTED)
async def list_invocations(request: Request, query: Annotated[ListInvocations, Query()]) -> Response:
    """List invocations.

    Those of one workspace, or with `scope=agency` of all that the key reaches; the newest first.
    """
    call = call_of(request)
    position = call.cursor("invocations", query.cursor)
    async with call.reading() as tx:
        found = await invocations.page(
            tx,
            call.caller,
            query.where(),
            after=position[0] if position else None,
            limit=query.limit,
            counts_all=query.count == "exact",
        )
    shown = PageOf[InvocationShown](
        data=[InvocationShown.of(run) for run in found.runs],
        next_cursor=call.next_cursor("invocations", [found.next_after] if found.next_after else None),
        total=found.total,
    )
    return call.answer(200, shown)


@routes.get("/v1/agent/invocations/{invocation_id}", response_model=InvocationShown)
@access(Who.ANY_KEY, "runs:read", place=Place.ROW)
async def read_invocation(request: Request, invocation_id: str) -> Response:
    """Read an invocation, with its steps and what was decided."""
    call = call_of(request)
    async with call.reading() as tx:
        run = await invocations.get(tx, call.caller, invocation_id)
        done = await invocations.steps(tx, call.caller, invocation_id)
        waiting = await approvals.find_pending(tx, run.id)
    return call.answer(200, InvocationShown.of(run, done, approval_id=waiting), headers=entity_tag(run.version))


@routes.get("/v1/agent/invocations/{invocation_id}/steps", response_model=StepsShown)
@access(Who.ANY_KEY, "runs:read", place=Place.ROW)
async def list_steps(request: Request, invocation_id: str) -> Response:
    """List what an invocation has done so far."""
    call = call_of(request)
    async with call.reading() as tx:
        done = await invocations.steps(tx, call.caller, invocation_id)
    return call.answer(200, StepsShown(data=[StepShown.of(step) for step in done]))


@routes.get("/v1/agent/invocations/{invocation_id}/tree", response_model=InvocationNode)
@access(Who.ANY_KEY, "runs:read", place=Place.ROW)
async def read_tree(request: Request, invocation_id: str) -> Response:
    """Read an invocation with all that it started."""
    call = call_of(request)
    async with call.reading() as tx:
        found = await invocations.tree(tx, call.caller, invocation_id)
    return call.answer(200, InvocationNode.tree(found))


@routes.get("/v1/agent/invocations/{invocation_id}/events", response_class=StreamingResponse, responses=_STREAM)
@access(Who.ANY_KEY, "runs:read", place=Place.ROW)
async def follow(request: Request, invocation_id: str, query: Annotated[Follow, Query()]) -> Response:
    """Follow an invocation by server-sent events.

    Events are numbered from 1; after a break go on with `Last-Event-ID` or `after`. The stream ends after the last
    event, and after ten minutes at the latest.
    """
    call = call_of(request)
    after = _last_seen(request, query.after)
    async with call.reading() as tx:
        await invocations.get(tx, call.caller, invocation_id)
    return StreamingResponse(
        watching.stream(call.database, call.caller, invocation_id, after), media_type="text/event-stream"
    )


def _last_seen(request: Request, after: int) -> int:
    header = request.headers.get("last-event-id", "").strip()
    if not header:
        return after
    if not header.isdecimal() or len(header) > 9:
        raise BadField("Last-Event-ID", "must be the number of an event")
    return int(header)


@routes.post("/v1/agent/invocations/{invocation_id}/cancel", response_model=InvocationShown, responses=_STOPPING)
@access(Who.ANY_KEY, "runs:cancel", place=Place.ROW)
async def cancel(request: Request, invocation_id: str) -> Response:
    """Cancel an invocation.

    200 when it has ended by that; 202 when a worker still has to stop it. It is charged for what it used until then.
    """
    call = call_of(request)
    async with call.writing() as tx:
        run = await invocations.cancel(tx, call.caller, invocation_id)
        return call.answer(200 if run.state.is_final else 202, InvocationShown.of(run))


async def _shown(call: Call, run_id: str) -> InvocationShown:
    async with call.reading() as tx:
        run = await invocations.get(tx, call.caller, run_id)
        return InvocationShown.of(run, await invocations.steps(tx, call.caller, run_id))
