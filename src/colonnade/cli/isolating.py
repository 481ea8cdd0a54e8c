"""What `verify-isolation` does: tries everything on the installation that runs, and signs what came of it."""

import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from rich.progress import Progress

from colonnade import isolation
from colonnade.cli import probing
from colonnade.cli.console import err
from colonnade.cli.runtime import agencies_here
from colonnade.cli.temporary import Temporary
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.scopes import WORKSPACE_SCOPES
from colonnade.ground.db.database import Database
from colonnade.isolation import Branding, Described, Harvest, Outsider, Proof, Record, Side, Subject, Trial, Victim
from colonnade.settings import Settings, report_key_of
from colonnade.tenancy.keys import Draft
from colonnade.tenancy.sessions import Cookie

_SECONDS: Final = 40.0
_READING: Final = sorted(name for name in WORKSPACE_SCOPES if name.endswith(":read"))

BETWEEN_KEYS: Final = {
    "key of {}": "a key of the one workspace, with all that it may read",
    "agency's key for {}": "a key of the agency that reaches the one workspace only, with all that it may read",
    "reports of {}": "a key for the reports of the one workspace only",
}
"""What is made for each side when two workspaces in use are tried, each in plain words."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A finished walk: the signed report, and how its page is dressed."""

    report: dict[str, Any]
    branding: Branding

    @property
    def is_clean(self) -> bool:
        """Whether nothing leaked."""
        return bool(self.report["verdict"] == "separated")

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Both files: the facts, and the page that shows them."""
        folder.mkdir(parents=True, exist_ok=True)
        name = "isolation-" + "".join(part for part in self.report["startedAt"][:19] if part.isalnum())
        facts, page = folder / f"{name}.json", folder / f"{name}.html"
        facts.write_text(json.dumps(self.report, ensure_ascii=False, indent=1) + "\n", "utf-8")
        page.write_text(isolation.page(self.report, self.branding), "utf-8")
        return facts, page


class Isolating:
    """One run of the command, on a database that answers and an address that should."""

    def __init__(self, settings: Settings, database: Database, url: str, *, quiet: bool) -> None:
        self._settings = settings
        self._database = database
        self._url = url
        self._quiet = quiet

    async def probes(self) -> Proven:
        """Everything, changes and deletions included, between two agencies that are there for it."""
        async with self._begun() as (client, operations, temporary, digest):
            known = {str(row["name"]): str(row["agency_id"]) for row in await agencies_here(self._settings)}
            by = probing.Probing(self._database, client, operations, temporary)
            tries, victim = await by.probes(known)
            sides = [Side("agency", one.operator.agency_id, one.name) for one in (tries, victim)]
            record = self._record(operations, digest, sides, reads_only=False)
            words = {name: what for name, (what, _) in probing.KEYS.items()}
            record.credentials |= {**words, **probing.OF_PEOPLE, **probing.FURTHER}
            record.untried += [_WRITES_UNTRIED, _PEOPLE_UNTRIED]
            trials = await by.trials(tries, victim)
            before = await Harvest(client, operations, victim.owners).all()
            proof = Proof(client, operations, record)
            await self._walk(proof, trials)
            await proof.compare(before, victim.owners)
        return self._proven(record, Branding())

    async def between(self, operator: Caller, names: Sequence[str]) -> Proven:
        """Reading alone, between two workspaces in use: each with keys for itself tries for what the other has."""
        async with self._begun() as (client, operations, temporary, digest):
            reader = await temporary.key(operator, Draft("isolation: sides", preset="read_only"))
            sides = [await _side(client, reader, name) for name in names]
            agency = (await client.get("/v1/agency", headers=reader)).json()
            record = self._record(operations, digest, sides, reads_only=True, agency=agency["name"])
            record.untried.append(_CHANGES_UNTRIED)
            trials = await self._trials(client, operations, temporary, operator, sides, record)
            await self._walk(Proof(client, operations, record), trials)
            branding = agency["branding"]
            logo = await _logo(client, branding["logoUrl"] or "")
        return self._proven(record, Branding(agency["name"], branding["primaryColor"], logo))

    async def _trials(
        self,
        client: httpx2.AsyncClient,
        operations: Sequence[Described],
        temporary: Temporary,
        operator: Caller,
        sides: Sequence[Side],
        record: Record,
    ) -> list[Trial]:
        tried = [await _keys_for(client, temporary, operator, side, record) for side in sides]
        has = [await Harvest(client, operations, credentials[1:2]).all() for credentials in tried]
        return [
            Trial.between(
                [Outsider(one, has[own], sides[own].id, is_neighbour=True) for one in tried[own]],
                Victim(has[other], sides[other].id),
                has[own],
            )
            for own, other in ((0, 1), (1, 0))
        ]

    @contextlib.asynccontextmanager
    async def _begun(self) -> AsyncIterator[tuple[httpx2.AsyncClient, list[Described], Temporary, str]]:
        """A client, what the installation says it can do, and a purse of credentials that is emptied afterwards."""
        async with httpx2.AsyncClient(base_url=self._url, timeout=_SECONDS) as client:
            document = await _document(client, self._url)
            canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            cookie = Cookie.of(self._settings.public_url).name
            async with Temporary(self._database, cookie) as temporary:
                digest = hashlib.sha256(canonical.encode()).hexdigest()
                yield client, isolation.catalogue(document), temporary, digest

    def _record(
        self,
        operations: Sequence[Described],
        digest: str,
        sides: Sequence[Side],
        *,
        reads_only: bool,
        agency: str | None = None,
    ) -> Record:
        installation = isolation.fingerprint(isolation.public_key(report_key_of(self._settings))).replace(" ", "")
        subject = Subject(self._url, installation, version("colonnade"), digest, sides, reads_only, agency)
        names = [one.name for one in operations if not (reads_only and one.is_write)]
        return Record(subject, datetime.now(UTC), names)

    async def _walk(self, proof: Proof, trials: Sequence[Trial]) -> None:
        with Progress(console=err, transient=True, disable=self._quiet or not err.is_terminal) as progress:
            task = progress.add_task("Trying everything …", total=proof.count(trials))
            await proof.walk(trials, lambda: progress.advance(task))

    def _proven(self, record: Record, branding: Branding) -> Proven:
        told = record.told(datetime.now(UTC))
        return Proven(isolation.signed(told, report_key_of(self._settings)), branding)


_WRITES_UNTRIED: Final = {
    "what": "changes that name nothing of anybody",
    "why": "they take place in the agency of whoever calls; the tests of each release try them",
}
_PEOPLE_UNTRIED: Final = {
    "what": "invitations of new people",
    "why": "they would send mail; the tests of each release try them",
}
_CHANGES_UNTRIED: Final = {
    "what": "changing and deleting",
    "why": "these workspaces are in use; run the command without --between to try it on agencies made for it",
}


class CannotTry(Exception):
    """There is nothing to try it on, or nobody to try it with."""


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    try:
        answer = await client.get("/openapi.json")
        document: dict[str, Any] = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise CannotTry(
            f"Nothing that can be tried answers at {url} ({type(error).__name__}); start it with `colonnade up`, "
            "or name its address with --url."
        ) from error
    if "paths" not in document:
        raise CannotTry(f"What answers at {url} is no Colonnade; name the right address with --url.")
    return document


async def _logo(client: httpx2.AsyncClient, url: str) -> str | None:
    """The agency's logo, to be carried by the page; one that lies elsewhere is not fetched."""
    path = urlsplit(url).path
    if not path.startswith("/logos/"):
        return None
    answer = await client.get(path)
    kind = answer.headers.get("content-type", "")
    is_picture = answer.status_code == 200 and kind.startswith("image/")
    return f"data:{kind};base64,{base64.b64encode(answer.content).decode()}" if is_picture else None


async def _side(client: httpx2.AsyncClient, reader: dict[str, str], name: str) -> Side:
    answer = await client.get(f"/v1/workspaces/{name}", headers=reader)
    if answer.status_code == 403:
        raise CannotTry(
            "What answers there does not take a key of this data folder; name the right address with --url."
        )
    if answer.status_code != 200:
        raise CannotTry(f"The agency has no workspace {name}; `GET /v1/workspaces` shows those that it has.")
    told = answer.json()
    return Side("workspace", told["id"], told["name"])


async def _keys_for(
    client: httpx2.AsyncClient, temporary: Temporary, operator: Caller, side: Side, record: Record
) -> list[isolation.Credential]:
    """The keys of one side; the second one, which sees most, also tells what the side has."""
    drafts = (("workspace", True), ("read_only", False), ("reporting", False))
    made = []
    for (name, what), (preset, is_inside) in zip(BETWEEN_KEYS.items(), drafts, strict=True):
        called = name.format(side.name)
        scopes = _READING if is_inside else None
        draft = Draft(
            f"isolation: {called}"[:255],
            preset=None if is_inside else preset,
            scopes=scopes,
            workspaces=None if is_inside else [side.id],
        )
        headers = await temporary.key(operator, draft, side.id if is_inside else None)
        told = (await client.get("/v1/whoami", headers=headers)).json()
        made.append(isolation.told_by(called, [headers], told))
        record.credentials[called] = what
    return made
