"""Plain operations: no body, text in the path, one model for the query. Their arguments need no general solver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

_FURTHER: Final = (
    *("header_params", "cookie_params", "body_params", "dependencies"),
    *("websocket_param_name", "http_connection_param_name", "response_param_name"),
    *("background_tasks_param_name", "security_scopes_param_name"),
)
"""What an endpoint may ask of the framework beyond request, path and query."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an endpoint is called with, and where each argument comes from."""

    request: str | None
    path: tuple[str, ...]
    query: tuple[str, type[BaseModel]] | None
    lists: frozenset[str]
    """The query parameters that may stand several times."""
    unasked: dict[type[BaseModel], BaseModel] = field(default_factory=dict, compare=False)
    """What an empty query reads as: always the same, so it is read once."""

    def of(self, request: Request) -> Mapping[str, Any]:
        """The arguments for this request; a query that the model refuses raises what the framework would raise."""
        found: dict[str, Any] = {name: request.path_params[name] for name in self.path}
        if self.request is not None:
            found[self.request] = request
        if self.query is not None:
            name, model = self.query
            found[name] = self._read(model, request)
        return found

    def _read(self, model: type[BaseModel], request: Request) -> BaseModel:
        if not request.scope["query_string"]:
            known = self.unasked.get(model)
            if known is None:
                known = self.unasked[model] = self._checked(model, {})
            return known
        sent = request.query_params
        values = {name: sent.getlist(name) if name in self.lists else sent[name] for name in sent}
        return self._checked(model, values)

    @staticmethod
    def _checked(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            told = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(told) from error


def plain_arguments(route: APIRoute) -> Arguments | None:
    """The arguments of a plain operation; none for an operation that needs more than that."""
    wants: Dependant = route.dependant
    if route.body_field is not None or any(getattr(wants, name) for name in _FURTHER):
        return None
    if any(field.field_info.annotation is not str or field.field_info.metadata for field in wants.path_params):
        return None
    models = [(field.name, field.field_info.annotation) for field in wants.query_params]
    if not models:
        return Arguments(wants.request_param_name, _names(wants), None, frozenset())
    name, model = models[0]
    if len(models) > 1 or not isinstance(model, type) or not issubclass(model, BaseModel):
        return None
    return Arguments(wants.request_param_name, _names(wants), (name, model), list_fields(model))


def list_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields of a query model that may stand several times, under their wire names."""
    return frozenset(
        one.alias or name for name, one in model.model_fields.items() if get_origin(one.annotation) is list
    )


def _names(wants: Dependant) -> tuple[str, ...]:
    return tuple(field.name for field in wants.path_params)
