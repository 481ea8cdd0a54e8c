"""Refusals: what the house says no to, in words a caller may read. A bug is not a refusal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.secrets import masked


class Kind(Enum):
    """The sorts of refusal; the web kit alone knows which HTTP status each one is."""

    BAD_REQUEST = "BAD_REQUEST"
    UNAUTHORIZED = "UNAUTHORIZED"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNPROCESSABLE = "UNPROCESSABLE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: where it is (a JSON Pointer, or `?name` in the query) and what is wrong with it."""

    pointer: str
    detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "pointer", masked(self.pointer))  # callers name fields, now and then by a key


class Refused(Exception):
    """The base of all refusals: a reason of the closed list and a public sentence with the way out."""

    def __init__(
        self,
        reason: str,
        sentence: str,
        *,
        errors: Sequence[FieldError] = (),
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self.kind = Kind(REASONS[reason].kind)
        self.sentence = sentence
        self.errors = tuple(errors)
        self.details = dict(details or {})
        self.headers = dict(headers or {})


class NotFound(Refused):
    """Nothing with this id is within the caller's reach; never says whether it exists elsewhere."""

    def __init__(self, noun: str) -> None:
        super().__init__(
            "resource.not_found", f"There is no {noun} with this id, or it is not within this key's reach."
        )


class BadFields(Refused):
    """The request is well-formed JSON, but fields in it are not acceptable; all of them are named at once."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        count = "One field is" if len(errors) == 1 else f"{len(errors)} fields are"
        super().__init__("request.invalid", f"{count} not acceptable; see `errors`.", errors=errors)


class BadField(BadFields):
    """The same for exactly one field."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__([FieldError(pointer, detail)])
