"""Every operation, with every kind of key, on the ids of another agency and of a neighbouring workspace."""

from typing import Any

import pytest

from tests.house.installed import Installed, KeyHeld, photograph
from tests.house.operations import BODIES, PARAMETERS, PLAIN, Described, described
from tests.house.world import World, home_of, installed, ours, outsiders, theirs

__all__ = ["installed", "ours", "theirs"]

OPERATIONS = described()
WITH_IDS = [operation for operation in OPERATIONS if operation.ids]


def named(operation: Described) -> str:
    return operation.name


def without_request_id(answer: Any) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert body.pop("requestId")
    return body


def test_every_operation_and_every_path_parameter_has_its_entry() -> None:
    assert {operation.name for operation in OPERATIONS if operation.is_write} == set(BODIES)
    assert {name for operation in OPERATIONS for name in operation.parameters} == {*PARAMETERS, *PLAIN}


@pytest.mark.parametrize("operation", WITH_IDS, ids=named)
async def test_what_is_out_of_reach_looks_as_if_it_had_never_been(
    operation: Described, installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    before = await photograph(owner, theirs.home.agency_id)
    for key in outsiders(ours, theirs):
        own = home_of(key, ours, theirs)
        for parameter in operation.ids:
            await _expect_nothing(installed, operation, key, parameter, own, theirs)
    assert await photograph(owner, theirs.home.agency_id) == before


async def _expect_nothing(
    installed: Installed, operation: Described, key: KeyHeld, parameter: str, own: World, theirs: World
) -> None:
    foreign = theirs.ids[operation.source(parameter)]
    base = {**own.ids, "workspace_id": own.second.id if own is theirs else own.first.id}
    names = [(foreign, operation.never(parameter))]
    if parameter == "workspace_id":
        names.append((theirs.ids["external_id"], "ext:never-was"))
    for wanted, never in names:
        seen = await installed.call(
            key, operation.method, operation.at(base, **{parameter: wanted}), **operation.sent()
        )
        unseen = await installed.call(
            key, operation.method, operation.at(base, **{parameter: never}), **operation.sent()
        )
        where = f"{key.name}: {operation.at(base, **{parameter: wanted})}"
        assert seen.status_code == (403 if operation.forbids(key) else 404), f"{where}: {seen.text}"
        assert seen.status_code == unseen.status_code, where
        assert without_request_id(seen) == without_request_id(unseen), where


@pytest.mark.parametrize("operation", WITH_IDS, ids=named)
async def test_everything_of_theirs_at_once_is_out_of_reach(
    operation: Described, installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    before = await photograph(owner, theirs.home.agency_id)
    for key in outsiders(ours, theirs):
        answer = await installed.call(key, operation.method, operation.at(theirs.ids), **operation.sent())
        assert answer.status_code == (403 if operation.forbids(key) else 404), f"{key.name}: {answer.text}"
    assert await photograph(owner, theirs.home.agency_id) == before


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_a_header_that_names_a_workspace_out_of_reach_ends_the_call(
    operation: Described, installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    before = await photograph(owner, theirs.home.agency_id)
    for key in outsiders(ours, theirs):
        own = home_of(key, ours, theirs)
        for name in (theirs.first.id, theirs.ids["external_id"]):
            headers = {"x-workspace-id": name}
            answer = await installed.call(
                key, operation.method, operation.at(own.ids), headers=headers, **operation.sent()
            )
            expected = 403 if operation.forbids(key) or not key.is_agency_wide else 404
            assert answer.status_code == expected, f"{key.name}: {answer.text}"
            if not operation.forbids(key):
                reason = "resource.not_found" if key.is_agency_wide else "workspace.other"
                assert answer.json()["reason"] == reason, key.name
    assert await photograph(owner, theirs.home.agency_id) == before
