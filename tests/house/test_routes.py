"""Every route declares who may call it, and tells so in the document."""

from typing import Final

import pytest
from starlette.routing import Route

from colonnade.app import routers
from colonnade.ground.core.scopes import SCOPES
from colonnade.ground.web import Place, Who
from colonnade.ground.web.access import access_of
from colonnade.ground.web.operations import Operation
from tests.house.operations import Described, application, described, document

OPERATIONS: Final = described()

WITHOUT_SCOPE: Final = {
    "GET /v1/whoami": "a key may always ask about itself",
    "POST /v1/api-keys/report-leak": "whoever holds a key's text may end it",
    "DELETE /v1/members/me": "everybody may leave",
    "POST /v1/workspaces/bulk-action": "the scope is that of the action",
    **{
        operation.name: "the way in, or about the one who is signed in"
        for operation in OPERATIONS
        if operation.path.startswith(("/v1/auth/", "/v1/me/")) or operation.path == "/v1/me"
    },
}

UNLISTED: Final[set[str]] = set()
"""Routes that stay out of the document."""


def named(operation: Described) -> str:
    return operation.name


def test_every_route_of_a_slice_is_an_operation_in_the_document() -> None:
    every = [route for router in routers() for route in router.routes]
    assert [route for route in every if not isinstance(route, Operation)] == []
    shown = {operation.name for operation in OPERATIONS}
    mounted = {f"{method} {one.path}" for one in every if isinstance(one, Operation) for method in one.methods or ()}
    assert mounted - shown == UNLISTED
    served = {route.path for route in application().routes if isinstance(route, Route)}
    assert served == {operation.path for operation in OPERATIONS}


def test_the_document_tells_of_nothing_that_is_not_there() -> None:
    told = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert told == {(operation.method, operation.path) for operation in OPERATIONS}


def test_every_operation_declares_its_callers_and_its_scope() -> None:
    endpoints = [route.endpoint for router in routers() for route in router.routes if isinstance(route, Operation)]
    assert all(access_of(endpoint) for endpoint in endpoints)
    assert {operation.name for operation in OPERATIONS if operation.access.scope is None} == set(WITHOUT_SCOPE)
    assert {operation.access.scope for operation in OPERATIONS} - {None} <= set(SCOPES)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_an_operation_is_told_in_full(operation: Described) -> None:
    told = operation.document
    assert told["summary"]
    assert told["tags"]
    declared = operation.access
    assert told["x-colonnade-access"] == {
        "who": declared.who.name.lower(),
        "scope": declared.scope,
        "place": declared.place.name.lower(),
    }
    assert bool(told["security"]) == (operation.access.who is not Who.ANYONE)
    expected = {"400", "429", "500", "503"} | ({"401", "403"} if operation.access.who is not Who.ANYONE else set())
    expected |= {"404"} if operation.parameters else set()
    assert expected <= set(told["responses"])
    for status, answer in told["responses"].items():
        assert answer["description"]
        if status >= "400":
            assert list(answer["content"]) == [operation.refuses_as[0]]


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_a_path_that_names_a_workspace_says_so_in_its_declaration(operation: Described) -> None:
    if "workspace_id" in operation.parameters:
        assert operation.access.place is Place.WORKSPACES
    if operation.access.place is Place.ROW:
        assert operation.parameters


def test_operations_have_names_of_their_own() -> None:
    names = [operation.document["operationId"] for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_reading_writes_nothing_and_writing_never_hides_behind_get() -> None:
    for operation in OPERATIONS:
        scope = operation.access.scope or ""
        if operation.method == "GET":
            assert not scope or scope.endswith(":read"), operation.name
        else:
            assert not scope.endswith(":read"), operation.name
