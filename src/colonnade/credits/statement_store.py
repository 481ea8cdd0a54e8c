"""How statements are kept, and which month of an agency comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from colonnade.credits.ledger_seals import Statement, Totals, Unfunded
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import first_id
from colonnade.ground.db.database import Record, Tx

_TOTALS: Final = ("opening", "charged", "refunded", "unfunded_events", "unfunded_cost")
_HEAD: Final = (
    *("agency_id", "workspace_id", "id", "month", "zone", "starts_at", "ends_at", "from_version", "to_version"),
    *("unfunded_digest", "previous_hash", "head_hash", "made_at", "mac", "key_id"),
)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The month whose statements are made next, and from when on it counts."""

    month: date
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """What a month of a workspace holds: its entries up to a version, if there are any, behind those told before."""

    workspace_id: str
    stated: int
    closing: MilliCredits
    to_version: int | None
    sealed: int

    @property
    def is_sealed(self) -> bool:
        """Whether all of them have their seal."""
        return self.to_version is None or self.to_version <= self.sealed


def _statement(row: Record) -> Statement:
    totals = Totals(**{name: row[name] for name in _TOTALS})
    head: dict[str, Any] = {name: row[name] for name in _HEAD}
    return Statement(**head, totals=totals)


PAGE: Final = """
select * from statement where agency_id = $1 and workspace_id = $2 and ($3::date is null or month < $3)
order by month desc limit $4
"""


async def page(tx: Tx, workspace_id: str, before: date | None, most: int) -> list[Statement]:
    """Statements of the workspace before that month, the newest first."""
    return [_statement(row) for row in await tx.fetch(PAGE, tx.agency_id, workspace_id, before, most)]


FIND: Final = "select * from statement where agency_id = $1 and workspace_id = $2 and month = $3"


async def find(tx: Tx, workspace_id: str, month: date) -> Statement | None:
    """The statement of that month."""
    row = await tx.fetchrow(FIND, tx.agency_id, workspace_id, month)
    return None if row is None else _statement(row)


ADD: Final = """
insert into statement (agency_id, workspace_id, id, month, zone, starts_at, ends_at, from_version, to_version, opening,
                       charged, refunded, unfunded_events, unfunded_cost, unfunded_digest, previous_hash, head_hash,
                       made_at, mac, key_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
on conflict on constraint statement_once do nothing
"""


async def add(tx: Tx, one: Statement) -> bool:
    """Keep it; whether nobody had made it before."""
    totals = one.totals
    values = (
        *(one.workspace_id, one.id, one.month, one.zone, one.starts_at, one.ends_at, one.from_version, one.to_version),
        *(totals.opening, totals.charged, totals.refunded, totals.unfunded_events, totals.unfunded_cost),
        *(one.unfunded_digest, one.previous_hash, one.head_hash, one.made_at, one.mac, one.key_id),
    )
    return await tx.execute(ADD, tx.agency_id, *values) == 1


CALENDAR: Final = "select month, starts_at from statement_calendar where agency_id = $1 for update"
SET_CALENDAR: Final = """
insert into statement_calendar (agency_id, month, starts_at, due_at) values ($1, $2, $3, $4)
on conflict (agency_id) do update set month = excluded.month, starts_at = excluded.starts_at, due_at = excluded.due_at
where statement_calendar.month <= excluded.month
"""


async def calendar(tx: Tx) -> Calendar | None:
    """The agency's next month, locked; none before its first."""
    row = await tx.fetchrow(CALENDAR, tx.agency_id)
    return None if row is None else Calendar(**dict(row))


async def set_calendar(tx: Tx, calendar: Calendar, due_at: datetime) -> None:
    """Let this month be the next one, unless another has gone further, and look at it when it is due."""
    await tx.execute(SET_CALENDAR, tx.agency_id, calendar.month, calendar.starts_at, due_at)


# Entries are told by their versions, up to the first one of the month that follows: none twice, and none left out.
SPANS: Final = """
with stated as (
    select workspace_id, coalesce(max(to_version), 0) as version,
           (array_agg(opening + charged - refunded order by month desc))[1] as closing, max(month) as month
    from statement where agency_id = $1 group by workspace_id
), wanted as (
    select a.workspace_id, a.version, false as unpaid from credit_account a where a.agency_id = $1 and a.kind = 'used'
    union all
    select u.workspace_id, 0, true from usage_event u
    where u.agency_id = $1 and not u.is_funded and u.id >= $4 and u.id < $5
    group by u.workspace_id
), account as (
    select w.workspace_id, 'used:' || w.workspace_id as id, max(w.version) as version, bool_or(w.unpaid) as has_unpaid
    from wanted w group by w.workspace_id
)
select * from (
    select a.workspace_id, a.has_unpaid, coalesce(s.version, 0) as stated, coalesce(s.closing, 0)::bigint as closing,
           coalesce((select min(e.account_version) - 1 from ledger_entry e
                     where e.agency_id = $1 and e.account_id = a.id and e.account_version > coalesce(s.version, 0)
                       and e.at >= $3), a.version) as to_version,
           coalesce((select max(l.to_version) from ledger_seal l
                     where l.agency_id = $1 and l.account_id = a.id), 0) as sealed
    from account a left join stated s on s.workspace_id = a.workspace_id
    where s.month is null or s.month < $2
) as span
where to_version > stated or has_unpaid
order by workspace_id
"""


async def spans(tx: Tx, month: date, starts_at: datetime, ends_at: datetime) -> list[Span]:
    """The workspaces that a month is to be told of, and is not yet: those that used anything, paid or not."""
    told = (first_id("evt", starts_at), first_id("evt", ends_at))
    rows = await tx.fetch(SPANS, tx.agency_id, month, ends_at, *told)
    return [
        Span(
            row["workspace_id"],
            row["stated"],
            MilliCredits(row["closing"]),
            row["to_version"] if row["to_version"] > row["stated"] else None,
            row["sealed"],
        )
        for row in rows
    ]


UNFUNDED: Final = """
select id, source, external_id, feature, model, key_id, quantity, coalesce(would_cost, 0) as would_cost, at
from usage_event
where agency_id = $1 and workspace_id = $2 and not is_funded and id >= $3 and id < $4 and ($5::text is null or id > $5)
order by id limit $6
"""


async def unfunded(
    tx: Tx, workspace_id: str, span: tuple[datetime, datetime], after_id: str | None, most: int
) -> Sequence[Unfunded]:
    """What was reported in that time and nothing could pay for, behind the given one."""
    told = (first_id("evt", span[0]), first_id("evt", span[1]))
    rows = await tx.fetch(UNFUNDED, tx.agency_id, workspace_id, *told, after_id, most)
    return [Unfunded(**dict(row)) for row in rows]


COUNT_UNFUNDED: Final = """
select count(*) from usage_event
where agency_id = $1 and workspace_id = $2 and not is_funded and id >= $3 and id < $4
"""


async def count_unfunded(tx: Tx, workspace_id: str, span: tuple[datetime, datetime]) -> int:
    """How many of them are kept."""
    told = (first_id("evt", span[0]), first_id("evt", span[1]))
    return int(await tx.fetchval(COUNT_UNFUNDED, tx.agency_id, workspace_id, *told))
