"""The body rule: JSON whatever the content type says, an empty body is `{}`, and nothing that no database takes."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from starlette.requests import Request

from colonnade.ground.core.refusals import BadFields, FieldError, Refused

DEEPEST: Final = 64
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LIST_FIELD: Final = "__colonnade_list_field__"
_MOST_BYTES: Final = "__colonnade_most_bytes__"

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def takes_list_as(name: str) -> Callable[[Endpoint], Endpoint]:
    """Declare that an endpoint reads a body that is a list as an object with the list in this field."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _LIST_FIELD, name)
        return endpoint

    return declare


def list_field_of(endpoint: Callable[..., Any]) -> str | None:
    """The field that a list is read as; none where a body has to be an object."""
    name: str | None = getattr(endpoint, _LIST_FIELD, None)
    return name


def takes_up_to(most_bytes: int) -> Callable[[Endpoint], Endpoint]:
    """Declare that the body of an endpoint may hold more bytes than usual."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _MOST_BYTES, most_bytes)
        return endpoint

    return declare


def most_bytes_of(endpoint: Callable[..., Any]) -> int | None:
    """How many bytes the body may hold; none where it is as many as usual."""
    most: int | None = getattr(endpoint, _MOST_BYTES, None)
    return most


def _malformed(sentence: str) -> Refused:
    return Refused("request.malformed", sentence)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _malformed("The body holds a number that is too large.")
    return value


def _constant(text: str) -> Any:
    raise _malformed(f"The body holds `{text}`, which JSON does not know.")


class _Doubled(dict[str, Any]):
    """An object in which a name stands twice: two readers of it might see two different requests."""

    names: Sequence[str] = ()


def parse(raw: bytes) -> Any:
    """The JSON value of a body, or a refusal that says why it is none."""
    if not raw.strip():
        return {}
    doubled: list[_Doubled] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        marked = _Doubled(value)
        marked.names = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        doubled.append(marked)
        return marked

    try:
        value = json.loads(
            raw.decode("utf-8"), parse_float=_float, parse_constant=_constant, object_pairs_hook=read_object
        )
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8: byte {error.start} cannot be read.") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except RecursionError as error:
        raise _malformed("The body is nested too deeply.") from error
    except ValueError as error:
        raise _malformed("The body holds a number with too many digits.") from error
    if doubled or b"\\u" in raw or raw.count(b"[") + raw.count(b"{") > DEEPEST:
        _refuse_unstorable(value)
    return value


def _refuse_unstorable(value: Any) -> None:
    """NUL characters, lone surrogates, names that stand twice and bottomless nesting: legal JSON that nothing keeps."""
    errors: list[FieldError] = []
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    while waiting:
        pointer, here, depth = waiting.pop()
        if depth > DEEPEST:
            raise _malformed(f"The body is nested deeper than {DEEPEST} levels.")
        if isinstance(here, str) and not _is_storable(here):
            errors.append(FieldError(pointer, "holds a NUL character or half of a surrogate pair"))
        elif isinstance(here, list):
            waiting += [(f"{pointer}/{index}", item, depth + 1) for index, item in enumerate(here)]
        elif isinstance(here, dict):
            waiting += [(f"{pointer}/{_readable(name)}", item, depth + 1) for name, item in here.items()]
            if isinstance(here, _Doubled):
                errors += [FieldError(f"{pointer}/{_readable(name)}", "stands twice") for name in here.names]
            if not all(_is_storable(name) for name in here):
                errors.append(FieldError(pointer, "has a name with a NUL character or half of a surrogate pair"))
    if errors:
        raise BadFields(errors)


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _readable(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace("\0", "?").replace("~", "~0").replace("/", "~1")


class JsonRequest(Request):
    """A request whose body is JSON whatever its content type says; parsed once, checked before anybody sees it."""

    _parsed: Any = None

    async def body(self) -> bytes:
        """The raw body; an empty one of a writing request reads as `{}`."""
        raw = await super().body()
        return b"{}" if not raw.strip() and self.method in _WRITES else raw

    async def json(self) -> Any:
        """The parsed body."""
        if self._parsed is None:
            self._parsed = parse(await self.body())
        return self._parsed

    async def read_list_as(self, name: str) -> None:
        """Where the body is a list, read it from now on as an object with the list in this field."""
        body = await self.json()
        if isinstance(body, list):
            self._parsed = {name: body}


def as_json(request: Request) -> JsonRequest:
    """The same request under the body rule; multipart bodies keep their own type."""
    headers = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
    scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
    return JsonRequest(scope, request.receive)


def is_multipart(request: Request) -> bool:
    """Whether the body is a form with files."""
    return request.headers.get("content-type", "").lower().startswith("multipart/")
