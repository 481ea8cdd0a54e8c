"""The other side of the matrix: what it calls is well-formed, for the rightful key gets its answer from each."""

import pytest

from tests.house.installed import Installed
from tests.house.operations import Described, described
from tests.house.world import a_world, installed

__all__ = ["installed"]


@pytest.mark.parametrize("operation", described(), ids=lambda operation: operation.name)
async def test_the_key_that_reaches_it_gets_an_answer(operation: Described, installed: Installed) -> None:
    world = await a_world(installed, name="rightful")
    key = world.keys["master"]
    if operation.path.endswith("/events"):  # the stream ends with the run
        await installed.call(key, "POST", operation.at(world.ids).replace("/events", "/cancel"), json={})
    extra = {"toWorkspaceId": world.second.id} if operation.path.endswith("/transfers") else {}
    sent = {"json": {**operation.sent()["json"], **extra}} if operation.is_write else {}

    answer = await installed.call(
        key, operation.method, operation.at(world.ids), headers=operation.headers(world.first.id, key), **sent
    )

    assert answer.status_code < 300, answer.text
