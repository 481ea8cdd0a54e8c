from typing import Annotated, Any

import httpx2
import pytest
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colonnade.ground.web import Body
from colonnade.ground.web.plain import plain_arguments
from colonnade.ground.web.problems import from_validation


class Ask(Body):
    """A query with a bit of everything."""

    q: str | None = Field(None, max_length=5)
    is_active: bool | None = None
    limit: int = Field(50, ge=1, le=100)
    tag: list[str] = Field(default_factory=list, max_length=2)


async def told(request: Request, thing_id: str, query: Annotated[Ask, Query()]) -> Response:
    return JSONResponse({"path": request.url.path, "id": thing_id, "query": query.model_dump(mode="json")})


async def changed(thing_id: str, body: Ask) -> Response:
    return JSONResponse({"id": thing_id, "body": body.model_dump(mode="json")})


async def counted(count: int) -> Response:
    return JSONResponse({"count": count})


async def answered(query: str, *, plainly: bool) -> Any:
    """What the endpoint answers, or what is refused of the query."""
    app = FastAPI()
    route = APIRoute("/things/{thing_id}", told, methods=["GET"])
    arguments = plain_arguments(route)
    assert arguments is not None

    async def plain(request: Request) -> Response:
        return await told(**arguments.of(request))

    if plainly:
        app.add_route("/things/{thing_id}", plain)
    else:
        app.router.routes.append(route)

    async def refuse(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return JSONResponse(sorted((one.pointer, one.detail) for one in from_validation(error).errors), 400)

    app.add_exception_handler(RequestValidationError, refuse)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://things.example") as client:
        answer = await client.get(f"/things/a%20thing?{query}")
        return answer.status_code, answer.json()


@pytest.mark.parametrize(
    "query",
    [
        *("", "q=", "q=a+b", "q=%C3%BC", "isActive=true", "isActive=", "limit=7", "limit=%207", "tag=a", "tag=a&tag=b"),
        *("is_active=true", "limit=0", "limit=x", "limit=", "q=abcdef&limit=1000", "tag=a&tag=b&tag=c", "more=1"),
        *("more=1&more=2&limit=-1", "isActive=perhaps", "&&", "=", "tag", "limit=1.0", "limit=1e1"),
    ],
)
async def test_a_plain_operation_takes_and_refuses_what_the_framework_would(query: str) -> None:
    assert await answered(query, plainly=True) == await answered(query, plainly=False)


@pytest.mark.parametrize(
    ("path", "endpoint", "method"), [("/{thing_id}", changed, "PUT"), ("/{count}", counted, "GET")]
)
def test_what_needs_more_than_path_and_query_as_text_is_left_to_the_framework(
    path: str, endpoint: Any, method: str
) -> None:
    assert plain_arguments(APIRoute(path, endpoint, methods=[method])) is None
