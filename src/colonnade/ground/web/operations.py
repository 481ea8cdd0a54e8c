"""The route class of every operation: caller, kind, scope and workspace are settled before a body is read."""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog
from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from colonnade.ground.core.refusals import BadField, BadFields, FieldError, NotFound, Refused
from colonnade.ground.db.database import Database, unavailable
from colonnade.ground.web.access import FindWorkspace, access_of, admit
from colonnade.ground.web.answers import Replay
from colonnade.ground.web.bodies import as_json, is_multipart, list_field_of
from colonnade.ground.web.calls import Call, put_call
from colonnade.ground.web.plain import list_fields, plain_arguments
from colonnade.ground.web.problems import a_mistake_of_ours, answer_refused, from_validation, is_unreachable
from colonnade.ground.web.uploads import read_file, upload_of
from colonnade.ground.web.visits import visit_of

_log = structlog.get_logger("colonnade.requests")

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class House:
    """What every operation needs of the process that serves it; kept on the application's state."""

    database: Database
    find_workspace: FindWorkspace


class Operation(APIRoute):
    """A route that keeps the order of the contract: 401, 403, workspace, body, and then the endpoint's own."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._fixed, self._parts = path.partition("{")[0], path.count("/")
        if plain_arguments(self) is None:
            self.app = AsyncExitStackMiddleware(self.app)
        else:
            self.app = _answering(self.get_route_handler())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the route takes this request; most are told apart by the beginning and the parts of their path."""
        sent: str = scope["path"]
        if sent.startswith(self._fixed) and sent.count("/") == self._parts:
            return super().matches(scope)
        return Match.NONE, {}

    def get_route_handler(self) -> Handler:
        """Wrap the framework's handler, which would parse the body first; plain operations do without it."""
        inner = _plainly(self) or super().get_route_handler()
        declared = access_of(self.endpoint)
        takes_body = self.body_field is not None
        upload, list_field = upload_of(self.endpoint), list_field_of(self.endpoint)
        lists = _list_parameters(self)
        route = self.path

        async def serve(request: Request) -> Response:
            house: House = request.app.state.house
            visit = visit_of(request.scope)
            visit.route = route
            known = visit.caller and visit.caller.on_request(visit.request_id, visit.address)
            known = await admit(declared, known, request, house.find_workspace)
            if known is not None:
                visit.caller = known
            _refuse_unclear_address(request, lists)
            call = Call(request, visit, house.database, known)
            if upload is not None:
                call.body = await read_file(request, upload)
            elif request.method in _WRITES and not is_multipart(request):
                request = as_json(request)
                call.request, call.body = request, await request.body()
                if list_field is not None:
                    await request.read_list_as(list_field)
                await _parse(request, takes_body)
            put_call(request, call)
            return await inner(request)

        async def handle(request: Request) -> Response:
            try:
                return await serve(request)
            except Replay as replay:
                return replay.response
            except HTTPException:
                raise
            except Exception as error:
                return answer_refused(_refusal(error, request), request.scope)

        return handle


def _plainly(route: APIRoute) -> Handler | None:
    """A handler that calls the endpoint directly, where it asks for nothing that needs the framework's solver."""
    arguments = plain_arguments(route)
    if arguments is None:
        return None
    endpoint = route.endpoint

    async def call_it(request: Request) -> Response:
        response: Response = await endpoint(**arguments.of(request))
        return response

    return call_it


def _answering(handle: Handler) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive, send))
        await response(scope, receive, send)

    return answer


async def _parse(request: Request, takes_body: bool) -> None:
    body = await request.json()
    if not isinstance(body, dict):
        raise BadField("", "must be a JSON object")
    if not takes_body and body:
        raise BadFields([FieldError(f"/{name}", "is not a field of this request, which has none") for name in body])


def _list_parameters(route: APIRoute) -> frozenset[str]:
    """The query parameters that may stand several times."""
    models = [field.field_info.annotation for field in route.dependant.query_params]
    return frozenset(
        name
        for model in models
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name in list_fields(model)
    )


def _refuse_unclear_address(request: Request, lists: frozenset[str]) -> None:
    if "\0" in request.scope["path"]:
        raise NotFound("thing")
    if not request.scope["query_string"]:
        return
    sent = request.query_params.multi_items()
    if any("\0" in text for pair in sent for text in pair):
        raise BadField("?", "holds a NUL character")
    times = Counter(name for name, _ in sent)
    twice = [name for name, count in times.items() if count > 1 and name not in lists]
    if twice:
        raise BadFields([FieldError(f"?{name}", "may stand only once") for name in twice])


def _refusal(error: Exception, request: Request) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, RequestValidationError):
        return from_validation(error)
    if isinstance(error, ClientDisconnect):
        return Refused("request.malformed", "The body ended too early.")
    return _unexpected(error, request)


def _unexpected(error: Exception, request: Request) -> Refused:
    visit = visit_of(request.scope)
    if is_unreachable(error):
        _log.warning("requests.database_unreachable", request_id=visit.request_id, error=type(error).__name__)
        return unavailable()
    _log.exception("requests.failed", request_id=visit.request_id, route=visit.route)
    return a_mistake_of_ours()


def router(tag: str) -> APIRouter:
    """A router whose routes are operations, under one heading of the documentation."""
    return APIRouter(route_class=Operation, tags=[tag])
