"""What somebody has, as the API tells it to its owner: ids, words that are nobody else's, a digest of all of it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from colonnade.isolation.asking import Answered, Wanted, ask
from colonnade.isolation.catalogue import Described
from colonnade.isolation.credentials import Credential
from colonnade.isolation.nouns import ids_in

MOST_OF_A_KIND: Final = 25
"""So many things of a list are followed into what lies below them."""

_MOST_PAGES: Final = 20

_MOVES: Final = frozenset({"lastUsedAt", "lastUsedIp", "lastActiveAt", "lastSeenAt", "requestId", "expiresAt"})
"""What the mere passing of time and use changes."""

_LOGS: Final = ("/v1/request-log", "/v1/whoami", "/v1/me", "/v1/audit-log")
"""What tells of calls rather than of things; left out of the digest."""

_WORDS: Final = frozenset({"name", "title", "slug", "externalId", "primaryDomain", "email", "website", "description"})
_SHORTEST_WORD: Final = 8

_WIDE: Final = {"scope": "agency", "limit": "100", "count": "exact"}


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that a path can name, and the workspace it lies in where it lies in one."""

    id: str
    workspace_id: str | None


@dataclass(slots=True)
class Belongings:
    """Everything that was found."""

    things: dict[str, list[Thing]] = field(default_factory=dict)
    """By the path of the list that they stand in."""
    ids: set[str] = field(default_factory=set)
    ids_inside: dict[str, set[str]] = field(default_factory=dict)
    """By workspace, what was told of when only that workspace was asked for."""
    words: set[str] = field(default_factory=set)
    external_ids: dict[str, str] = field(default_factory=dict)
    """By workspace."""
    told: dict[str, str] = field(default_factory=dict)
    """By request, a digest of the answer."""

    def first(self, collection: str, prefix: str, workspace_id: str | None = None) -> str | None:
        """One of these things, where wanted of this workspace; else anything of its kind that was told of."""
        listed = [one for one in self.things.get(collection, []) if one.id.startswith(f"{prefix}_")]
        fitting = [one.id for one in listed if workspace_id is None or one.workspace_id == workspace_id]
        if fitting:
            return fitting[0]
        known = self.ids if workspace_id is None else self.ids_inside.get(workspace_id, set())
        return min((one for one in known if one.startswith(f"{prefix}_")), default=None)

    def by_prefix(self, workspace_id: str | None = None) -> dict[str, str]:
        """One id of each kind, those of the workspace before others."""
        chosen: dict[str, str] = {}
        for known in (self.ids, self.ids_inside.get(workspace_id or "", set())):
            chosen.update({one.partition("_")[0]: one for one in sorted(known, reverse=True)})
        return {**chosen, "ws": workspace_id} if workspace_id is not None else chosen

    @property
    def digest(self) -> str:
        """By which it shows whether anything has changed."""
        return hashlib.sha256(json.dumps(self.told, sort_keys=True).encode()).hexdigest()

    def changed(self, later: "Belongings") -> list[str]:
        """The requests whose answers are not what they were."""
        both = {*self.told, *later.told}
        return sorted(line for line in both if self.told.get(line) != later.told.get(line))


class Harvest:
    """Asks every reading operation with its owner's credentials, and notes what is told."""

    def __init__(
        self, client: httpx2.AsyncClient, operations: Sequence[Described], credentials: Sequence[Credential]
    ) -> None:
        self._client = client
        self._operations = sorted(
            (one for one in operations if not one.is_write and not one.is_stream), key=lambda one: len(one.ids)
        )
        self._children = {
            (one.collection(one.ids[-1]), one.prefix(one.ids[-1]), one.ids[-1]) for one in operations if one.ids
        }
        self._credentials = credentials
        self.found = Belongings()

    async def all(self) -> Belongings:
        """Everything within reach of the credentials."""
        for operation in self._operations:
            for values in self._values(operation):
                await self._look(operation, values)
        return self.found

    def _values(self, operation: Described) -> Iterator[dict[str, str]]:
        """Every set of ids for the path, of those that were found so far."""
        chosen: list[dict[str, str]] = [{}]
        for parameter in operation.ids:
            known = self.found.things.get(operation.collection(parameter), [])
            listed = [one for one in known if one.id.startswith(f"{operation.prefix(parameter)}_")]
            chosen = [
                {**values, parameter: one.id}
                for values in chosen
                for one in _fitting(listed, values.get("workspace_id"))[:MOST_OF_A_KIND]
            ]
        yield from chosen

    async def _look(self, operation: Described, values: Mapping[str, str]) -> None:
        query = operation.needed(self.found.by_prefix(self._any_workspace()))
        query |= {name: value for name, value in _WIDE.items() if name in operation.queries}
        headers: dict[str, str] = {}
        if "scope" not in query:
            headers = operation.place_headers(self._any_workspace(), self._credentials[0])
        inside = values.get("workspace_id", headers.get("X-Workspace-Id"))
        for _ in range(_MOST_PAGES):
            wanted = Wanted("GET", operation.at(values), dict(query), headers)
            answered = await self._ask(operation, wanted)
            if answered is None:
                return
            body = answered.json()
            self._note(operation, wanted, answered.text, body, inside)
            following = body.get("nextCursor") if isinstance(body, dict) else None
            if not following:
                return
            query["cursor"] = following

    def _any_workspace(self) -> str | None:
        return next((one.id for one in self.found.things.get("/v1/workspaces", ())), None)

    async def _ask(self, operation: Described, wanted: Wanted) -> Answered | None:
        """The answer for the first of the credentials that gets one."""
        for credential in self._credentials:
            if operation.forbids(credential):
                continue
            answered = await ask(self._client, credential, wanted)
            if answered.status < 300:
                return answered
        return None

    def _note(self, operation: Described, wanted: Wanted, text: str, body: Any, inside: str | None) -> None:
        found = self.found
        seen = ids_in(text)
        found.ids |= seen
        if inside is not None:
            found.ids_inside.setdefault(inside, set()).update(seen)
        found.words |= set(_words(body))
        if not wanted.path.startswith(_LOGS):
            found.told[wanted.line] = hashlib.sha256(json.dumps(_stable(body), sort_keys=True).encode()).hexdigest()
        for collection, prefix, parameter in self._children:
            if collection == operation.path:
                self._keep(collection, list(_items(body, prefix, parameter)), inside)

    def _keep(self, collection: str, items: Sequence[tuple[str, Mapping[str, Any]]], inside: str | None) -> None:
        listed = self.found.things.setdefault(collection, [])
        known = {one.id for one in listed}
        for identity, item in items:
            workspace_id = identity if identity.startswith("ws_") else item.get("workspaceId") or inside
            if workspace_id is not None:
                self.found.ids_inside.setdefault(workspace_id, set()).update(ids_in(json.dumps(item)))
            if identity.startswith("ws_") and item.get("externalId"):
                self.found.external_ids[identity] = item["externalId"]
            if identity not in known:
                listed.append(Thing(identity, workspace_id))


def _fitting(listed: Sequence[Thing], named: str | None) -> list[Thing]:
    """The things of the workspace that the path names already, where it names one."""
    return [one for one in listed if named is None or one.workspace_id in {named, None}]


def _items(body: Any, prefix: str, parameter: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The things of a list, each with the id by which a path names it."""
    lists = [body] if isinstance(body, list) else []
    lists += [part for part in body.values() if isinstance(part, list)] if isinstance(body, dict) else []
    first, *rest = parameter.split("_")
    own_name = first + "".join(word.capitalize() for word in rest)
    for item in (item for part in lists for item in part if isinstance(item, dict)):
        named = (item.get("id"), item.get(own_name))
        identity = next((one for one in named if isinstance(one, str) and one.startswith(f"{prefix}_")), None)
        if identity is not None:
            yield identity, item


def _words(body: Any) -> Iterator[str]:
    """Texts that tell whose something is, at every depth."""
    if isinstance(body, dict):
        for name, part in body.items():
            if name in _WORDS and isinstance(part, str) and len(part) >= _SHORTEST_WORD:
                yield part
            elif name == "hint" and isinstance(part, str):
                yield f'"hint":"{part}"'
            else:
                yield from _words(part)
    elif isinstance(body, list):
        for part in body:
            yield from _words(part)


def _stable(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _stable(part) for name, part in body.items() if name not in _MOVES}
    return [_stable(part) for part in body] if isinstance(body, list) else body
