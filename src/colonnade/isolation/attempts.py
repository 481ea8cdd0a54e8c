"""What an outsider tries: somebody else's ids wherever an id can go, each beside one that never was.

Pure: requests and expectations come out, nothing is asked here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.web.access import Who
from colonnade.isolation.asking import Wanted
from colonnade.isolation.belongings import Belongings
from colonnade.isolation.catalogue import Described, IdField, with_ids_of
from colonnade.isolation.credentials import REFUSED_AS, Credential, State

PLACES: Final = {
    "path": "an id in the address, beside one that never existed",
    "whole path": "an address made of nothing but such ids",
    "header": "the id of a workspace in the header X-Workspace-Id",
    "body": "an id in a field of what is sent",
    "query": "an id in a parameter of the query",
    "list": "a list or report that names nothing, in its widest form",
    "write": "a change that names nothing",
}
"""Where an id of somebody else is put, in the words of the report."""

_ALSO_HIDDEN: Final = ("/v1/api-keys", "/v1/workspaces/bulk-actions")
"""What is the agency's, and hidden from keys that reach some of its workspaces only."""

_SHARED: Final = ("/v1/templates",)
"""What is the agency's and read by every caller of it: nothing that one of its workspaces would hide from another."""

_INCLUDES: Final = "usage,health,lastActiveAt,brand,integrations,settings,templatesApplied"


@dataclass(frozen=True, slots=True)
class Outsider:
    """Who tries, and what is its own, so that all but one id of a request are good ones."""

    credential: Credential
    own: Belongings
    workspace_id: str | None
    is_neighbour: bool = False
    """A credential of the victim's own agency, for another workspace of it."""


@dataclass(frozen=True, slots=True)
class Victim:
    """Whose things are tried for: those of an agency, and the workspace of it that neighbours must not see."""

    has: Belongings
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, what must come of it, and the same request with an id that never was."""

    place: str
    operation: Described
    named: str
    wanted: Wanted
    twin: Wanted | None
    expected: frozenset[int] | None
    """The only right statuses; none: any refusal, or an answer that tells nothing of the victim."""
    pointer: str | None = None
    """The field that a refusal must name."""
    swapped: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """What was sent in the attempt and in its twin, in the place of each other: both may be repeated by the answer."""


def attempts(operations: Sequence[Described], outsider: Outsider, victim: Victim) -> Iterator[Attempt]:
    """Everything that this outsider tries; changes that name nothing are left to `writes`."""
    for operation in operations:
        trying = _Trying(operation, outsider, victim)
        if outsider.credential.state is not State.GOOD or operation.knows_not(outsider.credential):
            yield trying.whole_path()
            continue
        yield from trying.paths()
        yield from trying.headers()
        yield from trying.bodies()
        yield from trying.queries()
        yield from trying.lists()


def writes(operations: Sequence[Described], outsider: Outsider, victim: Victim) -> Iterator[Attempt]:
    """Changes that name nothing: they take place in the outsider's own agency, so they are not for real ones."""
    for operation in operations:
        if operation.is_write and not operation.ids and not operation.knows_not(outsider.credential):
            yield _Trying(operation, outsider, victim).write()


@dataclass(frozen=True, slots=True)
class _Trying:
    operation: Described
    outsider: Outsider
    victim: Victim

    def paths(self) -> Iterator[Attempt]:
        """Each id of the path alone, and all of them at once."""
        for parameter in self.operation.ids:
            for foreign, never in self._foreign(parameter):
                values = self._own_values()
                wanted = self._wanted({**values, parameter: foreign})
                twin = self._wanted({**values, parameter: never})
                yield Attempt("path", self.operation, parameter, wanted, twin, self._refused(404))
        if len(self.operation.ids) > 1 and all(self.has(parameter) for parameter in self.operation.ids):
            yield self.whole_path()

    def whole_path(self) -> Attempt:
        """The victim's ids alone, as the victim itself would name them."""
        values = {name: self._victims(name) or self.operation.never(name) for name in self.operation.ids}
        expected = self._refused(404) if values else None
        if self.outsider.credential.state is not State.GOOD:
            expected = None if self.operation.access.who is Who.ANYONE else REFUSED_AS[self.outsider.credential.state]
        elif self.operation.knows_not(self.outsider.credential):
            expected = REFUSED_AS[State.MISSING]
        return Attempt("whole path", self.operation, "", self._wanted(values), None, expected)

    def headers(self) -> Iterator[Attempt]:
        """The victim's workspace in the header, by its id and by the agency's own."""
        if self.operation.access.who is Who.ANYONE:
            return
        names = [(self.victim.workspace_id, new_id("ws"))]
        external = self.victim.has.external_ids.get(self.victim.workspace_id)
        if external is not None and not self.outsider.is_neighbour:
            names.append((f"ext:{external}", "ext:never-was-there"))
        for foreign, never in names:
            wanted, twin = (
                self._wanted(self._own_values(), headers={"X-Workspace-Id": one}) for one in (foreign, never)
            )
            refused = self._refused(404 if self.outsider.credential.is_agency_wide else 403)
            yield Attempt("header", self.operation, "X-Workspace-Id", wanted, twin, refused)

    def bodies(self) -> Iterator[Attempt]:
        """Each field of the body that takes an id."""
        if self.operation.forbids(self.outsider.credential) or self.operation.access.who is Who.ANYONE:
            return
        for one in self.operation.id_fields():
            foreign = self._victims_of(one.prefix)
            if foreign is None:
                continue
            body = self._body() if one.body is None else one.body
            never = new_id(one.prefix)
            wanted, twin = (self._wanted(self._own_values(), body=one.put(body or {}, put)) for put in (foreign, never))
            yield self._of_field("body", one, wanted, twin, swapped=((foreign, never),))

    def _of_field(
        self, place: str, one: IdField, wanted: Wanted, twin: Wanted, *, swapped: Sequence[tuple[str, str]]
    ) -> Attempt:
        credential = self.outsider.credential
        is_mighty = credential.reaches_all and credential.scopes >= AGENCY_SCOPES and self._is_whole()
        expected = frozenset({400}) if is_mighty else None
        if is_mighty and self.operation.access.scope is None:  # which scope is needed, the body itself tells
            expected = frozenset({400, 403})
        pointer = one.pointer if is_mighty else None
        return Attempt(place, self.operation, one.pointer, wanted, twin, expected, pointer, swapped)

    def queries(self) -> Iterator[Attempt]:
        """Each parameter of the query that takes an id."""
        for one in self.operation.id_queries():
            foreign = self._victims_of(one.prefix)
            if foreign is None or self.operation.is_write or self.operation.is_stream:
                continue
            never, name = new_id(one.prefix), one.steps[0]
            wanted, twin = (self._wanted(self._own_values(), query={name: put}) for put in (foreign, never))
            yield Attempt("query", self.operation, name, wanted, twin, None, swapped=((foreign, never),))

    def lists(self) -> Iterator[Attempt]:
        """What is read without naming anything, as it is and with everything that widens it."""
        if self.operation.is_write or self.operation.ids:
            return
        wide = {"scope": "agency", "include": _INCLUDES, "count": "exact"}
        known = {name: value for name, value in wide.items() if name in self.operation.queries}
        for query in [{}, known] if known else [{}]:
            placed = None if "scope" not in query else dict[str, str]()
            wanted = self._wanted({}, query=query, headers=placed)
            yield Attempt("list", self.operation, "", wanted, None, None)

    def write(self) -> Attempt:
        """A change with what the document shows for it, that names nothing."""
        return Attempt("write", self.operation, "", self._wanted({}), None, None)

    def _wanted(
        self,
        values: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Wanted:
        operation, outsider = self.operation, self.outsider
        sent = body if body is not None else self._body()
        placed = operation.place_headers(outsider.workspace_id, outsider.credential) if headers is None else headers
        needed = operation.needed(outsider.own.by_prefix(outsider.workspace_id))
        return Wanted(operation.method, operation.at(values), {**needed, **(query or {})}, placed, sent)

    def _body(self) -> dict[str, object] | None:
        shown = self.operation.example()
        if shown is None:
            return None
        own = self.outsider.own.by_prefix(self.outsider.workspace_id)
        return dict(with_ids_of(shown, own))

    def _is_whole(self) -> bool:
        """Whether all else of a request can be good: the outsider has a workspace, and what the path names."""
        own = self.outsider.own
        names = [(self.operation.collection(name), self.operation.prefix(name)) for name in self.operation.ids]
        return self.outsider.workspace_id is not None and all(own.first(*name) is not None for name in names)

    def _own_values(self) -> dict[str, str]:
        """Good ids of the outsider's own for the whole path, as far as there are such."""
        operation, own = self.operation, self.outsider.own
        inside = self.outsider.workspace_id
        found: dict[str, str] = {}
        for name in operation.ids:
            mine = own.first(operation.collection(name), operation.prefix(name), inside)
            if mine is None and not self.outsider.is_neighbour:
                mine = own.first(operation.collection(name), operation.prefix(name))
            found[name] = mine or operation.never(name)
        return found

    def _foreign(self, parameter: str) -> Iterator[tuple[str, str]]:
        """The victim's ids for this parameter, each beside one of its sort that never was."""
        foreign = self._victims(parameter)
        if foreign is not None:
            yield foreign, self.operation.never(parameter)
        external = self.victim.has.external_ids.get(self.victim.workspace_id)
        if parameter == "workspace_id" and external is not None:
            yield f"ext:{external}", "ext:never-was-there"

    def has(self, parameter: str) -> bool:
        """Whether there is something of the victim's for this parameter."""
        return self._victims(parameter) is not None

    def _victims(self, parameter: str) -> str | None:
        """An id of the victim for this parameter that this outsider must not reach; none where it has none."""
        operation, collection = self.operation, self.operation.collection(parameter)
        prefix = operation.prefix(parameter)
        if prefix == "ws":
            return self.victim.workspace_id
        if self.outsider.is_neighbour and collection.startswith(_SHARED):
            return None
        inside = self.victim.has.first(collection, prefix, self.victim.workspace_id)
        whole = self.victim.has.first(collection, prefix)
        if self.outsider.is_neighbour and not collection.startswith(_ALSO_HIDDEN):
            return inside
        return inside or whole

    def _victims_of(self, prefix: str) -> str | None:
        if prefix == "ws":
            return self.victim.workspace_id
        inside = self.victim.has.by_prefix(self.victim.workspace_id)
        if self.outsider.is_neighbour:
            known = self.victim.has.ids_inside.get(self.victim.workspace_id, set()) - self.outsider.own.ids
            return min((one for one in known if one.startswith(f"{prefix}_")), default=None)
        return inside.get(prefix)

    def _refused(self, otherwise: int) -> frozenset[int]:
        credential = self.outsider.credential
        if self.operation.forbids(credential):
            return frozenset({403})
        if credential.is_agency_wide and not credential.reaches_all:  # what is the whole agency's may be refused before
            return frozenset({403, otherwise})
        return frozenset({otherwise})


def untried(operations: Sequence[Described], outsider: Outsider, victim: Victim) -> list[tuple[str, str]]:
    """The ids of paths for which the victim has nothing to be tried for: operation and parameter."""
    return [
        (operation.name, name)
        for operation in operations
        for name in operation.ids
        if not _Trying(operation, outsider, victim).has(name)
    ]
