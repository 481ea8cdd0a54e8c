"""Everything that the document shows works: each operation and each example is called, each answer has its shape."""

import json
import re
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from jsonschema_rs import Draft202012Validator

from colonnade.ground.web import Who
from tests.document.people import a_person_ready, is_for_people
from tests.document.test_openapi import examples_of
from tests.house.installed import Installed
from tests.house.operations import Described, described, document
from tests.house.world import World, a_world, installed

__all__ = ["installed"]

FIRST = {
    "GET /v1/agent/invocations/{invocation_id}/events": "POST /v1/agent/invocations/{invocation_id}/cancel",
    "POST /v1/workspaces/{workspace_id}/restore": "DELETE /v1/workspaces/{workspace_id}",
    "POST /v1/workspaces/{workspace_id}/purge": "DELETE /v1/workspaces/{workspace_id}",
}
"""What has to be done before, so that the operation has something to do."""

FILES: dict[str, Any] = {
    "POST /v1/agency/logo": {"files": {"file": ("logo.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>')}},
}
"""What is sent to operations that take a file."""

NO_BODY: list[Any] = [None]

CASES = [
    pytest.param(operation, body, id=f"{operation.name} {number}")
    for operation in described()
    for number, body in enumerate([*examples_of(operation)] or NO_BODY)
]


@pytest_asyncio.fixture(scope="session")
async def unchanged(installed: Installed) -> World:
    """A world for those that only read."""
    return await a_world(installed, name="unchanged")


def _with_ids_of(world: World, body: Any) -> Any:
    """The example with a workspace or a member of this world, or the tag of one, where it names one."""
    text = re.sub(r"\bws_[0-9a-z]{26}\b", world.first.id, json.dumps(body))
    text = re.sub(r"\bmem_[0-9a-z]{26}\b", world.ids["member_id"], text)
    text = text.replace('{"confirm": "Acme PM"}', json.dumps({"confirm": world.first.name}))
    return json.loads(text.replace("tier:premium", world.first.tags[0]))


async def _call(installed: Installed, world: World, operation: Described, body: Any) -> httpx2.Response:
    if is_for_people(operation):
        person = await a_person_ready(installed, world, operation, body)
        sent = {} if body is None else {"json": person.body}
        path = operation.of(world.ids)
        return await installed.call(None, operation.method, path, headers=person.headers, **sent)
    key = world.keys["master"]
    sent = {"json": _with_ids_of(world, body)} if body is not None else FILES.get(operation.name, {})
    headers = operation.headers(world.first.id, key)
    params = operation.needed({"ws": world.first.id})
    return await installed.call(
        key, operation.method, operation.of(world.ids), headers=headers, params=params or None, **sent
    )


@pytest.mark.parametrize(("operation", "body"), CASES)
async def test_what_the_document_shows_is_answered_as_it_says(
    installed: Installed, unchanged: World, operation: Described, body: Any
) -> None:
    changes = operation.is_write or operation.name in FIRST
    world = await a_world(installed, name="shown") if changes else unchanged
    if operation.name in FIRST:
        before = next(one for one in described() if one.name == FIRST[operation.name])
        assert (await _call(installed, world, before, None)).status_code < 300

    answer = await _call(installed, world, operation, body)

    assert 200 <= answer.status_code < 300, answer.text
    assert_documented(operation, answer)


@pytest.mark.parametrize(
    "operation",
    [operation for operation in described() if operation.access.who is not Who.ANYONE],
    ids=lambda operation: operation.name,
)
async def test_a_call_without_a_key_is_refused_as_the_document_says(installed: Installed, operation: Described) -> None:
    answer = await installed.call(None, operation.method, operation.path.replace("{", "").replace("}", ""))

    assert answer.status_code in {401, 429}
    assert_documented(operation, answer)


def assert_documented(operation: Described, answer: httpx2.Response) -> None:
    """The answer's status, content type and body are those of the document."""
    told = operation.document["responses"][str(answer.status_code)]
    shapes = told.get("content", {})
    if not shapes:
        assert answer.content == b""
        return
    kind = answer.headers["content-type"].partition(";")[0]
    schema = {**shapes[kind]["schema"], "components": document()["components"]}
    if kind.endswith("json"):
        errors = Draft202012Validator(schema).iter_errors(answer.json())
        assert [f"{error.instance_path}: {error.message}" for error in errors] == []
