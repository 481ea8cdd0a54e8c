"""Two agencies that the operator founds to try everything on, one for the things of the other; used again each time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx2

from colonnade import credits, isolation
from colonnade.cli.temporary import Temporary
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database
from colonnade.isolation import Belongings, Credential, Described, Furnishing, Harvest, Outsider, State, Trial, Victim
from colonnade.tenancy import agencies, people
from colonnade.tenancy.keys import Draft

NAMES: Final = ("Isolation probe Amber Heron", "Isolation probe Violet Otter")
_CREDITS: Final = MilliCredits(1_000_000)

KEYS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "master": ("a key that may do everything in its own agency", {"preset": "master"}),
    "management": ("a key that manages the workspaces of its own agency", {"preset": "management"}),
    "read only": ("a key that reads everything in its own agency", {"preset": "read_only"}),
    "reporting": ("a key for the reports of its own agency", {"preset": "reporting"}),
    "links": ("a key for the access links of its own agency", {"preset": "links"}),
}
"""Keys of another agency, each in plain words."""

OF_PEOPLE: Final = {role: f"another agency's {role}, signed in" for role in ("owner", "admin", "manager", "viewer")}

FURTHER: Final = {
    "limited": "a key of another agency that reaches one of its workspaces",
    "workspace": "a key of a workspace of another agency",
    "test mode": "a key of another agency's test mode",
    "neighbour": "a key of another workspace of the same agency",
    "agency's, for the neighbour": "a key of the same agency that reaches another of its workspaces only",
    "colleague": "a signed-in manager of the same agency who works in another workspace only",
    "revoked": "a key of the same agency that was revoked",
    "expired": "a key of the same agency whose time is over",
    "no credential": "a caller who shows no key",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One of the two, furnished."""

    operator: Caller
    name: str
    owners: Sequence[Credential]
    has: Belongings
    first: str
    second: str


class Probing:
    """Founds, furnishes, and gives everybody a credential."""

    def __init__(
        self, database: Database, client: httpx2.AsyncClient, operations: Sequence[Described], temporary: Temporary
    ) -> None:
        self._database = database
        self._client = client
        self._operations = operations
        self._temporary = temporary

    async def probes(self, known: dict[str, str]) -> tuple[Probe, Probe]:
        """Both probes: who tries, and for whose things; `known` are the agencies that are there, by name."""
        tries, victim = [await self._probe(name, known.get(name)) for name in NAMES]
        return tries, victim

    async def trials(self, tries: Probe, victim: Probe) -> list[Trial]:
        """Strangers for everything of the victim, neighbours for what is in its first workspace."""
        strangers = await self._strangers(tries)
        strange = Trial.between(strangers, Victim(victim.has, victim.first), tries.has)
        ended = [Outsider(one, Belongings(), None) for one in await self._ended(victim)]
        neighbours, of_first, of_second = await self._neighbours(victim)
        near = Trial.between(neighbours, Victim(of_first, victim.first), of_second)
        return [strange, near, Trial.between(ended, Victim(victim.has, victim.first), Belongings())]

    async def _probe(self, name: str, agency_id: str | None) -> Probe:
        operator = agencies.entering(agency_id or await self._found(name))
        master = await self._told("master", await self._temporary.key(operator, Draft("master", preset="master")))
        marker = name.removeprefix("Isolation probe ")
        first, second = await Furnishing(self._client, self._operations, master, marker).all()
        owner = await self._member(operator, "owner", "owner")
        has = await Harvest(self._client, self._operations, [master, owner]).all()
        return Probe(operator, name, [master, owner], has, first, second)

    async def _found(self, name: str) -> str:
        email = f"owner@{name.rpartition(' ')[2].lower()}.colonnade.invalid"
        founded = await people.found_agency(self._database, name=name, owner_email=email)
        operator = agencies.entering(founded.agency.id)
        async with self._database.transaction(operator.reach) as tx:
            await credits.grant(tx, operator, amount=_CREDITS, note="For what is tried")
        return founded.agency.id

    async def _strangers(self, tries: Probe) -> list[Outsider]:
        operator = tries.operator
        keys = [
            await self._told(name, await self._temporary.key(operator, Draft(name, **draft)))
            for name, (_, draft) in KEYS.items()
        ]
        limited = Draft("limited", preset="master", workspaces=[tries.first])
        keys.append(await self._told("limited", await self._temporary.key(operator, limited)))
        inside = await self._temporary.key(operator, Draft("workspace", preset="workspace"), tries.first)
        keys.append(await self._told("workspace", inside))
        members = [await self._member(operator, role, role) for role in OF_PEOPLE]
        mode = await self._temporary.test_mode(operator)
        test = await self._told("test mode", await self._temporary.key(mode, Draft("test mode", preset="master")))
        outsiders = [Outsider(one, tries.has, tries.first) for one in [*keys, *members]]
        return [*outsiders, Outsider(test, Belongings(), None)]

    async def _neighbours(self, victim: Probe) -> tuple[list[Outsider], Belongings, Belongings]:
        """Those who try from the second workspace, and what both workspaces have as keys for them alone are told."""
        operator = victim.operator
        of_first, of_second = [
            await self._told(name, await self._temporary.key(operator, Draft(name, preset="master", workspaces=[one])))
            for one, name in ((victim.first, "first"), (victim.second, "agency's, for the neighbour"))
        ]
        inside = await self._temporary.key(operator, Draft("neighbour", preset="workspace"), victim.second)
        neighbour = await self._told("neighbour", inside)
        colleague = await self._member(operator, "colleague", "manager", only=victim.second)
        has, own = [await Harvest(self._client, self._operations, [one]).all() for one in (of_first, of_second)]
        outsiders = [Outsider(one, own, victim.second, is_neighbour=True) for one in (neighbour, of_second, colleague)]
        return outsiders, has, own

    async def _ended(self, victim: Probe) -> list[Credential]:
        draft = Draft("ended", preset="master")
        revoked = await self._temporary.revoked_key(victim.operator, draft)
        soon = datetime.now(UTC) + timedelta(seconds=1)
        expired = await self._temporary.key(victim.operator, Draft("expired", preset="master", expires_at=soon))
        while datetime.now(UTC) <= soon + timedelta(milliseconds=100):
            await self._client.get("/healthz")
        return [
            isolation.ended("revoked", revoked, State.REVOKED),
            isolation.ended("expired", expired, State.EXPIRED),
            isolation.nobody(),
        ]

    async def _member(self, operator: Caller, name: str, role: str, only: str | None = None) -> Credential:
        """A member who is signed in three times, for each session has a low limit."""
        host = f"{operator.agency_id.removeprefix('agency_')}.colonnade.invalid"
        member = await self._temporary.member(operator, role, f"{name}@{host}")
        if only is not None:
            wanted = people.Change(workspaces=[people.Assignment(only, "manager")])
            async with self._database.transaction(operator.reach) as tx:
                await people.change(tx, operator, member.id, wanted, people.without_estate())
        headers = [await self._temporary.session(operator.agency_id, member) for _ in range(3)]
        return await self._told(name, *headers)

    async def _told(self, name: str, *headers: dict[str, str]) -> Credential:
        answer = await self._client.get("/v1/whoami", headers=headers[0])
        if answer.status_code != 200:
            raise isolation.CannotFurnish(
                f"a key that was made here is not known there ({answer.status_code}): is it another installation?"
            )
        return isolation.told_by(name, headers, answer.json())
