"""Putting an application together: the operations of every slice, problems for what no route takes, the document."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.core.secrets import masked
from colonnade.ground.web.access import Access, Place, Who, access_of
from colonnade.ground.web.bodies import most_bytes_of
from colonnade.ground.web.operations import House, Operation
from colonnade.ground.web.problems import answer_refused
from colonnade.ground.web.ready import Ready, answer_ready, ready_of
from colonnade.ground.web.uploads import upload_of

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


_NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""The house counts and logs by itself, in the Envelope."""


class Application(FastAPI):
    """The framework's application without the layers whose work is done elsewhere.

    The Envelope bounds bodies and is the last resort, operations turn refusals into answers themselves. What is left
    is that no route took the request.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; the framework would look for telemetry and for a root path first, and there is neither."""
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """What stands between the door and the routes; made before the first request, when all routes are there."""
        self._operations: dict[tuple[str, int], list[Operation]] = {}
        self._ready: dict[str, Ready] = {}
        for route in self.routes:
            if isinstance(route, Operation):
                self._operations.setdefault(_beginning(route.path), []).append(route)
                self._declare_ready(route)
        return self._route

    def _declare_ready(self, route: Operation) -> None:
        answer = ready_of(route.endpoint)
        if answer is not None:
            declared = access_of(route.endpoint)
            assert declared == Access(Who.ANY_KEY, None, Place.AGENCY), "a ready answer would pass a check by"
            self._ready[route.path] = answer

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Operations are found by what their paths begin with; what is none of them is the framework's to find."""
        answer = self._ready.get(scope["path"]) if scope["type"] == "http" else None
        if answer is not None and await answer_ready(answer, scope, send):
            return
        for operation in self._operations.get(_beginning(scope["path"]), ()) if scope["type"] == "http" else ():
            match, known = operation.matches(scope)
            if match is Match.FULL:
                scope.update(known)
                await operation.handle(scope, receive, send)
                return
        try:
            await self.router(scope, receive, send)
        except HTTPException as error:
            request = Request(scope, receive, send)
            await _no_route(request, error)(scope, receive, send)


def _beginning(path: str) -> tuple[str, int]:
    """The noun of a path, `workspaces` of all that lies below `/v1/workspaces`, and how many parts it has."""
    parts = path.split("/", 33)
    return (parts[2] if len(parts) > 2 else ""), len(parts)


def assemble(house: House, routers: Sequence[APIRouter], lifespan: Lifespan | None = None) -> FastAPI:
    """The application of these routers; it answers unknown paths and methods with problems too."""
    app = Application(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
    )
    app.state.house = house
    for router in routers:
        app.router.routes.extend(router.routes)
    return app


def body_limit(app: FastAPI, usual: int) -> Callable[[str], int]:
    """How many bytes the body at a path may hold: more than usual where an operation takes a file, or says so."""
    found = [(route.path, _more_bytes(route.endpoint)) for route in app.routes if isinstance(route, Operation)]
    limits = {path: most for path, most in found if most is not None}
    return lambda path: limits.get(path, usual)


def _more_bytes(endpoint: Callable[..., Any]) -> int | None:
    upload = upload_of(endpoint)
    return most_bytes_of(endpoint) if upload is None else upload.most_body_bytes


def _no_route(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    if error.status_code == 405:
        allowed = ", ".join(_methods_at(request)) or (error.headers or {}).get("Allow", "")
        sentence = f"`{shown_path(path)}` does not take {request.method}; it takes {allowed}."
        refused = Refused("request.method_not_allowed", sentence, headers={"Allow": allowed})
        return answer_refused(refused, request.scope)
    if error.status_code == 404:
        return answer_refused(_UnknownRoute(request.method, path), request.scope)
    return answer_refused(Refused("request.malformed", "The request cannot be read."), request.scope)


def _methods_at(request: Request) -> list[str]:
    """What all routes of this path together take; the framework names those of the first one alone."""
    path = request.scope["path"]
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    meant = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    fixed = [route for route in meant if route.path == path]
    return sorted({method for route in fixed or meant for method in route.methods or ()})


def shown_path(path: str) -> str:
    """A path as a sentence may repeat it."""
    return masked(path.encode("utf-8", "replace").decode().replace("\0", "?"))[:200]


class _UnknownRoute(NotFound):
    def __init__(self, method: str, path: str) -> None:
        super().__init__("route")
        self.sentence = f"There is no route {method} {shown_path(path)}; /docs shows all of them."


def summary_of(endpoint: Any) -> tuple[str, str]:
    """The first line of an endpoint's docstring, and the rest of it."""
    first, _, rest = (endpoint.__doc__ or "").strip().partition("\n")
    return first.strip().rstrip("."), rest.strip()
