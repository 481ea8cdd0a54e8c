"""Lists of workspaces: filters, order and place in one composed text of constants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.workspaces.model import Filters, Paging, Position, WorkspacePage
from colonnade.tenancy.workspaces.searching import FEW, MATCHES, NAMED, Found, found, spellings
from colonnade.tenancy.workspaces.store import COLUMNS, reach_of, workspace_of

_COUNTED: Final = NAMED
"""Up to here a list tells its exact total; beyond, only who asks for it pays for the count."""
# Tags that only a few have were followed before. What is a case is no figure to the planner, so it walks instead of
# reading and sorting everything; and for an array that it does not see it makes no plan of its own.
_TAGGED: Final = "case when w.tags @> {}::text[] then true end"
_AMONG: Final = "w.id = any (array(select unnest({}::text[])))"
_SORTED: Final = 4
"""Reading and sorting so many times as many rows as a page has is no dearer than walking to its end."""

_WHERE: Final = "where w.agency_id = $1 and ($2::text[] is null or w.id = any ($2::text[])) and w.purged_at is null"
_COUNTED_ROWS: Final = f"select from workspace w {_WHERE}"
_SHOWN: Final = ", ".join(f"w.{name}" for name in [*COLUMNS.split(", "), "sort_name"])
_ROWS: Final = f"select {_SHOWN} from workspace w {_WHERE}"
# Every workspace has its row of activity, so that this is a walk along that table's index.
_ROWS_BY_ACTIVITY: Final = f"""
select {_SHOWN}, a.last_active_at
from workspace_activity a join workspace w on w.agency_id = a.agency_id and w.id = a.workspace_id
{_WHERE} and a.agency_id = $1
"""
_ACTIVE: Final = "coalesce(a.last_active_at, '-infinity'::timestamptz)"
_KEYS: Final = {
    "name": ("w.sort_name", "w.id", "{}::text"),
    "createdAt": ("w.created_at", "w.id", "{}::timestamptz"),
    "lastActiveAt": (_ACTIVE, "a.workspace_id", "coalesce({}::timestamptz, '-infinity')"),
}
"""What each order goes by, what decides where that is equal, and how its value is written in a text."""


class _Conditions:
    """The texts that restrict a list, and the arguments that stand behind their numbers."""

    def __init__(self, *first: Any) -> None:
        self.arguments: list[Any] = list(first)
        self.text = ""

    def add(self, text: str, *values: Any) -> None:
        numbers = []
        for value in values:
            self.arguments.append(value)
            numbers.append(f"${len(self.arguments)}")
        self.text += f" and {text.format(*numbers)}"


async def page(tx: Tx, caller: Caller, filters: Filters, paging: Paging) -> WorkspacePage:
    """The workspaces in reach that pass the filters, a page of them in a stable order, and how many there are."""
    caller.require("workspaces:read")
    held = await found(tx, filters)
    total = await _total(tx, filters, held, exactly=paging.counts_all)
    # Where many pass, one of them comes soon in any order.
    is_short = held.ids is not None and len(held.ids) <= max(FEW, _SORTED * paging.limit)
    conditions = _restricted(tx, filters, held.ids if is_short else None)
    name = paging.sort.removeprefix("-")
    key, then, placeholder = _KEYS[name]
    descending = paging.sort.startswith("-")
    if paging.after is not None:
        value, last_id = _value(name, paging.after[0]), paging.after[1]
        comparison = "<" if descending else ">"
        conditions.add(f"({key}, {then}) {comparison} ({placeholder}, {{}}::text)", value, last_id)
    direction = "desc" if descending else "asc"
    rows_of = _ROWS_BY_ACTIVITY if name == "lastActiveAt" else _ROWS
    sql = f"{rows_of}{conditions.text} order by {key} {direction}, {then} {direction} limit {paging.limit + 1:d}"
    rows = await tx.fetch(sql, *conditions.arguments)
    return _page(rows, name, paging.limit, total)


def _restricted(tx: Tx, filters: Filters, among: Sequence[str] | None) -> _Conditions:
    conditions = _Conditions(*reach_of(tx))
    if filters.tags:
        conditions.add(_TAGGED, list(filters.tags))
    if filters.active is not None:
        conditions.add("(w.archived_at is null) = {}::boolean", filters.active)
    for ids in (filters.ids, among):
        if ids is not None:
            conditions.add(_AMONG, list(ids))
    if filters.text is not None:
        conditions.add(MATCHES, *spellings(filters.text))
    return conditions


async def _total(tx: Tx, filters: Filters, held: Found, *, exactly: bool) -> int | None:
    if held.are_all and held.ids is not None:
        return len(held.ids)
    if held.are_all and not exactly:
        return None
    conditions = _restricted(tx, filters, held.ids)
    some = "" if exactly else f"limit {_COUNTED + 1}"
    sql = f"select count(*) from ({_COUNTED_ROWS}{conditions.text} {some}) as found"
    total: int = await tx.fetchval(sql, *conditions.arguments)
    return total if exactly or total <= _COUNTED else None


def _value(name: str, text: str | None) -> str | datetime | None:
    return text if name == "name" or text is None else datetime.fromisoformat(text)


def _page(rows: Sequence[Record], name: str, limit: int, total: int | None) -> WorkspacePage:
    shown = rows[:limit]
    items = tuple(workspace_of(row) for row in shown)
    is_last = len(rows) <= limit
    return WorkspacePage(items, None if is_last else _position(shown[-1], name), total)


def _position(row: Record, name: str) -> Position:
    if name == "name":
        return row["sort_name"], row["id"]
    instant: datetime | None = row["created_at"] if name == "createdAt" else row["last_active_at"]
    return None if instant is None else instant.isoformat(), row["id"]
