"""How callers name workspaces where credits are asked about."""

from typing import Final

from colonnade.ground.core.refusals import NotFound
from colonnade.ground.web import Call
from colonnade.ground.web.operations import House

EXAMPLE_WORKSPACE: Final = "ws_01k3n5q7s9v1x3z5b7d9f1h3j5"


async def workspace_named(call: Call, named: str) -> str:
    """The id of the workspace that a path names, by its id or as `ext:`; who does not reach it does not find it."""
    house: House = call.request.app.state.house
    known = await house.find_workspace(call.caller, named)
    if known is None:
        raise NotFound("workspace")
    return known
