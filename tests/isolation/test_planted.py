"""A walk that finds nothing proves something only if it would find something: leaks are planted, and each is named."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import httpx2
import pytest
import pytest_asyncio

from colonnade import isolation
from colonnade.brand.content import routes as content_routes
from colonnade.ground.db.database import Database
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.openapi import make_document
from colonnade.isolation import Belongings, Credential, Described, Failure, Harvest, Hidden, Outsider, Victim, Walker
from colonnade.tenancy import workspaces
from colonnade.tenancy.keys import routes as keys_routes
from colonnade.tenancy.workspaces import routes as workspaces_routes
from tests.brand.posting import PLAIN, a_post
from tests.factories import Home, a_workspace, an_agency
from tests.isolation.planted import planted
from tests.serving import a_key, served

PLANTED = ("/v1/leaks", "/v1/hints", "/v1/touches", "/v1/everything", "/v1/counts", "/v1/beliefs")
SLICES = [keys_routes.routes, workspaces_routes.routes, content_routes.routes]


@dataclass(frozen=True, slots=True)
class Scene:
    """Two agencies, an application that leaks from one of them to the other, and a key of the other."""

    client: httpx2.AsyncClient
    operations: list[Described]
    outsider: Outsider
    victim: Victim
    owner: Credential

    async def walked(self, operations: Sequence[Described]) -> list[Failure]:
        """What the walk finds in these operations."""
        words = self.victim.has.words - self.outsider.own.words
        walker = Walker(self.client, Hidden(self.victim.has.ids - self.outsider.own.ids, words))
        await walker.try_all(self.outsider.credential, isolation.attempts(operations, self.outsider, self.victim))
        return walker.walk.failures

    async def harvest(self) -> Belongings:
        """What the victim has now."""
        return await Harvest(self.client, _honest(self.operations), [self.owner]).all()


async def _furnished(database: Database, title: str) -> tuple[Home, str]:
    home = await an_agency(database, name=title)
    workspace = await a_workspace(database, home, name=f"{title}, a brand")
    await a_post(database, home, workspace.id, replace(PLAIN, title=f"{title}, a post"))
    return home, workspace.id


async def _master(database: Database, client: httpx2.AsyncClient, home: Home, name: str) -> Credential:
    headers = await a_key(database, home, preset="master", rate_limit=None)
    return isolation.told_by(name, [headers], (await client.get("/v1/whoami", headers=headers)).json())


@pytest_asyncio.fixture(scope="session")
async def scene(database: Database) -> AsyncIterator[Scene]:
    theirs, their_workspace = await _furnished(database, "Violet Otter")
    ours, our_workspace = await _furnished(database, "Amber Heron")
    routers = [*SLICES, planted(database, theirs.reach)]
    unserved = assemble(House(database, workspaces.WorkspaceFinder(database).find), routers)
    operations = isolation.catalogue(make_document(unserved, title="Leaks", version="1", description=""))
    async with served(database, routers) as client:
        owner, tries = [await _master(database, client, *each) for each in ((theirs, "owner"), (ours, "outsider"))]
        has, own = [await Harvest(client, _honest(operations), [one]).all() for one in (owner, tries)]
        yield Scene(client, operations, Outsider(tries, own, our_workspace), Victim(has, their_workspace), owner)


def _honest(operations: Sequence[Described]) -> list[Described]:
    return [one for one in operations if not one.path.startswith(PLANTED)]


async def test_what_does_not_leak_is_not_blamed(scene: Scene) -> None:
    assert await scene.walked(_honest(scene.operations)) == []


@pytest.mark.parametrize(
    ("name", "place", "wrong"),
    [
        ("GET /v1/leaks/{post_id}", "path", "the answer tells of `Violet Otter, a post`"),
        ("GET /v1/leaks/{post_id}", "path", "was answered with 200 instead of 404"),
        ("GET /v1/hints/{post_id}", "path", "was answered with 403 instead of 404"),
        ("GET /v1/everything", "list", "the answer tells of `Violet Otter, a post`"),
        ("GET /v1/counts", "query", "the answer is not the one for an id that never was"),
        ("POST /v1/beliefs", "body", "was answered with 200 instead of 400"),
    ],
)
async def test_each_leak_is_named(scene: Scene, name: str, place: str, wrong: str) -> None:
    failures = await scene.walked([one for one in scene.operations if one.name == name])

    assert (name, place, wrong) in {(one.operation, one.place, one.wrong) for one in failures}


async def test_a_change_is_noticed_whatever_the_answer_said(scene: Scene) -> None:
    before = await scene.harvest()

    failures = await scene.walked([one for one in scene.operations if one.path.startswith("/v1/touches")])

    assert failures == []
    changed = before.changed(await scene.harvest())
    assert any(line.startswith("GET /v1/posts/post_") for line in changed)


async def test_nothing_has_changed_when_nothing_was_tried(scene: Scene) -> None:
    first, second = await scene.harvest(), await scene.harvest()

    assert first.changed(second) == []
    assert first.digest == second.digest
