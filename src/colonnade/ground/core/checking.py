"""Checks of values from outside: each says what is wrong and where, and all bad fields are told at once."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from colonnade.ground.core.amounts import from_decimal, to_number
from colonnade.ground.core.merging import merge
from colonnade.ground.core.refusals import BadFields, FieldError


class Findings:
    """What was found wrong so far."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def add(self, pointer: str, detail: str) -> None:
        """Note one bad field; checking goes on, so that the caller learns of all of them."""
        self.errors.append(FieldError(pointer, detail))

    def refuse_if_any(self) -> None:
        """Refuse with all that was found."""
        if self.errors:
            raise BadFields(self.errors)


Check = Callable[[Any, str, Findings], Any]
"""Takes a value, its JSON Pointer and the findings; answers the value as it shall be kept."""

Schema = Mapping[str, Any]
"""JSON Schema of what a check takes, for the documentation of bodies."""

_TOO_DEEP: Final = 12


class Rule:
    """A check that also tells what it takes."""

    __slots__ = ("_check", "schema")

    def __init__(self, check: Check, schema: Schema) -> None:
        self._check = check
        self.schema = schema

    def __call__(self, value: Any, pointer: str, findings: Findings) -> Any:
        """Check one value."""
        return self._check(value, pointer, findings)


def schema_of(check: Check) -> Schema:
    """What the check takes; anything, if it does not tell."""
    return check.schema if isinstance(check, Rule) else {}


def patch_schema(schema: Schema) -> dict[str, Any]:
    """The same for a merge patch (RFC 7396): nothing is required, every field may be null."""
    if "properties" not in schema:
        return dict(schema)
    kept = {name: value for name, value in schema.items() if name != "required"}
    fields = {name: {"anyOf": [patch_schema(one), {"type": "null"}]} for name, one in schema["properties"].items()}
    return {**kept, "properties": fields}


def merged(schema: Schema, target: Any, patch: Any) -> Any:
    """The target with a merge patch (RFC 7396) applied; unknown names stay in it, also null ones, so that a check of
    this schema refuses them by name."""
    return _with_unknown(schema, merge(target, patch), patch)


def _with_unknown(schema: Schema, kept: Any, patch: Any) -> Any:
    known = schema.get("properties")
    if known is None or not isinstance(patch, dict):
        return kept
    unknown = {name: value for name, value in patch.items() if name not in known}
    inside = {
        name: _with_unknown(known[name], kept[name], patch[name])
        for name in patch
        if name in known and isinstance(kept.get(name), dict)
    }
    return {**kept, **inside, **unknown}


def escaped(name: str) -> str:
    """A member's name as a part of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t"


def text(least: int = 1, most: int = 255, *, pattern: str | None = None, says: str = "") -> Rule:
    """Text without control characters, trimmed, of this length; `says` tells what the pattern wants."""
    wanted = None if pattern is None else re.compile(pattern)

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if not isinstance(value, str):
            findings.add(pointer, "must be text")
            return None
        kept = value.strip()
        if not least <= len(kept) <= most:
            findings.add(pointer, f"must have {least} to {most} characters")
        elif any(map(_is_control, kept)):
            findings.add(pointer, "must not contain control characters")
        elif wanted is not None and wanted.fullmatch(kept) is None:
            findings.add(pointer, says)
        return kept

    schema: dict[str, Any] = {"type": "string", "minLength": least, "maxLength": most}
    return Rule(check, schema if pattern is None else {**schema, "pattern": f"^(?:{pattern})$"})


def one_of(*choices: str) -> Rule:
    """Exactly one of these words."""
    says = f"must be one of {', '.join(choices)}"

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if not isinstance(value, str) or value not in choices:
            findings.add(pointer, says)
        return value

    return Rule(check, {"type": "string", "enum": list(choices)})


def _boolean(value: Any, pointer: str, findings: Findings) -> Any:
    if not isinstance(value, bool):
        findings.add(pointer, "must be true or false")
    return value


boolean: Final = Rule(_boolean, {"type": "boolean"})
"""`true` or `false`."""


def integer(least: int, most: int) -> Rule:
    """A whole number within these bounds."""

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            findings.add(pointer, f"must be a whole number from {least} to {most}")
        return value

    return Rule(check, {"type": "integer", "minimum": least, "maximum": most})


def _credits_amount(value: Any, pointer: str, findings: Findings) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        findings.add(pointer, "must be a number of credits")
        return None
    try:
        amount = from_decimal(value)
    except ValueError as error:
        findings.add(pointer, str(error))
        return None
    if amount < 0:
        findings.add(pointer, "must not be negative")
    return to_number(amount)


credits_amount: Final = Rule(_credits_amount, {"type": "number", "minimum": 0, "multipleOf": 0.001})
"""An amount of credits, not negative, with at most three places; kept as the plain number."""


def list_of(item: Check, most: int, *, distinct: bool = False) -> Rule:
    """A list of at most so many; `distinct` drops repetitions and keeps the order."""

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if not isinstance(value, list):
            findings.add(pointer, "must be a list")
            return []
        if len(value) > most:
            findings.add(pointer, f"must have at most {most} items")
            return []
        kept = [item(entry, f"{pointer}/{n}", findings) for n, entry in enumerate(value)]
        return list(dict.fromkeys(kept)) if distinct and all(isinstance(entry, str) for entry in kept) else kept

    return Rule(check, {"type": "array", "maxItems": most, "items": schema_of(item)})


def shape(fields: Mapping[str, Check], required: Sequence[str] = ()) -> Rule:
    """An object with these fields and no others; a field that is null is left out."""
    known = ", ".join(fields)

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if not isinstance(value, dict):
            findings.add(pointer, "must be an object")
            return {}
        for name in value:
            if name not in fields:
                findings.add(f"{pointer}/{escaped(name)}", f"is not a known field; known are {known}")
        for name in required:
            if value.get(name) is None:
                findings.add(f"{pointer}/{name}", "is required")
        present = {name: value[name] for name in fields if value.get(name) is not None}
        return {name: fields[name](entry, f"{pointer}/{escaped(name)}", findings) for name, entry in present.items()}

    properties = {name: schema_of(one) for name, one in fields.items()}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return Rule(check, {**schema, "required": list(required)} if required else schema)


def mapping_of(item: Check, most: int, *, name: str, says: str) -> Rule:
    """An object whose names match this pattern, all values of one sort."""
    wanted = re.compile(name)

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if not isinstance(value, dict):
            findings.add(pointer, "must be an object")
            return {}
        if len(value) > most:
            findings.add(pointer, f"must have at most {most} fields")
            return {}
        for key in value:
            if wanted.fullmatch(key) is None:
                findings.add(f"{pointer}/{escaped(key)}", says)
        present = {key: entry for key, entry in value.items() if entry is not None}
        return {key: item(entry, f"{pointer}/{escaped(key)}", findings) for key, entry in present.items()}

    names = {"pattern": f"^(?:{name})$"}
    schema = {"type": "object", "maxProperties": most, "propertyNames": names, "additionalProperties": schema_of(item)}
    return Rule(check, schema)


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, items), default=0)


def _free_object(value: Any, pointer: str, findings: Findings) -> Any:
    if not isinstance(value, dict):
        findings.add(pointer, "must be an object")
        return {}
    if _depth(value) > _TOO_DEEP:
        findings.add(pointer, f"must not be nested deeper than {_TOO_DEEP} levels")
    return value


free_object: Final = Rule(_free_object, {"type": "object"})
"""Any JSON object of a sane depth; its size is bounded by the body's."""
