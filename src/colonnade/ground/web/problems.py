"""Problem documents (RFC 9457): how a refusal looks on the wire. Only here do refusals get an HTTP status."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Scope

from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.refusals import BadFields, FieldError, Kind, Refused
from colonnade.ground.db.database import UNREACHABLE
from colonnade.ground.web.visits import visit_of

STATUS: Final[dict[Kind, int]] = {
    Kind.BAD_REQUEST: 400,
    Kind.UNAUTHORIZED: 401,
    Kind.INSUFFICIENT_CREDITS: 402,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION_FAILED: 412,
    Kind.PAYLOAD_TOO_LARGE: 413,
    Kind.UNPROCESSABLE: 422,
    Kind.TOO_MANY_REQUESTS: 429,
    Kind.INTERNAL: 500,
    Kind.UNAVAILABLE: 503,
}

MEDIA_TYPE: Final = "application/problem+json"
ERROR_PAGES: Final = "/docs/errors/"
MOST_ERRORS: Final = 100


def document(refused: Refused, request_id: str) -> dict[str, Any]:
    """The problem document of a refusal."""
    problem: dict[str, Any] = {
        "type": ERROR_PAGES + refused.reason,
        "title": REASONS[refused.reason].title,
        "status": STATUS[refused.kind],
        "detail": refused.sentence,
        "code": refused.kind.value,
        "reason": refused.reason,
        "requestId": request_id,
    }
    if refused.errors:
        problem["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in refused.errors[:MOST_ERRORS]]
    if refused.details:
        problem["details"] = refused.details
    return problem


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How refusals look below one prefix of the paths, where the house speaks another product's language."""

    shape: type[BaseModel]
    """What the document says of them."""
    written: Callable[[Refused], tuple[int, Mapping[str, Any]]]
    """The status and the body."""


ErrorShapes = Mapping[str, ErrorShape]
"""By the beginning of the path; what is on none of them is a problem document."""

_SHAPE: Final = "colonnade.error_shape"


def shape_at(shapes: ErrorShapes, path: str) -> ErrorShape | None:
    """How refusals look on this path; none is the house's own problem document."""
    for prefix, shape in shapes.items():
        if path.startswith(prefix):
            return shape
    return None


def put_shape(scope: Scope, shapes: ErrorShapes) -> None:
    """Settle how the refusals of this request look, before any layer can refuse it."""
    scope[_SHAPE] = shape_at(shapes, scope["path"])


def answer_refused(refused: Refused, scope: Scope) -> Response:
    """The answer for a refusal; the visit takes note of code and reason."""
    visit = visit_of(scope)
    visit.code, visit.reason = refused.kind.value, refused.reason
    headers = dict(refused.headers)
    if refused.kind is Kind.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    other: ErrorShape | None = scope.get(_SHAPE)
    if other is None:
        status, body, media_type = STATUS[refused.kind], document(refused, visit.request_id), MEDIA_TYPE
    else:
        (status, told), media_type = other.written(refused), "application/json"
        body = dict(told)
    written = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return Response(written, status, headers=headers, media_type=media_type)


def a_mistake_of_ours() -> Refused:
    """The refusal that stands for a bug: it says nothing of the inside."""
    return Refused("internal.error", "Something went wrong on our side; nothing of the request was kept.")


def is_unreachable(error: BaseException) -> bool:
    """Whether the database could not be asked, as against a statement of ours that was wrong."""
    if isinstance(error, asyncpg.InterfaceError):
        return "clos" in str(error)  # closing, closed
    return isinstance(error, UNREACHABLE)


def from_validation(error: RequestValidationError) -> Refused:
    """Every bad field of body, query and path at once, each with where it is and what is wrong."""
    found: dict[str, str] = {}
    for one in error.errors():
        pointer = _pointer(one["loc"], error.body)
        sentence = _sentence(one)
        if pointer in found and sentence not in found[pointer]:
            sentence = f"{found[pointer]}; or {sentence}"
        found[pointer] = sentence
    return BadFields([FieldError(pointer, detail) for pointer, detail in found.items()])


def _pointer(location: Sequence[str | int], body: Any) -> str:
    place, *parts = location
    if place != "body":
        return f"?{parts[-1]}" if place == "query" and parts else "/".join(str(part) for part in location)
    steps: list[str] = []
    here = body
    for number, part in enumerate(parts):
        if _has(here, part):
            here = here[part]
        elif number < len(parts) - 1 or not isinstance(here, dict):
            continue  # the name of a union's branch, not of a field
        steps.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in steps)


def _has(here: Any, part: str | int) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)


_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_unicode": "holds characters that are no text",
}


def _sentence(one: Mapping[str, Any]) -> str:
    known = _SENTENCES.get(one["type"])
    if known is not None:
        return known
    message = str(one["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.removeprefix("Input should be ").removeprefix("String should ")
    if message != one["msg"] and str(one["msg"]).startswith("Input should be "):
        return f"must be {message}"
    if str(one["msg"]).startswith("String should "):
        return f"must {message}"
    return message
