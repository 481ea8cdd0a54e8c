"""Putting an application together: the operations of every slice, problems for what no route takes, the document."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.routing import Match, Route

from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.web.operations import House
from colonnade.ground.web.problems import answer_refused

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """The framework's application without the layers whose work the Envelope does: last resort and size of bodies."""

    def build_middleware_stack(self) -> ASGIApp:
        """What stands between the door and the routes."""
        handlers: Any = self.exception_handlers
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=handlers)


def assemble(house: House, routers: Sequence[APIRouter], lifespan: Lifespan | None = None) -> FastAPI:
    """The application of these routers; it answers unknown paths and methods with problems too."""
    app = Application(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.house = house
    for router in routers:
        app.router.routes.extend(router.routes)
    app.add_exception_handler(HTTPException, _no_route)
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
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
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


def shown_path(path: str) -> str:
    """A path as a sentence may repeat it."""
    return path.encode("utf-8", "replace").decode().replace("\0", "?")[:200]


class _UnknownRoute(NotFound):
    def __init__(self, method: str, path: str) -> None:
        super().__init__("route")
        self.sentence = f"There is no route {method} {shown_path(path)}; /docs shows all of them."


def summary_of(endpoint: Any) -> tuple[str, str]:
    """The first line of an endpoint's docstring, and the rest of it."""
    first, _, rest = (endpoint.__doc__ or "").strip().partition("\n")
    return first.strip().rstrip("."), rest.strip()
