"""The OpenAPI document: made from the routes, with every problem an operation may answer."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from starlette.routing import BaseRoute

from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.refusals import Kind
from colonnade.ground.web.access import CONTENT, CSRF_HEADER, Access, Place, Who, access_of
from colonnade.ground.web.applications import summary_of
from colonnade.ground.web.operations import Operation
from colonnade.ground.web.problems import MEDIA_TYPE, STATUS, ErrorShape, ErrorShapes, shape_at
from colonnade.ground.web.shapes import Shown
from colonnade.ground.web.uploads import upload_of

_COOKIE: Final = "What POST /v1/auth/login sets; under https its name is `__Host-colonnade`."
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class ProblemField(Shown):
    """One bad field."""

    pointer: str = Field(description="A JSON Pointer into the body; `?name` for the query.")
    detail: str


class Problem(Shown):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="The page that explains this reason.")
    title: str
    status: int
    detail: str = Field(description="What happened this time, and the way out.")
    code: str = Field(description="One of: " + ", ".join(kind.value for kind in Kind))
    reason: str = Field(description="The fine-grained reason, from a closed list.")
    request_id: str
    errors: list[ProblemField] | None = Field(default=None, description="Every bad field.")
    details: dict[str, Any] | None = Field(default=None, description="Facts that a program can use.")


def make_document(
    app: FastAPI, *, title: str, version: str, description: str, error_shapes: ErrorShapes | None = None
) -> dict[str, Any]:
    """The document of an application whose operations declare their access."""
    document = get_openapi(
        title=title, version=version, description=description, routes=app.routes, openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
        "xAuth": {"type": "apiKey", "in": "header", "name": "X-Auth", "description": "The same key in another header."},
        "session": {"type": "apiKey", "in": "cookie", "name": "colonnade_session", "description": _COOKIE},
        "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": "The session's own token."},
    }
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    shapes = error_shapes or {}
    _add_schema(schemas, Problem)
    for errors in shapes.values():
        _add_schema(schemas, errors.shape)
    for route in operations(app.routes):
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            _complete(operation, route, method, shape_at(shapes, route.path))
            _say_whether_body_is_needed(operation, schemas)
    return document


def _add_schema(schemas: dict[str, Any], model: type[BaseModel]) -> None:
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema


def _say_whether_body_is_needed(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """An empty body reads as `{}`: it may be left out wherever no field of it is required."""
    if "application/json" in operation.get("requestBody", {}).get("content", ()):
        named: str = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        operation["requestBody"]["required"] = bool(schemas[named.rsplit("/", 1)[1]].get("required"))


def operations(routes: list[BaseRoute]) -> list[Operation]:
    """The operations among an application's routes that stand in the document."""
    return [route for route in routes if isinstance(route, Operation) and route.include_in_schema]


def _complete(operation: dict[str, Any], route: Operation, method: str, errors: ErrorShape | None) -> None:
    declared = access_of(route.endpoint)
    operation["summary"], operation["description"] = summary_of(route.endpoint)
    operation["operationId"] = _operation_id(route)
    operation["security"] = _security(declared.who, method)
    operation["x-colonnade-access"] = _access(declared)
    _add_parameters(operation, declared, method)
    upload = upload_of(route.endpoint)
    if upload is not None:
        operation["requestBody"] = upload.described()
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(_statuses(route, method)):
        responses.setdefault(str(status), _problem(status, errors))


def _security(who: Who, method: str) -> list[dict[str, list[str]]]:
    """The ways to say who calls, any one of which is enough; a write with a session brings its token along."""
    if who is Who.ANYONE:
        return []
    keys: list[dict[str, list[str]]] = [] if who is Who.MEMBER else [{"bearer": []}, {"xAuth": []}]
    return [*keys, {"session": [], "csrf": []} if method in _WRITES else {"session": []}]


def _access(declared: Access) -> dict[str, str | None]:
    """Who may call, with which scope, and where the workspace comes from: what a program needs to know beforehand."""
    return {"who": declared.who.name.lower(), "scope": declared.scope, "place": declared.place.name.lower()}


def _operation_id(route: Operation) -> str:
    """`workspaces.create`: the slice and the verb, by which client generators name their functions."""
    return f"{route.endpoint.__module__.split('.')[-2]}.{route.endpoint.__name__}"


def _add_parameters(operation: dict[str, Any], declared: Access, method: str) -> None:
    parameters = operation.setdefault("parameters", [])
    place = declared.place
    if place in CONTENT or place is Place.WORKSPACES:
        text = "The workspace that an agency key acts in: its id, or `ext:` and your own id for it."
        parameters.append(_header("X-Workspace-Id", text))
    if method in _WRITES and declared.who is not Who.ANYONE:
        text = "Repeating the request with the same key repeats its answer."
        parameters.append(_header("Idempotency-Key", text, minLength=1, maxLength=255, pattern="^[!-~]+$"))
    if method in {"PATCH", "DELETE"}:
        parameters.append(_header("If-Match", "The `ETag` that was read; 412 when the resource has changed since."))
    if not parameters:
        del operation["parameters"]


def _header(name: str, description: str, **limits: int | str) -> dict[str, Any]:
    schema = {"type": "string", **limits}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _statuses(route: Operation, method: str) -> set[int]:
    declared = access_of(route.endpoint)
    statuses = {400, 429, 500, 503}
    if declared.who is not Who.ANYONE or method in _WRITES:
        statuses |= {401, 403}
    if "{" in route.path or declared.place is not Place.AGENCY:
        statuses.add(404)
    if method in _WRITES:
        statuses |= {404, 409, 413, 422}
    if method in {"PATCH", "DELETE"}:
        statuses.add(412)
    if declared.scope in {"runs:start", "credits:charge", "credits:transfer"}:
        statuses.add(402)
    return statuses


def _problem(status: int, errors: ErrorShape | None) -> dict[str, Any]:
    kind = next(kind for kind, number in STATUS.items() if number == status)
    reasons = ", ".join(f"`{name}`" for name, reason in REASONS.items() if reason.kind == kind.value)
    media_type, shape = (MEDIA_TYPE, Problem) if errors is None else ("application/json", errors.shape)
    return {
        "description": f"{kind.value}: {reasons}",
        "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}},
    }
