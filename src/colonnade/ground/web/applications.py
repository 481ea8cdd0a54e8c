"""Putting an application together: the operations of every slice, problems for what no route takes, the document."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.web.operations import House
from colonnade.ground.web.problems import answer_refused

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def assemble(house: House, routers: Sequence[APIRouter], lifespan: Lifespan | None = None) -> FastAPI:
    """The application of these routers; it answers unknown paths and methods with problems too."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.house = house
    for router in routers:
        app.router.routes.extend(router.routes)
    app.add_exception_handler(HTTPException, _no_route)
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        sentence = f"`{path}` does not take {request.method}; it takes {allowed.get('Allow', 'other methods')}."
        return answer_refused(Refused("request.method_not_allowed", sentence, headers=allowed), request.scope)
    if error.status_code == 404:
        return answer_refused(_UnknownRoute(request.method, path), request.scope)
    return answer_refused(Refused("request.malformed", "The request cannot be read."), request.scope)


class _UnknownRoute(NotFound):
    def __init__(self, method: str, path: str) -> None:
        super().__init__("route")
        shown = path.encode("utf-8", "replace").decode()[:200]
        self.sentence = f"There is no route {method} {shown}; /docs shows all of them."


def summary_of(endpoint: Any) -> tuple[str, str]:
    """The first line of an endpoint's docstring, and the rest of it."""
    first, _, rest = (endpoint.__doc__ or "").strip().partition("\n")
    return first.strip().rstrip("."), rest.strip()
