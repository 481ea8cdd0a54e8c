"""Workspaces from a table: rows that fit are made, those that are there already are skipped, bad ones are named."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from colonnade.cli.console import fail
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Filters, Paging

COLUMNS: Final = ("name", "primaryDomain", "industry", "timezone", "tags", "externalId", "slug")
"""The columns that a table may have; only `name` must be there. Tags are parted by semicolons."""

_BATCH: Final = 50
_THERE_ALREADY: Final = {
    "workspace.duplicate_domain": "its domain is there already",
    "workspace.external_id_taken": "its external id is there already",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the line of the file on which it begins, and its cells."""

    line: int
    cells: dict[str, str]
    odd: str | None = None
    """What is wrong with its shape."""

    @property
    def name(self) -> str:
        """What the row is called in sentences about it: on one line."""
        return " ".join(self.cells.get("name", "").split())

    @property
    def fields(self) -> dict[str, Any]:
        """As a workspace is sent; empty cells are left out."""
        sent: dict[str, Any] = {name: text for name, text in self.cells.items() if text}
        if "tags" in sent:
            sent["tags"] = [tag for part in sent["tags"].split(";") if (tag := part.strip())]
        return sent


@dataclass(slots=True)
class Outcome:
    """What became of the rows, in the words of the command's JSON answer."""

    created: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


class _OnlyTrying(Exception):
    """Ends the transaction of a dry run, so that nothing of it stays."""


def read_rows(path: Path) -> list[Row]:
    """All rows of a CSV file; a file that is no table of workspaces ends the command."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_rows(file))
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}.")
    except (UnicodeDecodeError, csv.Error) as error:
        fail(f"{path} is not CSV text in UTF-8: {error}.")


def _rows(file: Any) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    header = [name.strip() for name in next(reader, [])]
    unknown = [name for name in header if name not in COLUMNS]
    if "name" not in header or unknown or len(set(header)) < len(header):
        found = ", ".join(header) or "nothing"
        fail(f"The first line must name the columns: `name` and any of {', '.join(COLUMNS[1:])}; it has {found}.")
    line = reader.line_num + 1
    for cells in reader:
        odd = None if len(cells) == len(header) else f"has {len(cells)} cells instead of {len(header)}"
        if cells:
            yield Row(line, dict(zip(header, (cell.strip() for cell in cells), strict=False)), odd)
        line = reader.line_num + 1


async def import_rows(
    database: Database, operator: Caller, rows: Sequence[Row], *, dry: bool, done: Callable[[int], None]
) -> Outcome:
    """Make a workspace of every row that fits, some at a time; what was made stays when a later row is bad.

    A dry run finds out the same and keeps nothing. Repeated, it skips what it made before.
    """
    outcome = Outcome()
    waiting = iter(rows)
    while batch := list(islice(waiting, len(rows) if dry else _BATCH)):
        try:
            async with database.transaction(operator.reach) as tx:
                await _import_all(tx, operator, batch, outcome, done)
                _end_if(dry)
        except _OnlyTrying:
            break
    return outcome


def _end_if(dry: bool) -> None:
    if dry:
        raise _OnlyTrying


async def _import_all(
    tx: Tx, operator: Caller, rows: Sequence[Row], outcome: Outcome, done: Callable[[int], None]
) -> None:
    for row in rows:
        await _import(tx, operator, row, outcome)
        done(1)


async def _import(tx: Tx, operator: Caller, row: Row, outcome: Outcome) -> None:
    if row.odd is not None:
        outcome.refused.append(_refused(row, [("", row.odd)]))
        return
    twin = await _namesake(tx, operator, row)
    if twin is not None:
        outcome.skipped.append(_skipped(row, "a workspace of this name without a domain is there already", twin))
        return
    try:
        async with tx.savepoint():
            made = await workspaces.create(tx, operator, fields=row.fields)
    except Refused as refused:
        if refused.reason in _THERE_ALREADY:
            there = refused.details.get("workspaceId")
            outcome.skipped.append(_skipped(row, _THERE_ALREADY[refused.reason], there))
        else:
            errors = [(bad.pointer.strip("/"), bad.detail) for bad in refused.errors]
            outcome.refused.append(_refused(row, errors or [("", refused.sentence)]))
        return
    outcome.created.append({"line": row.line, "id": made.id, "name": made.name})


async def _namesake(tx: Tx, operator: Caller, row: Row) -> str | None:
    """The workspace that this row made before: without a domain or an own id only the name can tell."""
    name = row.cells.get("name", "")
    if not name or row.cells.get("primaryDomain") or row.cells.get("externalId"):
        return None
    position = None
    while True:
        found = await workspaces.page(
            tx, operator, Filters(active=True, q=name), Paging(sort="name", limit=100, after=position)
        )
        for one in found.items:
            if one.name == name and one.primary_domain is None:
                return one.id
        position = found.next
        if position is None:
            return None


def _skipped(row: Row, why: str, workspace_id: str | None) -> dict[str, Any]:
    return {"line": row.line, "name": row.name, "because": why, "workspaceId": workspace_id}


def _refused(row: Row, errors: Sequence[tuple[str, str]]) -> dict[str, Any]:
    told = [{"column": column, "detail": detail} for column, detail in errors]
    return {"line": row.line, "name": row.name, "errors": told}
