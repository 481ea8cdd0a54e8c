"""How reports of usage are written: one JSON text, or CSV and lines of JSON of any length."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, repeat
from typing import Any, Final

from colonnade.credits import report_store
from colonnade.credits.usage_model import GroupBy, UsageQuestion, UsageReport, UsageRow
from colonnade.ground.core.amounts import PLACES, to_text
from colonnade.ground.core.csv_text import Cell, csv_text
from colonnade.ground.db.database import Tx
from colonnade.ground.web.exports import Format
from colonnade.tenancy import workspaces

_NAMES: Final = {GroupBy.WORKSPACE: "workspaceId", GroupBy.KEY: "keyId"}
_MOST_NAMES: Final = 10_000
"""How many workspaces' names are remembered while a file is written."""


def wire_name(group: GroupBy) -> str:
    """What the group is called in answers."""
    return _NAMES.get(group, group.value)


def _told(group: GroupBy) -> Callable[[Any], str]:
    """How a value of the group is said; nothing is empty."""
    return _TOLD.get(group, str)


def _hour(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H}:00:00.000Z"


def _month(day: date) -> str:
    return day.isoformat()[:7]


_TOLD: Final[Mapping[GroupBy, Callable[[Any], str]]] = {
    GroupBy.HOUR: _hour,
    GroupBy.DAY: date.isoformat,
    GroupBy.MONTH: _month,
}


class _Fragments(dict[Any, str]):
    """The pieces that values become, each made once: a report names the same things again and again."""

    def __init__(self, made: Callable[[Any], str]) -> None:
        super().__init__()
        self._made = made

    def __missing__(self, value: Any) -> str:
        piece = self[value] = self._made(value)
        return piece


def _member(group: GroupBy) -> _Fragments:
    name, told = wire_name(group), _told(group)
    return _Fragments(lambda value: f'"{name}":{json.dumps(told(value) or None, ensure_ascii=False)},')


def _count(between: str) -> _Fragments:
    return _Fragments(lambda events: f',"events":{events}}}{between}')


def _objects(group_by: Sequence[GroupBy], rows: Sequence[UsageRow], between: str) -> str:
    """One JSON object for each row, with this behind it.

    Column by column, of pieces that are joined once: a call for each of a hundred thousand values would be felt.
    """
    if not rows:
        return ""
    *groups, credits, events = zip(*rows, strict=True)
    members = [map(_member(one).__getitem__, values) for one, values in zip(group_by, groups, strict=True)]
    amounts = [
        f'"credits":{one // 1000}{PLACES[one % 1000]}' if one >= 0 else f'"credits":{to_text(one)}' for one in credits
    ]
    counts = map(_count(between).__getitem__, events)
    return "".join(chain.from_iterable(zip(repeat("{"), *members, amounts, counts)))


def as_json(report: UsageReport) -> bytes:
    """The report as one text: rows and totals."""
    rows = _objects(report.group_by, report.rows, ",").removesuffix(",")
    totals = f'{{"credits":{to_text(report.credits)},"events":{report.events}}}'
    return f'{{"data":[{rows}],"totals":{totals}}}'.encode()


class _Names:
    """What workspaces are called, asked for when they come up."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    async def of(self, tx: Tx, ids: Sequence[str]) -> list[str]:
        """The names of these; one that is not there any more has none."""
        strange = {one for one in ids if one not in self._known}
        if strange:
            if len(self._known) > _MOST_NAMES:
                self._known.clear()
                strange = set(ids)
            self._known |= dict.fromkeys(strange, "")
            self._known |= {one.id: one.name for one in await workspaces.known(tx, sorted(strange))}
        return [self._known[one] for one in ids]


def _cells(group_by: Sequence[GroupBy], row: UsageRow) -> list[Cell]:
    *groups, credits, events = row
    told = [_told(group)(value) for group, value in zip(group_by, groups, strict=True)]
    return [*told, Decimal(credits) / 1000, events]


async def _csv(tx: Tx, question: UsageQuestion) -> AsyncIterator[bytes]:
    """The rows as they are; where they are told by workspace, its name stands last, for people who read invoices."""
    group_by = question.group_by
    place = group_by.index(GroupBy.WORKSPACE) if GroupBy.WORKSPACE in group_by else None
    head = [*map(wire_name, group_by), "credits", "events"]
    yield csv_text([head if place is None else [*head, "workspaceName"]]).encode()
    names = _Names()
    async for rows in report_store.all_sums(tx, question):
        cells = [_cells(group_by, row) for row in rows]
        if place is not None:
            told = await names.of(tx, [row[place] for row in rows])
            cells = [[*row, name] for row, name in zip(cells, told, strict=True)]
        yield csv_text(cells).encode()


async def _ndjson(tx: Tx, question: UsageQuestion) -> AsyncIterator[bytes]:
    async for rows in report_store.all_sums(tx, question):
        yield _objects(question.group_by, rows, "\n").encode()


def writing(question: UsageQuestion, wanted: Format) -> Callable[[Tx], AsyncIterator[bytes]]:
    """All rows of the question as a file of this format, in parts."""
    written = _csv if wanted == "csv" else _ndjson
    return lambda tx: written(tx, question)
