"""Rows on their way into a statement that takes them as columns: `unnest(@1::id[], @2::number[], @@3::text[])`.

A value in an array costs more on its way than in the table. So ids (names of ours, without a comma) and whole numbers
go as one text, and of a column with `@@` what is the same in all rows goes once.
"""

import functools
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

_COLUMN: Final = re.compile(r"(@@?)(\d+)::(\w+)\[\]")
_JOINED: Final = {"id": "", "number": "::bigint[]"}
_PLAIN: Final = frozenset({str, int, bool, date, datetime, bytes, type(None)})
"""Types of values that are stored alike when they are equal."""


@functools.cache
def _columns(text: str) -> tuple[tuple[bool, str], ...]:
    """Of each column whether it may go once, and its kind."""
    return tuple((sign == "@@", kind) for sign, _, kind in _COLUMN.findall(text))


def width(text: str) -> int:
    """How many parameters the columns of this text take; one more tells the number of rows, where it is needed."""
    found = _columns(text)
    return len(found) + any(once for once, _ in found)


def numbered(text: str, first: int) -> str:
    """The text with parameters in the places of its columns, from this number on."""
    rows = f"${first + len(_columns(text))}::integer"

    def parameter(found: re.Match[str]) -> str:
        sign, kind = found[1], found[3]
        place = f"${first + int(found[2]) - 1}"
        if kind in _JOINED:
            return f"string_to_array({place}::text, ',', ''){_JOINED[kind]}"
        array = f"{place}::{kind}[]"
        if sign == "@":
            return array
        return f"case cardinality({array}) when 1 then array_fill(({array})[1], array[{rows}]) else {array} end"

    return _COLUMN.sub(parameter, text)


def sent(text: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """What the columns of this text are given for these rows, of which there must be some."""
    found = _columns(text)
    values = [
        _sent(column, kind, once=once) for (once, kind), column in zip(found, zip(*rows, strict=True), strict=True)
    ]
    return [*values, len(rows)] if any(once for once, _ in found) else values


def _sent(column: tuple[Any, ...], kind: str, *, once: bool) -> Any:
    if kind in _JOINED:
        return ",".join(["" if value is None else str(value) for value in column])
    return [column[0]] if once and _is_same(column) else list(column)


def _is_same(column: tuple[Any, ...]) -> bool:
    """Whether all of it is stored as the first is; `1` and `1.0` are equal, and stored as two."""
    first = column[0]
    if column.count(first) != len(column):
        return False
    return not first if isinstance(first, dict) else {*map(type, column)} == {type(first)} <= _PLAIN
