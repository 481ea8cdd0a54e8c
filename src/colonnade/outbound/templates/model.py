"""The nouns of templates: a named set in its versions, and where which of them is deployed. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from colonnade.brand import content
from colonnade.ground.core import checking
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.checking import Findings, Rule
from colonnade.ground.core.refusals import NotFound
from colonnade.tenancy import workspaces

Mode = Literal["pin", "follow"]
State = Literal["pending", "applied", "failed"]

POSTS_MOST: Final = 50
_KEY: Final = checking.text(
    1, 80, pattern="[a-z0-9]+(?:-[a-z0-9]+)*", says="must be words of a-z and 0-9 joined by hyphens"
)


def _post(value: Any, pointer: str, findings: Findings) -> Any:
    """A post as a draft begins, under a key that stays its own from version to version."""
    if not isinstance(value, dict):
        findings.add(pointer, "must be an object")
        return {}
    text = content.DOCUMENT({name: item for name, item in value.items() if name != "key"}, pointer, findings)
    key = value.get("key")
    title = text.get("title")
    kept = content.slugify(title) if key is None and isinstance(title, str) else _KEY(key, f"{pointer}/key", findings)
    return {"key": kept, **text}


def _posts(value: Any, pointer: str, findings: Findings) -> Any:
    kept = _LIST(value, pointer, findings)
    seen: set[Any] = set()
    for number, post in enumerate(kept):
        key = post.get("key")
        if key in seen:
            findings.add(f"{pointer}/{number}/key", f"`{key}` is another post's key; give each a key of its own")
        seen.add(key)
    return kept


_POST_SCHEMA: Final = {
    **content.DOCUMENT.schema,
    "properties": {"key": _KEY.schema, **content.DOCUMENT.schema["properties"]},
}
_LIST: Final = checking.list_of(Rule(_post, _POST_SCHEMA), POSTS_MOST)
CONTENTS: Final = checking.shape({**workspaces.SHARED, "posts": Rule(_posts, _LIST.schema)})
TEMPLATE: Final = checking.shape(
    {"name": checking.text(1, 255), "description": checking.text(0, 2_000), "contents": CONTENTS}, ["name"]
)
"""A template as it is sent: its contents obey the very rules of workspaces and posts."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What somebody wants a template to say."""

    name: str
    description: str
    contents: Mapping[str, Any]

    def as_sent(self) -> dict[str, Any]:
        """The same in the names of the wire: what a merge patch applies to."""
        return {"name": self.name, "description": self.description, "contents": dict(self.contents)}

    @property
    def name_key(self) -> str:
        """By which two names are the same."""
        return " ".join(self.name.casefold().split())


@dataclass(frozen=True, slots=True)
class Template:
    """A template as its latest version says."""

    id: str
    version: int
    wording: Wording
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """What a template said at one time; never changed."""

    template_id: str
    number: int
    wording: Wording
    created_by: Mapping[str, Any]
    created_at: datetime

    @property
    def contents(self) -> Mapping[str, Any]:
        """Settings, brand, white label, tags and posts."""
        return self.wording.contents

    @property
    def posts(self) -> Sequence[Mapping[str, Any]]:
        """The posts that become drafts."""
        posts: Sequence[Mapping[str, Any]] = self.contents.get("posts", ())
        return posts


@dataclass(frozen=True, slots=True)
class Deployment:
    """A template in one workspace."""

    workspace_id: str
    template_id: str
    mode: Mode
    state: State
    version: int | None
    wanted: int | None
    posts: Mapping[str, str]
    """Which draft each of the template's posts has become, by its key."""
    kept: Sequence[str]
    error: Mapping[str, Any] | None
    asked_by: Mapping[str, Any]
    deployed_at: datetime | None


def read(sent: Any) -> Wording:
    """The template as it shall be kept, or a refusal that names every bad field."""
    findings = Findings()
    kept = TEMPLATE(sent, "", findings)
    findings.refuse_if_any()
    return Wording(kept["name"], kept.get("description", ""), kept.get("contents", {}))


def merged(wording: Wording, patch: Any) -> Wording:
    """The wording with a merge patch (RFC 7396) applied and checked."""
    return read(checking.merged(TEMPLATE.schema, wording.as_sent(), patch))


def is_governing(contents: Mapping[str, Any]) -> bool:
    """Whether these contents decide over approvals or money."""
    return any(map(workspaces.is_governed, contents.get("settings", {})))


def require_contents(caller: Caller, contents: Mapping[str, Any]) -> None:
    """Refuse who may not set all of this in a workspace."""
    caller.require("workspaces:write")
    if is_governing(contents):
        caller.require("workspaces:govern")
    if contents.get("posts"):
        caller.require("content:write")
        caller.require("workspaces:act")


def told_of(caller: Caller) -> dict[str, str]:
    """Who acts, for what is done later in their name."""
    return {"kind": caller.kind.value, "id": caller.actor_id, "name": caller.actor_name, "requestId": caller.request_id}


def found(template: Template | None) -> Template:
    """The template, if there is one."""
    if template is None:
        raise NotFound("template")
    return template
