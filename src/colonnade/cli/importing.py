"""Workspaces from a table: new rows are made, those that are there are brought up to date, bad ones are named.

A row is known again by its `externalId`, else by its domain, else, without either, by its name.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from colonnade.cli.tables import Row
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Workspace

SOME_BAD: Final = 3
"""The exit code when all rows were read and some of them are bad."""

_BATCH: Final = 500
Mark = tuple[str, str]
"""By what a row is known: `externalId`, `primaryDomain` or `name`, and its value."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How rows are brought in: only tried, and whether what is there stays as it is."""

    dry: bool = False
    keep: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of the rows, in the words of the command's JSON answer."""

    created: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    unchanged: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def sort(self) -> None:
        """Each list in the order of the lines."""
        for told in (self.created, self.changed, self.unchanged, self.refused):
            told.sort(key=itemgetter("line"))


class _OnlyTrying(Exception):
    """Ends the transaction of a dry run, so that nothing of it stays."""


class Import:
    """One table on its way into an agency."""

    def __init__(self, database: Database, operator: Caller, manner: Manner, done: Callable[[int], None]) -> None:
        self._database = database
        self._operator = operator
        self._manner = manner
        self._done = done
        self._lines: dict[Mark, int] = {}
        self.outcome = Outcome()

    async def all(self, rows: Sequence[Row]) -> Outcome:
        """Bring in every row that fits, some at a time; what was done stays when a later row is bad.

        A dry run finds out the same in one transaction and keeps nothing. Repeated, also after it was killed, it goes
        on where it was.
        """
        for part in _cut(rows, max(len(rows), 1) if self._manner.dry else _BATCH):
            with suppress(_OnlyTrying):
                await self._together(part)
        self.outcome.sort()
        return self.outcome

    async def _together(self, rows: Sequence[Row]) -> None:
        async with self._database.transaction(self._operator.reach) as tx:
            for batch in _cut(rows, _BATCH):
                await self._batch(tx, batch)
            if self._manner.dry:
                raise _OnlyTrying

    async def _batch(self, tx: Tx, rows: Sequence[Row]) -> None:
        standing = await _standing(tx, self._operator, rows)
        while rows:
            rows = await self._those_that_go(tx, rows, standing)

    async def _those_that_go(self, tx: Tx, rows: Sequence[Row], standing: "_Standing") -> list[Row]:
        """New rows go in together; back come those known by the same as one of them, as that one may yet be bad."""
        fresh: list[Row] = []
        begun: set[Mark] = set()
        later: list[Row] = []
        for row in rows:
            marks = set(_marks(row))
            wrong = row.odd or self._repeated(row)
            fitting = standing.of(row)
            if wrong is not None:
                self._refuse(row, [("", wrong)])
            elif not begun.isdisjoint(marks):
                later.append(row)
                begun |= marks
            elif len(fitting) > 1:
                self._refuse(row, [("", "fits several workspaces that are there; name the one by its externalId")])
            elif fitting:
                await self._bring_up_to_date(tx, row, fitting[0])
            else:
                fresh.append(row)
                begun |= marks
        await self._make(tx, fresh)
        return later

    async def _make(self, tx: Tx, rows: Sequence[Row]) -> None:
        outcome = await workspaces.create_many(tx, self._operator, each=[row.fields for row in rows])
        for row, made in zip(rows, outcome, strict=True):
            if isinstance(made, Refused):
                self._refuse_as(row, made)
            else:
                self.outcome.created.append(_told(row, made))
                self._is_in(row)

    async def _bring_up_to_date(self, tx: Tx, row: Row, found: Workspace) -> None:
        try:
            after = found if self._manner.keep else await self._changed(tx, row, found)
        except Refused as refused:
            self._refuse_as(row, refused)
            return
        old, new = found.profile.as_sent(), after.profile.as_sent()
        columns = [name for name in new if new[name] != old[name]]
        if columns:
            self.outcome.changed.append({**_told(row, after), "columns": columns})
        else:
            self.outcome.unchanged.append(_told(row, after))
        self._is_in(row)

    async def _changed(self, tx: Tx, row: Row, found: Workspace) -> Workspace:
        if not workspaces.differs(found, row.fields):
            return found
        async with tx.savepoint():
            return await workspaces.update(tx, self._operator, found.id, patch=row.fields)

    def _is_in(self, row: Row) -> None:
        self._lines |= dict.fromkeys(_marks(row), row.line)
        self._done(1)

    def _repeated(self, row: Row) -> str | None:
        """Whether an earlier line of the table is known by the same: two rows for one workspace contradict."""
        same = next((mark for mark in _marks(row) if mark in self._lines), None)
        return None if same is None else f"has the same {same[0]} as line {self._lines[same]}"

    def _refuse_as(self, row: Row, refused: Refused) -> None:
        errors = [(bad.pointer.strip("/"), bad.detail) for bad in refused.errors]
        self._refuse(row, errors or [("", refused.sentence)])

    def _refuse(self, row: Row, errors: Sequence[tuple[str, str]]) -> None:
        told = [{"column": column, "detail": detail} for column, detail in errors]
        self.outcome.refused.append({"line": row.line, "name": row.name, "errors": told})
        self._done(1)


class _Standing:
    """The workspaces that are there already, by what the rows of a batch know them by."""

    def __init__(self, found: Sequence[Workspace]) -> None:
        self._by_external_id = {one.external_id: one for one in found if one.external_id}
        self._by_domain: dict[str, list[Workspace]] = {}
        self._by_name: dict[str, list[Workspace]] = {}
        for one in found:
            if one.is_active and one.primary_domain:
                self._by_domain.setdefault(one.primary_domain, []).append(one)
            elif one.is_active:
                self._by_name.setdefault(one.name, []).append(one)

    def of(self, row: Row) -> Sequence[Workspace]:
        """Those that this row may mean; more than one is a question."""
        marks = dict(_marks(row))
        external_id, domain = marks.get("externalId"), marks.get("primaryDomain")
        if external_id in self._by_external_id:
            return [self._by_external_id[external_id]]
        if domain is not None:
            there = self._by_domain.get(domain, [])
            return [one for one in there if external_id is None or one.external_id is None]
        return self._by_name.get(marks.get("name", ""), [])


def _cut(rows: Sequence[Row], most: int) -> Iterator[Sequence[Row]]:
    return (rows[begin : begin + most] for begin in range(0, len(rows), most))


async def _standing(tx: Tx, operator: Caller, rows: Sequence[Row]) -> _Standing:
    marks = [mark for row in rows if row.odd is None for mark in _marks(row)]
    by_sort = {sort: [value for one, value in marks if one == sort] for sort in ("externalId", "primaryDomain", "name")}
    found = await workspaces.matching(
        tx,
        operator,
        external_ids=by_sort["externalId"],
        domains=by_sort["primaryDomain"],
        names=by_sort["name"],
    )
    return _Standing(found)


def _marks(row: Row) -> Iterator[Mark]:
    """By what a row is known; its name only where it has nothing better."""
    external_id, domain = row.cells.get("externalId"), row.cells.get("primaryDomain")
    if external_id:
        yield "externalId", external_id
    if domain:
        with suppress(ValueError):  # what is wrong with it is told when the row is checked
            yield "primaryDomain", workspaces.normalized_domain(domain)
    if not external_id and not domain and row.cells.get("name"):
        yield "name", row.cells["name"]


def _told(row: Row, workspace: Workspace) -> dict[str, Any]:
    return {"line": row.line, "id": workspace.id, "name": workspace.name}
