"""The two worlds of the house as the walk sees them: whose things are tried for, and everybody who tries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest_asyncio

from colonnade import isolation
from colonnade.isolation import Attempt, Belongings, Credential, Hidden, Outsider, State, Victim, Walker
from tests.factories import a_signed_in
from tests.house.installed import Installed, KeyHeld, ids_in, ids_of_workspace, photograph
from tests.house.operations import Described, described
from tests.house.world import World, home_of, outsiders

OPERATIONS: Final[Sequence[Described]] = described()
ROLES: Final = ("owner", "admin", "manager", "viewer")
SESSIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Trial:
    """Everybody who tries, for whose things, and what no answer may tell them."""

    installed: Installed
    victim: Victim
    victims_agency: str
    outsiders: Sequence[Outsider]
    hidden_from_strangers: Hidden
    hidden_from_neighbours: Hidden

    async def judge(self, outsider: Outsider, attempts: Iterable[Attempt]) -> list[isolation.Failure]:
        """What was wrong with the answers to these attempts."""
        hidden = self.hidden_from_neighbours if outsider.is_neighbour else self.hidden_from_strangers
        walker = Walker(self.installed.client, hidden)
        await walker.try_all(outsider.credential, attempts)
        return walker.walk.failures


async def credential(installed: Installed, key: KeyHeld) -> Credential:
    """The key as the installation itself tells of it."""
    told = (await installed.call(key, "GET", "/v1/whoami")).json()
    return isolation.told_by(key.name, [key.headers], told)


async def signed_in(installed: Installed, world: World, role: str, only: str | None = None) -> Credential:
    """A member of the world, signed in several times, for a session has a low limit; with `only` for that workspace."""
    named = None if only is None else {only: role}
    headers = [await a_signed_in(installed.database, world.home, role, workspaces=named) for _ in range(SESSIONS)]
    told = (await installed.client.get("/v1/whoami", headers=headers[0])).json()
    return isolation.told_by(role if only is None else "colleague", headers, told)


async def belongings(installed: Installed, world: World) -> Belongings:
    """What the world's owner is told of it, by key and signed in."""
    master = await credential(installed, world.keys["master"])
    owner = await signed_in(installed, world, "owner")
    return await isolation.Harvest(installed.client, OPERATIONS, [master, owner]).all()


async def _ended(installed: Installed, world: World) -> list[Credential]:
    """A key that was revoked and one whose time is over."""
    master = world.keys["master"]
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    wanted = {"preset": "master", "rateLimit": None}
    revoked, expired = [
        (await installed.call(master, "POST", "/v1/api-keys", json={**wanted, **more})).json()
        for more in ({"name": "revoked"}, {"name": "expired", "expiresAt": soon.isoformat()})
    ]
    await installed.call(master, "DELETE", f"/v1/api-keys/{revoked['id']}")
    while datetime.now(UTC) < soon + timedelta(seconds=0.05):
        await installed.client.get("/healthz")
    return [
        isolation.ended("revoked", {"authorization": f"Bearer {revoked['key']}"}, State.REVOKED),
        isolation.ended("expired", {"authorization": f"Bearer {expired['key']}"}, State.EXPIRED),
        isolation.nobody(),
    ]


async def _outsider(installed: Installed, key: KeyHeld, own: World, found: Belongings, *, near: bool) -> Outsider:
    place = own.second if near else own.first
    tries = await credential(installed, key)
    if key.name == "test":  # the twin is an agency of its own, in which there is nothing
        return Outsider(tries, Belongings(), None)
    return Outsider(tries, found, place.id, is_neighbour=near)


@pytest_asyncio.fixture(scope="session")
async def trial(installed: Installed, ours: World, theirs: World, a_schema_owner: Any) -> Trial:
    """The trial of the house: the agency `ours`, and neighbours within `theirs`, try for what is in `theirs`."""
    of_theirs, of_ours = [await belongings(installed, world) for world in (theirs, ours)]
    tried_by = [
        await _outsider(installed, key, own, of_theirs if own is theirs else of_ours, near=own is theirs)
        for key in outsiders(ours, theirs)
        for own in [home_of(key, ours, theirs)]
    ]
    people = [Outsider(await signed_in(installed, ours, role), of_ours, ours.first.id) for role in ROLES]
    colleague = await signed_in(installed, theirs, "manager", only=theirs.second.id)
    people.append(Outsider(colleague, of_theirs, theirs.second.id, is_neighbour=True))
    rows = await photograph(a_schema_owner, theirs.home.agency_id)
    of_agency = {one for lines in rows.values() for line in lines for one in ids_in(line)} - of_ours.ids
    of_first = await ids_of_workspace(a_schema_owner, theirs.home.agency_id, theirs.first.id)
    return Trial(
        installed,
        Victim(of_theirs, theirs.first.id),
        theirs.home.agency_id,
        [*tried_by, *people, *(Outsider(one, Belongings(), None) for one in await _ended(installed, ours))],
        Hidden(of_agency, of_theirs.words - of_ours.words),
        Hidden(of_first, []),
    )
