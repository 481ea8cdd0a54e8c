"""The OpenAPI document: valid, whole, checked in, and the same for people and for generators of clients."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from colonnade.ground.web import Who
from tests.house.operations import Described, described, document

CHECKED_IN = Path(__file__).parents[2] / "docs" / "openapi.json"


def _each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", described(), ids=lambda operation: operation.name)


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_the_document_that_is_checked_in_is_the_one_that_is_served() -> None:
    current = json.loads(json.dumps(document()))

    assert json.loads(CHECKED_IN.read_text()) == current, "run `make docs` and look at what changed"


def test_names_of_operations_are_unique() -> None:
    names = [operation.document["operationId"] for operation in described()]

    assert sorted(names) == sorted(set(names))


@_each()
def test_an_operation_says_what_it_does_and_who_may_call_it(operation: Described) -> None:
    assert operation.document["summary"]
    assert operation.document["tags"]
    assert operation.document["x-colonnade-access"]
    ways = [set(way) for way in operation.document["security"]]
    session = {"session", "csrf"} if operation.is_write else {"session"}
    by_key = [] if operation.access.who is Who.MEMBER else [{"bearer"}, {"xAuth"}]
    assert ways == ([] if operation.access.who is Who.ANYONE else [*by_key, session])


@_each()
def test_an_operation_with_a_body_shows_at_least_one(operation: Described) -> None:
    assert not has_body(operation) or examples_of(operation)


@_each()
def test_every_answer_of_an_operation_has_a_shape_and_refusals_are_problems(operation: Described) -> None:
    for status, answer in operation.document["responses"].items():
        kinds = list(answer.get("content", {}))
        if status == "204":
            assert kinds == []
        elif status < "400":
            assert kinds
            assert all("schema" in shape for shape in answer["content"].values())
        else:
            kind, schema = operation.refuses_as
            assert kinds == [kind]
            assert answer["content"][kind]["schema"] == {"$ref": f"#/components/schemas/{schema}"}


def test_every_part_of_the_document_that_is_named_is_there() -> None:
    wanted = {name.rsplit("/", 1)[1] for name in _references(document())}

    assert wanted == set(document()["components"]["schemas"])


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)


def has_body(operation: Described) -> bool:
    """Whether the operation takes a body of JSON."""
    return "application/json" in operation.document.get("requestBody", {}).get("content", {})


def examples_of(operation: Described) -> list[dict[str, Any]]:
    """The bodies that the document shows for an operation."""
    if not has_body(operation):
        return []
    schema = operation.document["requestBody"]["content"]["application/json"]["schema"]
    while "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    found: list[dict[str, Any]] = schema.get("examples", [])
    return found
