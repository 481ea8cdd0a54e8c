"""The HTTP kit, ready for routes. A route file reads:

    routes = router("Workspaces")

    @routes.post("/v1/workspaces", status_code=201, response_model=WorkspaceShown)
    @access(Who.AGENCY, "workspaces:create", place=Place.WORKSPACES)
    async def create(request: Request, body: CreateWorkspace) -> Response:
        '''Create a workspace.'''                                  # first line: the summary; the rest: the description
        call = call_of(request)
        async with call.writing() as tx:                           # begins, replays an Idempotency-Key, commits
            workspace = await workspaces.create(tx, call.caller, **body.sent())
            return call.answer(201, WorkspaceShown.of(workspace), headers={"Location": …})

`return` inside the block is right: the answer leaves after the commit. Bodies are `Body` models, answers `Shown` ones;
query parameters a `Body` model in `Annotated[Query…, Query()]`, so that unknown ones are refused.
"""

from colonnade.ground.web.access import Access, Place, Who, access
from colonnade.ground.web.bodies import takes_list_as, takes_up_to
from colonnade.ground.web.calls import Call, call_of, entity_tag, json_answer, to_json
from colonnade.ground.web.cursors import dated_cursor, dated_position
from colonnade.ground.web.operations import House, Operation, router
from colonnade.ground.web.problems import ErrorShape
from colonnade.ground.web.ready import ready
from colonnade.ground.web.shapes import Amount, Body, Credits, Flag, Instant, Name, PageOf, Shown, Whole, examples
from colonnade.ground.web.uploads import Upload, takes_file
from colonnade.ground.web.visits import Visit

__all__ = [
    "Access",
    "Amount",
    "Body",
    "Call",
    "Credits",
    "ErrorShape",
    "Flag",
    "House",
    "Instant",
    "Name",
    "Operation",
    "PageOf",
    "Place",
    "Shown",
    "Upload",
    "Visit",
    "Who",
    "Whole",
    "access",
    "call_of",
    "dated_cursor",
    "dated_position",
    "entity_tag",
    "examples",
    "json_answer",
    "ready",
    "router",
    "takes_file",
    "takes_list_as",
    "takes_up_to",
    "to_json",
]
