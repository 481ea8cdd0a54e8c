"""What there is to try: every operation that the document of an installation tells of, and where ids go in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.web.access import CONTENT, Access, Place, Who
from colonnade.ground.web.doorway import SESSION_PATHS
from colonnade.isolation.credentials import Credential
from colonnade.isolation.nouns import ID, prefix_of

_PLAIN: Final = {"provider": "openai", "month": "2026-01"}
"""What is put where a path names something that is the same for every agency; `1` where nothing is listed."""

_DEEPEST: Final = 6

HIDDEN_FIELDS: Final[Mapping[str, Sequence[tuple[Mapping[str, Any], tuple[str, ...]]]]] = {
    "POST /v1/workspaces/bulk-action": [
        ({"action": "workspace.update", "workspaces": "all", "config": {}, "dryRun": True}, ("config", "ownerId")),
    ],
}
"""Fields that take an id inside of a part that the document leaves open: a body, and where the id goes."""


@dataclass(frozen=True, slots=True)
class IdField:
    """A field of a body, or a parameter of a query, that takes an id."""

    steps: tuple[str, ...]
    prefix: str
    is_list: bool
    body: Mapping[str, Any] | None = None
    """The body in which it stands, where that is not the operation's usual one."""

    @property
    def pointer(self) -> str:
        """Where a problem says that it is."""
        return "/" + "/".join(self.steps)

    def put(self, body: Mapping[str, Any], identity: str) -> dict[str, Any]:
        """The body with this id there."""
        return _put(body, self.steps, [identity] if self.is_list else identity)


def _put(body: Any, steps: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = steps
    here = dict(body) if isinstance(body, Mapping) else {}
    here[first] = _put(here.get(first), tuple(rest), value) if rest else value
    return here


@dataclass(frozen=True, slots=True)
class Described:
    """One operation of the document."""

    method: str
    path: str
    access: Access
    document: Mapping[str, Any]
    schemas: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As reports name it."""
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        """The names in the path, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def ids(self) -> list[str]:
        """Those of them that hold ids."""
        return [name for name in self.parameters if name.endswith("_id")]

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def is_stream(self) -> bool:
        """Whether its answer ends only with what it tells of."""
        answered = self.document["responses"].get("200", {})
        return "text/event-stream" in answered.get("content", {})

    @property
    def queries(self) -> dict[str, Mapping[str, Any]]:
        """The parameters of its query."""
        return {one["name"]: one for one in self.document.get("parameters", ()) if one["in"] == "query"}

    def needed(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """The parameters that its query must have, as the document shows them, with these ids in place of its own."""
        shown = {name: one["schema"] for name, one in self.queries.items() if one.get("required")}
        needed = {name: str(one.get("examples", ["1"])[0]) for name, one in shown.items()}
        return dict(with_ids_of(needed, chosen))

    def prefix(self, parameter: str) -> str:
        """The prefix of the ids that this parameter of the path takes."""
        found = prefix_of(parameter)
        assert found is not None, f"{self.name}: no noun is known for {{{parameter}}}"
        return found

    def never(self, parameter: str) -> str:
        """An id of the right kind that never existed."""
        return new_id(self.prefix(parameter))

    def collection(self, parameter: str) -> str:
        """The path of the list in which the things stand that this parameter names."""
        return self.path.partition(f"/{{{parameter}}}")[0]

    def at(self, values: Mapping[str, str]) -> str:
        """The path with these values; what is the same for every agency is filled in."""
        plain = {name: _PLAIN.get(name, "1") for name in self.parameters if name not in self.ids}
        return self.path.format(**{**plain, **values})

    def example(self) -> dict[str, Any] | None:
        """A body that the document shows; none where no body is taken."""
        content = self.document.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return {} if self.is_write else None
        shown = _examples(content, self.schemas)
        return dict(shown[0]) if shown else {}

    def id_fields(self) -> list[IdField]:
        """The fields of its body that take ids, also those that only a part of the body knows of."""
        content = self.document.get("requestBody", {}).get("content", {}).get("application/json", {})
        found = {field.steps: field for field in _fields(content.get("schema", {}), self.schemas, ())}
        hidden = [
            IdField(steps, prefix_of(steps[-1]) or "", is_list=False, body=body)
            for body, steps in HIDDEN_FIELDS.get(self.name, ())
        ]
        return [*found.values(), *hidden]

    def id_queries(self) -> list[IdField]:
        """The parameters of its query that take ids."""
        of_path = self.path.rpartition("/")[2]
        names = [(name, prefix_of(of_path if name == "ids" else name)) for name in self.queries if _takes_ids(name)]
        return [IdField((name,), prefix, is_list=False) for name, prefix in names if prefix is not None]

    def forbids(self, credential: Credential) -> bool:
        """Whether the declaration itself keeps this credential out, whatever is named."""
        declared = self.access
        wrong_kind = declared.who is Who.MEMBER and credential.kind != "member"
        lacks_kind = declared.who is Who.AGENCY and not credential.is_agency_wide
        lacks_scope = declared.scope is not None and declared.scope not in credential.scopes
        manages = declared.place in CONTENT and credential.is_agency_wide
        return wrong_kind or lacks_kind or lacks_scope or (manages and "workspaces:act" not in credential.scopes)

    def knows_not(self, credential: Credential) -> bool:
        """Whether this credential is none at all at this path: there are surfaces for keys alone."""
        return credential.kind == "member" and not self.path.startswith(SESSION_PATHS)

    def place_headers(self, workspace_id: str | None, credential: Credential) -> dict[str, str]:
        """The header that names a workspace where nothing else does and this credential has to."""
        needed = self.access.place in {Place.NAMED, Place.LISTED} and credential.is_agency_wide
        return {"X-Workspace-Id": workspace_id} if needed and workspace_id is not None else {}


def catalogue(document: Mapping[str, Any]) -> list[Described]:
    """Every operation of an OpenAPI document that declares its access."""
    schemas = document.get("components", {}).get("schemas", {})
    return [
        Described(method.upper(), path, _access(told["x-colonnade-access"]), told, schemas)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
        if "x-colonnade-access" in told
    ]


def _access(told: Mapping[str, Any]) -> Access:
    return Access(Who[told["who"].upper()], told["scope"], Place[told["place"].upper()])


def with_ids_of(body: Any, chosen: Mapping[str, str]) -> Any:
    """A body with these ids, by prefix, in the place of those that it shows."""
    if isinstance(body, Mapping):
        return {name: with_ids_of(part, chosen) for name, part in body.items()}
    if isinstance(body, list):
        return [with_ids_of(part, chosen) for part in body]
    if isinstance(body, str):
        return ID.sub(lambda found: chosen.get(found[0].partition("_")[0], found[0]), body)
    return body


def _examples(content: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    schema = content.get("schema", {})
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    shown: list[Mapping[str, Any]] = schema.get("examples", [])
    return shown


def _takes_ids(name: str) -> bool:
    """Whether a name says that ids go there: `workspaceId`, `memberIds`, `ids`, `workspaces`, `templates`."""
    if name.startswith("external") or name.endswith(("requestId", "RequestId")):
        return False
    return name.endswith(("Id", "Ids", "ID")) or name in {"ids", "workspaces", "templates"}


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any], steps: tuple[str, ...]) -> Iterator[IdField]:
    """All fields of a schema that take ids, at every depth within reason; a list of objects is left to its own."""
    if len(steps) > _DEEPEST:
        return
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    for name, part in schema.get("properties", {}).items():
        prefix = prefix_of(name) if _takes_ids(name) else None
        if prefix is not None:
            yield IdField((*steps, name), prefix, is_list=_is_list(part))
        else:
            yield from _fields(part, schemas, (*steps, name))
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            yield from _fields(part, schemas, steps)


def _is_list(schema: Mapping[str, Any]) -> bool:
    parts = [schema, *(part for word in ("anyOf", "oneOf") for part in schema.get(word, ()))]
    return any(part.get("type") == "array" for part in parts)
