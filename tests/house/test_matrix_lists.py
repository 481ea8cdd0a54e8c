"""What keys ask without naming a thing, or name in a body or a query: nothing of others is told, taken or touched."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest

from tests.house.installed import Installed, KeyHeld, ids_in, ids_of_workspace, photograph
from tests.house.operations import BODIES, Described, described, document
from tests.house.world import STRANGERS, World, home_of, installed, ours, outsiders, theirs

__all__ = ["installed", "ours", "theirs"]

OPERATIONS: Final = described()
LISTS: Final = [operation for operation in OPERATIONS if not operation.ids and not operation.is_write]
WRITES: Final = [operation for operation in OPERATIONS if not operation.ids and operation.is_write]
BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}

_TAKES_AN_ID: Final = re.compile(r"(?<!external)Ids?$|^ids$|^workspaces$")

_BULK: Final = "POST /v1/workspaces/bulk-action"

IN_BODIES: Final[Mapping[tuple[str, str], Callable[[World], Mapping[str, Any]]]] = {
    ("POST /v1/api-keys", "/workspaces/0"): lambda w: {"workspaces": [w.first.id]},
    (_BULK, "/workspaces/0"): lambda w: {"workspaces": [w.first.id]},
    (_BULK, "/config/ownerId"): lambda w: {"action": "workspace.update", "config": {"ownerId": w.home.owner_id}},
    ("POST /v1/workspaces", "/ownerId"): lambda w: {"ownerId": w.home.owner_id},
    ("PATCH /v1/workspaces/{workspace_id}", "/ownerId"): lambda w: {"ownerId": w.home.owner_id},
    ("POST /v1/credits/grants", "/workspaceId"): lambda w: {"workspaceId": w.first.id},
    ("POST /v1/credits/transfers", "/fromWorkspaceId"): lambda w: {"fromWorkspaceId": w.first.id},
    ("POST /v1/credits/transfers", "/toWorkspaceId"): lambda w: {"toWorkspaceId": w.first.id},
}
"""Every field of a body that takes an id, with what of another agency is put into it."""

NEVER_AN_ID: Final = {
    ("POST /v1/workspaces/{workspace_id}/api-keys", "workspaces"): "refused whatever it holds: the path names the one",
}

IN_QUERIES: Final[Mapping[tuple[str, str], Callable[[World], str]]] = {
    ("GET /v1/workspaces", "ids"): lambda w: w.first.id,
    ("GET /v1/audit-log", "resourceId"): lambda w: w.first.id,
    ("GET /v1/audit-log", "workspaceId"): lambda w: w.first.id,
    ("GET /v1/audit-log", "actorId"): lambda w: w.home.caller.actor_id,
    ("GET /v1/credits/ledger", "workspaceId"): lambda w: w.first.id,
    ("GET /v1/usage", "workspaceId"): lambda w: w.first.id,
    ("GET /v1/posts", "invocationId"): lambda w: w.ids["invocation_id"],
    ("GET /v1/agent/invocations", "bulkActionId"): lambda w: w.ids["bulk_action_id"],
}
"""Every parameter of a query that takes an id, with what of another agency is put into it."""

OF_THE_AGENCY: Final = {"actorId", "bulkActionId"}
"""What of these lies in the first workspace's agency lies in its neighbour's as well."""


def named(operation: Described) -> str:
    return operation.name


def _fields(schema: Mapping[str, Any], seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all fields of a schema, at every depth."""
    reference = schema.get("$ref", "").rpartition("/")[2]
    if reference and reference not in seen:
        yield from _fields(document()["components"]["schemas"][reference], (*seen, reference))
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from _fields(part, seen)
    parts = [part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word, ())]
    for part in [*parts, *(schema[word] for word in ("items", "additionalProperties") if word in schema)]:
        if isinstance(part, dict):
            yield from _fields(part, seen)


def test_every_field_and_parameter_that_takes_an_id_has_its_entry() -> None:
    bodies, queries = set(), set()
    for operation in OPERATIONS:
        body = operation.document.get("requestBody", {}).get("content", {}).get("application/json", {})
        bodies |= {(operation.name, name) for name in _fields(body.get("schema", {})) if _TAKES_AN_ID.search(name)}
        parameters = operation.document.get("parameters", ())
        queries |= {(operation.name, one["name"]) for one in parameters if one["in"] == "query"}
    listed = {(name, pointer.split("/")[1]) for name, pointer in IN_BODIES if not pointer.startswith("/config")}
    assert bodies == listed | set(NEVER_AN_ID)
    assert {query for query in queries if _TAKES_AN_ID.search(query[1])} == set(IN_QUERIES)


@pytest.mark.parametrize(("name", "pointer"), IN_BODIES, ids=str)
async def test_an_id_of_another_agency_in_a_body_is_a_bad_field_like_one_that_never_was(
    name: str, pointer: str, installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    operation, key = BY_NAME[name], ours.keys["master"]
    before = await photograph(owner, theirs.home.agency_id)
    answers = []
    for fields in (IN_BODIES[name, pointer](theirs), _never_was(IN_BODIES[name, pointer](theirs))):
        body = {**BODIES[name], **fields}
        answer = await installed.call(key, operation.method, operation.at(ours.ids), json=body)
        problem = answer.json()
        assert (answer.status_code, problem["reason"]) == (400, "request.invalid"), answer.text
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        answers.append(problem["errors"])
    assert answers[0] == answers[1]
    assert await photograph(owner, theirs.home.agency_id) == before


def _never_was(value: Any) -> Any:
    """The same with other ids: the last character of each is another one."""
    if isinstance(value, dict):
        return {name: _never_was(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_never_was(part) for part in value]
    return value[:-1] + ("0" if value[-1] != "0" else "1") if ids_in(value) else value


@pytest.mark.parametrize(("name", "parameter"), IN_QUERIES, ids=str)
async def test_an_id_out_of_reach_in_a_query_finds_as_little_as_one_that_never_was(
    name: str, parameter: str, installed: Installed, ours: World, theirs: World
) -> None:
    operation = BY_NAME[name]
    wanted = IN_QUERIES[name, parameter](theirs)
    for key in outsiders(ours, theirs):
        own = home_of(key, ours, theirs)
        if operation.forbids(key) or key.name == "test" or (own is theirs and parameter in OF_THE_AGENCY):
            continue
        headers = operation.headers(own.second.id if own is theirs else own.first.id, key)
        answers = []
        for value in (wanted, _never_was(wanted)):
            answer = await installed.call(key, "GET", operation.path, params={parameter: value}, headers=headers)
            told = re.sub(r"req_[0-9a-z]{26}", "req", answer.text.replace(value, "ID"))
            answers.append((answer.status_code, told))
        assert answers[0] == answers[1], key.name


def _asked(operation: Described) -> list[dict[str, str]]:
    """The list as it is, and with everything that widens it."""
    wide = {"scope": "agency", "include": "usage,health,lastActiveAt,brand,integrations,settings", "count": "exact"}
    known = {parameter["name"] for parameter in operation.document.get("parameters", [])}
    return [{}, {name: value for name, value in wide.items() if name in known}]


@pytest.mark.parametrize("operation", LISTS, ids=named)
async def test_a_list_never_tells_of_what_is_out_of_reach(
    operation: Described, installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    rows = await photograph(owner, theirs.home.agency_id)
    of_agency = {one for lines in rows.values() for line in lines for one in ids_in(line)}
    of_first = await ids_of_workspace(owner, theirs.home.agency_id, theirs.first.id)
    assert theirs.ids["post_id"] in of_first & of_agency
    for key in outsiders(ours, theirs):
        own = home_of(key, ours, theirs)
        hidden = of_agency if own is ours else of_first
        for query in _asked(operation):
            place = own.second if own is theirs else own.first
            headers = {} if "scope" in query else operation.headers(place.id, key)
            answer = await installed.call(key, "GET", operation.at({}), params=query, headers=headers)
            assert answer.status_code in _expected(operation, key), f"{key.name}: {answer.text}"
            assert ids_in(answer.text) & hidden == set(), key.name


def _expected(operation: Described, key: KeyHeld) -> set[int]:
    if operation.forbids(key):
        return {403}
    if key.name.startswith("limited") and "/agency/" in operation.path:
        return {200, 403}  # what holds in all workspaces is shown to who reaches all of them
    if key.name == "test" or operation.parameters:
        return {200, 404}  # the twin has no workspace of its own, and not every agency has what the path names
    return {200} if key.is_agency_wide else {200, 403}


@pytest.mark.parametrize("operation", WRITES, ids=named)
async def test_a_write_that_names_nothing_stays_in_its_own_agency(
    operation: Described, installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    before = await photograph(owner, theirs.home.agency_id)
    of_agency = {one for lines in before.values() for line in lines for one in ids_in(line)}
    for name in STRANGERS:
        key = ours.keys[name]
        headers = operation.headers(ours.first.id, key)
        answer = await installed.call(key, operation.method, operation.at({}), headers=headers, **operation.sent())
        if operation.forbids(key):
            assert answer.status_code == 403, f"{name}: {answer.text}"
        assert answer.status_code < 500, f"{name}: {answer.text}"
        assert ids_in(answer.text) & of_agency == set(), name
    assert await photograph(owner, theirs.home.agency_id) == before
