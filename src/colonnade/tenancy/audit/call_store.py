"""How calls are read back; they are written in batches, past any scope, by a function of the database."""

from typing import Any, Final

from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.audit.call_log import CallFilters, CallPlace, LoggedCall

_COLUMNS: Final = (
    "l.number, l.at, host(l.address) as address, l.key_id, l.member_id, l.workspace_id, l.method, l.route, l.path, "
    "l.status, l.duration_ms, l.request_id, l.code, l.reason"
)


async def after(tx: Tx, filters: CallFilters, behind: CallPlace | None, most: int) -> list[LoggedCall]:
    """At most so many calls from the newest on, or behind the given place."""
    conditions: list[str] = []
    values: list[Any] = []
    if filters.of_refused:
        conditions.append("and l.status >= 400")  # by its number, for it is an index's own condition
    for text, given in _wanted(tx, filters, behind):
        if given[0] is not None:
            places = [f"${len(values) + n}" for n in range(3, 3 + len(given))]
            conditions.append(f"and {text.format(*places)}")
            values += given
    sql = (
        f"select {_COLUMNS} from request_log l where l.agency_id = $1 {' '.join(conditions)} "
        "order by l.at desc, l.number desc limit $2"
    )
    return [_call(row) for row in await tx.fetch(sql, tx.agency_id, most, *values)]


def _wanted(tx: Tx, filters: CallFilters, behind: CallPlace | None) -> list[tuple[str, tuple[Any, ...]]]:
    low, high = filters.statuses or (None, None)
    within = None if tx.reach.workspace_ids is None else list(tx.reach.workspace_ids)
    return [
        ("l.workspace_id = any ({}::text[])", (within,)),
        ("l.at >= {}", (filters.since,)),
        ("l.at < {}", (filters.until,)),
        ("l.key_id = {}", (filters.key_id,)),
        ("l.member_id = {}", (filters.member_id,)),
        ("l.workspace_id = {}", (filters.workspace_id,)),
        ("l.address <<= {}::text::inet", (filters.network,)),
        ("l.method = {}", (filters.method,)),
        ("l.route = {}", (filters.route,)),
        ("l.status >= {}", (low,)),
        ("l.status < {}", (high,)),
        ("l.request_id = {}", (filters.request_id,)),
        ("l.reason = {}", (filters.reason,)),
        ("(l.at, l.number) < ({}, {})", behind or (None, None)),
    ]


def _call(row: Record) -> LoggedCall:
    return LoggedCall(**dict(row))
