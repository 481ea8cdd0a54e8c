"""What a route says of its callers: who may call, with which scope, and where the workspace comes from."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from starlette.requests import Request

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.web.visits import Visit, visit_of

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_DECLARED: Final = "__colonnade_access__"

WORKSPACE_HEADER: Final = "X-Workspace-Id"
_HEADER_BYTES: Final = WORKSPACE_HEADER.lower().encode()
CSRF_HEADER: Final = "X-CSRF-Token"
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Who(Enum):
    """Which credentials a route is for."""

    ANYONE = "anyone"
    ANY_KEY = "any key"
    AGENCY = "agency keys"
    MEMBER = "members who are signed in"


class Place(Enum):
    """Where the workspace of a call comes from."""

    AGENCY = "none: the call is about the agency"
    WORKSPACES = "the workspaces themselves: the path names one, or all in reach are meant"
    NAMED = "the key's own, or the X-Workspace-Id header"
    LISTED = "as NAMED, or all in reach with scope=agency"
    ROW = "the thing that the path names"


CONTENT: Final = frozenset({Place.NAMED, Place.LISTED, Place.ROW})
"""What lives inside workspaces: an agency key needs `workspaces:act` for it."""


@dataclass(frozen=True, slots=True)
class Access:
    """The declaration of one route."""

    who: Who
    scope: str | None
    place: Place


def access(who: Who, scope: str | None = None, *, place: Place = Place.AGENCY) -> Callable[[Endpoint], Endpoint]:
    """Declare a route's access; a route without a declaration does not start."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, Access(who, scope, place))
        return endpoint

    return declare


def access_of(endpoint: Callable[..., Any]) -> Access:
    """The declaration of a route's endpoint."""
    declared = getattr(endpoint, _DECLARED, None)
    assert isinstance(declared, Access), f"{endpoint.__qualname__} declares no access"
    return declared


FindWorkspace = Callable[[Caller, str], Awaitable[str | None]]
"""The id of the workspace that a header names (an id or `ext:…`), if it is within the caller's reach."""


async def admit(declared: Access, caller: Caller | None, request: Request, find: FindWorkspace) -> Caller | None:
    """The caller as this route may use it: kind and scope are right, the workspace is known.

    Raises, in the contract's order: 401 without a credential, 403 for the wrong kind and a missing scope, 400 and 404
    for the workspace. A member is let in where they hold the route's scope, and sees no other workspace.
    """
    if declared.who is Who.ANYONE:
        _refuse_cross_site(request)
        return caller
    if caller is None:
        raise visit_of(request.scope).unknown or Refused(
            "auth.missing", "This needs an API key: send `Authorization: Bearer KEY` or `X-Auth: KEY`."
        )
    if caller.kind is CallerKind.MEMBER:
        _refuse_forged(request)
        caller = caller.where_it_holds(declared.scope, in_agency=declared.place is Place.AGENCY)
    _require_kind(declared, caller)
    if declared.scope is not None:
        caller.require(declared.scope)
    if caller.is_agency_wide:
        return await _placed(declared, caller, request, find)
    return _bound(declared, caller, request)


def _refuse_forged(request: Request) -> None:
    """A browser sends its cookies along with what other pages make it send; those do not know the token."""
    if request.method not in _WRITES:
        return
    _refuse_cross_site(request)
    wanted, sent = visit_of(request.scope).csrf_token, request.headers.get(CSRF_HEADER, "")
    if wanted is None or not hmac.compare_digest(wanted.encode(), sent.encode("utf-8", "replace")):
        raise Refused(
            "auth.csrf",
            f"A write with a session needs the header `{CSRF_HEADER}` with the session's own token; "
            "signing in and GET /v1/me tell it.",
        )


def _refuse_cross_site(request: Request) -> None:
    if request.method in _WRITES and request.headers.get("sec-fetch-site") == "cross-site":
        raise Refused("auth.csrf", "The browser says that a page of another site sends this; nothing was done.")


def _require_kind(declared: Access, caller: Caller) -> None:
    if declared.who is Who.MEMBER and caller.kind is not CallerKind.MEMBER:
        raise Refused("keys.wrong_kind", "This is for people who are signed in; a key is no person.")
    about_oneself = declared.who is Who.MEMBER and declared.scope is None
    if caller.two_factor == "required" and not about_oneself:
        raise Refused(
            "auth.two_factor_required",
            "The agency asks everybody for a second factor: set one up with POST /v1/me/totp first.",
        )
    if declared.who is Who.AGENCY and not caller.is_agency_wide:
        raise Refused("keys.wrong_kind", "This is an agency's operation; a workspace key cannot call it.")
    if declared.place in CONTENT and caller.is_agency_wide and not caller.holds("workspaces:act"):
        raise Refused(
            "keys.wrong_kind",
            "This agency key manages workspaces and does not act inside them: it lacks the scope `workspaces:act`. "
            "Use a key of the workspace, or an agency key with that scope.",
            details={"scope": "workspaces:act"},
        )


def named_workspace(visit: Visit) -> str | None:
    """What the header says."""
    named = visit.headers.get(_HEADER_BYTES)
    return None if named is None else named.decode("latin-1")


async def _placed(declared: Access, caller: Caller, request: Request, find: FindWorkspace) -> Caller:
    named = named_workspace(visit_of(request.scope))
    if named is None:
        if declared.place is Place.NAMED or (declared.place is Place.LISTED and not _agency_wide_list(request)):
            raise Refused(
                "workspace.required",
                "An agency key acts on the data of a workspace here: name it with the `X-Workspace-Id` header"
                + (", or list all of them with `scope=agency`." if declared.place is Place.LISTED else "."),
            )
        return caller
    workspace_id = await find(caller, named)
    if workspace_id is None:
        raise NotFound("workspace")
    return caller if declared.place is Place.AGENCY else caller.within(workspace_id)


def _bound(declared: Access, caller: Caller, request: Request) -> Caller:
    named = named_workspace(visit_of(request.scope))
    if named is not None and named != caller.workspace_id:
        raise Refused("workspace.other", "`X-Workspace-Id` names another workspace than the one of this key.")
    if declared.place is Place.LISTED and _agency_wide_list(request):
        raise Refused("keys.wrong_kind", "`scope=agency` is for agency keys; this key sees its own workspace.")
    return caller


def _agency_wide_list(request: Request) -> bool:
    return request.query_params.get("scope") == "agency"
