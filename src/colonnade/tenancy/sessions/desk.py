"""What the routes of this slice need of the process that serves them, and what they know of who stands before them."""

from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.web import Call
from colonnade.tenancy.sessions.entrance import Entrance
from colonnade.tenancy.sessions.keeper import Cookie
from colonnade.tenancy.sessions.model import Visitor

STATE: Final = "sessions"
"""Under which name the desk is laid on the application's state."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The way in, and the cookie that comes out."""

    entrance: Entrance
    cookie: Cookie


def desk_of(request: Request) -> Desk:
    """The desk of this process."""
    desk: Desk = getattr(request.app.state, STATE)
    return desk


def visitor_of(call: Call) -> Visitor:
    """Who stands at the door."""
    visit = call.visit
    return Visitor(visit.request_id, visit.address, call.request.headers.get("user-agent", ""))


def about_oneself(call: Call) -> Caller:
    """The member who calls, in the scope of their agency: what is theirs alone lies in no workspace."""
    call.known = replace(call.caller, reach=Reach(call.caller.agency_id))
    return call.known
