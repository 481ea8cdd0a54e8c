"""Templates field by field: what becomes of each where a version meets a workspace. Three-way and pure.

A field is a part that is set as a whole: one gate of the approval policy, one item of the brand, one tag.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from colonnade.tenancy.workspaces import Workspace

Path = tuple[str, ...]
Outcome = Literal["applied", "kept", "same"]
Because = Literal["conflict", "locked"]
IsLocked = Callable[[str], bool]

_BY_PART: Final = ("approvalPolicy", "byok")
"""Settings whose parts are fields of their own."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a deployment: what the version wants, how it stood, and what becomes of it."""

    path: Path
    template: Any
    workspace: Any
    outcome: Outcome
    because: Because | None = None

    @property
    def name(self) -> str:
        """`settings.approvalPolicy.publish`."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Change:
    """A field that stands otherwise than the deployed version says."""

    path: Path
    template: Any
    workspace: Any

    @property
    def name(self) -> str:
        """`brand.voice`."""
        return ".".join(self.path)


def fields_of(contents: Mapping[str, Any]) -> dict[Path, Any]:
    """The fields of a version's contents, or of a workspace's own values; posts are none."""
    found: dict[Path, Any] = {}
    for name, value in contents.get("settings", {}).items():
        if name in _BY_PART:
            found.update({("settings", name, part): word for part, word in value.items()})
        else:
            found["settings", name] = value
    for group in ("brand", "whiteLabel"):
        found.update({(group, name): value for name, value in contents.get(group, {}).items()})
    found.update({("tags", tag): True for tag in contents.get("tags", ())})
    return found


def own_fields(workspace: Workspace) -> dict[Path, Any]:
    """What a workspace has set for itself."""
    return fields_of(workspace.profile.as_sent())


def plan(
    base: Mapping[Path, Any], theirs: Mapping[Path, Any], new: Mapping[Path, Any], *, overwrite: bool, locked: IsLocked
) -> list[Field]:
    """What becomes of every field: `base` was deployed before, `theirs` stands there now, `new` shall be deployed.

    Whoever changed a field by hand keeps it, unless `overwrite`. What a version no longer names is taken back where it
    still stands as it was deployed.
    """
    fields = [_field(path, base.get(path), theirs.get(path), wanted, overwrite) for path, wanted in new.items()]
    for path, was in base.items():
        if path not in new and theirs.get(path) == was:
            fields.append(Field(path, None, was, "applied"))
    return [_unless_locked(field, locked) for field in fields]


def _field(path: Path, was: Any, stands: Any, wanted: Any, overwrite: bool) -> Field:
    if stands == wanted:
        return Field(path, wanted, stands, "same")
    # What nobody has set stands as it was; what somebody took away does not.
    if overwrite or stands == was:
        return Field(path, wanted, stands, "applied")
    return Field(path, wanted, stands, "kept", "conflict")


def _unless_locked(field: Field, locked: IsLocked) -> Field:
    is_set = field.outcome == "applied" and field.template is not None
    if is_set and field.path[0] == "settings" and locked(".".join(field.path[1:])):
        return Field(field.path, field.template, field.workspace, "kept", "locked")
    return field


def patch_of(fields: Sequence[Field], tags: Sequence[str]) -> dict[str, Any]:
    """The merge patch (RFC 7396) that makes the applied fields so; `tags` are those that stand there."""
    patch: dict[str, Any] = {}
    labels = dict.fromkeys(tags)
    for field in fields:
        if field.outcome != "applied":
            continue
        if field.path[0] == "tags":
            if field.template is None:
                del labels[field.path[1]]
            else:
                labels[field.path[1]] = None
            patch["tags"] = list(labels)
        else:
            _put(patch, field.path, field.template)
    return patch


def _put(patch: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        patch = patch.setdefault(name, {})
    patch[path[-1]] = value


def changes(deployed: Mapping[Path, Any], theirs: Mapping[Path, Any]) -> list[Change]:
    """The fields that no longer stand as they were deployed."""
    return [Change(path, wanted, theirs.get(path)) for path, wanted in deployed.items() if theirs.get(path) != wanted]
