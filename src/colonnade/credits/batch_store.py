"""How everything that one transaction has decided about credits is written: one statement, made of the parts it needs.

Each part takes columns, sent as `ground.db.columns` tells: `@1`, `@2` … are its own, `$1` is the agency and `$2` the
instant of all of it.
"""

import functools
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from colonnade.credits.books import Entry, Transfer
from colonnade.credits.counting import Count
from colonnade.credits.lots import Draw
from colonnade.credits.model import Grant, Hold, UsageEvent
from colonnade.ground.db import columns
from colonnade.ground.db.database import Tx

Rows = Sequence[Sequence[Any]]

TRANSFERS: Final = """
insert into credit_transfer (agency_id, id, kind, amount, from_account, to_account, rule, workspace_id, source,
    reference, feature, model, quantity, unit_price, run_id, grant_id, hold_id, charge_id, price_version, cycle, draws,
    actor_id, actor_name, key_id, request_id, address, at)
select $1, x.*, $2
from unnest(@1::id[], @2::id[], @3::number[], @4::id[], @5::id[], @@6::text[], @@7::text[], @@8::text[],
            @@9::text[], @@10::text[], @@11::text[], @@12::numeric[], @@13::bigint[], @@14::text[], @@15::text[],
            @@16::text[], @@17::text[], @@18::bigint[], @@19::date[], @@20::jsonb[], @@21::text[], @@22::text[],
            @@23::text[], @@24::text[], @@25::inet[]) as x
"""

ENTRIES: Final = """
insert into ledger_entry (agency_id, id, transfer_id, account_id, workspace_id, amount, balance_after,
                          account_version, at)
select $1, x.*, $2
from unnest(@1::id[], @2::id[], @3::id[], @4::id[], @5::number[], @6::number[], @7::number[]) as x
"""

BALANCES: Final = """
update credit_account a set balance = x.balance, version = x.version, updated_at = $2
from unnest(@1::text[], @2::bigint[], @3::bigint[]) as x (id, balance, version)
where a.agency_id = $1 and a.id = x.id
returning a.id, a.workspace_id
"""
# Every account that was entered upon waits for its seal; rows are only added, so nobody waits for the sealing.
UNSEALED: Final = """
insert into ledger_unsealed (agency_id, workspace_id, account_id)
select $1, b.workspace_id, b.id from balances b
"""

GRANTS: Final = """
insert into credit_grant (agency_id, workspace_id, id, pool_id, amount, remaining, expires_at, priority, note,
                          origin_id, created_at, updated_at)
select $1, x.workspace_id, x.id, 'pool' || coalesce(':' || x.workspace_id, ''), x.amount, x.amount, x.expires_at,
       x.priority, x.note, x.origin_id, $2, $2
from unnest(@1::text[], @2::text[], @3::bigint[], @4::timestamptz[], @5::integer[], @6::text[], @7::text[])
     as x (workspace_id, id, amount, expires_at, priority, note, origin_id)
"""

REMAINING: Final = """
update credit_grant g set remaining = x.remaining, updated_at = $2
from unnest(@1::text[], @2::bigint[]) as x (id, remaining)
where g.agency_id = $1 and g.id = x.id
"""

BACK: Final = """
update credit_grant g set remaining = g.remaining + x.amount, updated_at = $2
from unnest(@1::text[], @2::bigint[]) as x (id, amount)
where g.agency_id = $1 and g.id = x.id
"""

HOLDS: Final = """
insert into credit_hold (agency_id, id, workspace_id, pool_id, amount, borrowed, source, reference, feature, run_id,
    key_id, cycle, expires_at, parts, price_version, unit_price, quantity, model, created_at, updated_at)
select $1, x.*, $2, $2
from unnest(@1::text[], @2::text[], @3::text[], @4::bigint[], @5::bigint[], @6::text[], @7::text[], @8::text[],
            @9::text[], @10::text[], @11::date[], @12::timestamptz[], @13::jsonb[], @14::bigint[], @15::bigint[],
            @16::numeric[], @17::text[]) as x
"""

HOLD_LOTS: Final = """
insert into credit_hold_lot (agency_id, workspace_id, hold_id, grant_id, position, amount)
select $1, x.* from unnest(@1::text[], @2::text[], @3::text[], @4::integer[], @5::bigint[]) as x
"""

HOLD_CHANGES: Final = """
update credit_hold h set captured = x.captured, released = x.released, state = x.state, updated_at = $2,
       settled_at = case when x.state <> 'open' then $2 end
from unnest(@1::text[], @2::text[], @3::bigint[], @4::bigint[], @5::text[])
     as x (workspace_id, id, captured, released, state)
where h.agency_id = $1 and h.workspace_id = x.workspace_id and h.id = x.id and h.state = 'open'
"""

# Everybody who counts takes the rows in the order of their names, so nobody waits in a circle. Run ends count without
# the agency's lock, so what is there is changed by an amount; only admissions, which hold that lock, add rows.
COUNTED: Final = """
select x.* from unnest(@1::text[], @2::date[], @3::text[], @4::bigint[], @5::bigint[])
     as x (workspace_id, cycle, subject, taken, used)
"""
COUNTED_LOCKED: Final = """
select k.cycle, k.subject from credit_tally k join counted x on k.cycle = x.cycle and k.subject = x.subject
where k.agency_id = $1
order by k.cycle, k.subject
for update of k
"""
COUNTED_CHANGED: Final = """
update credit_tally k set taken = k.taken + x.taken, used = k.used + x.used
from counted x join counted_locked l on l.cycle = x.cycle and l.subject = x.subject
where k.agency_id = $1 and k.cycle = x.cycle and k.subject = x.subject
returning k.cycle, k.subject, k.taken, k.used
"""
COUNTED_ADDED: Final = """
insert into credit_tally (agency_id, workspace_id, cycle, subject, taken, used)
select $1, x.workspace_id, x.cycle, x.subject, x.taken, x.used from counted x
where not exists (select from counted_locked l where l.cycle = x.cycle and l.subject = x.subject)
order by x.cycle, x.subject
"""

EVENTS: Final = """
insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, model, run_id, hold_id, transfer_id, cycle,
                         credits, quantity, is_funded, source, external_id, would_cost, metadata)
select $1, x.*
from unnest(@@1::text[], @@2::timestamptz[], @3::id[], @@4::text[], @@5::text[], @@6::text[], @@7::text[], @@8::text[],
            @9::id[], @@10::date[], @@11::bigint[], @@12::numeric[], @@13::boolean[], @@14::text[], @@15::text[],
            @@16::bigint[], @@17::jsonb[]) as x
"""

# Behind the tallies, of which every one who counts takes the agency's: so days are nobody's circle either.
DAYS: Final = """
insert into usage_daily as d (agency_id, day, workspace_id, feature, key_id, model, credits, events)
select $1, x.* from unnest(@1::date[], @2::text[], @3::text[], @4::text[], @5::text[], @6::bigint[], @7::bigint[])
     as x (day, workspace_id, feature, key_id, model, credits, events)
@behind
order by x.day, x.workspace_id, x.feature, x.key_id, x.model
on conflict (agency_id, day, workspace_id, feature, key_id, model) do update
set credits = d.credits + excluded.credits, events = d.events + excluded.events
"""
BEHIND: Final = "where (select count(*) from counted_locked) >= 0"

PARTS: Final[Mapping[str, str]] = {
    "transfers": TRANSFERS,
    "entries": ENTRIES,
    "balances": BALANCES,
    "unsealed": UNSEALED,
    "grants": GRANTS,
    "remaining": REMAINING,
    "back": BACK,
    "holds": HOLDS,
    "hold_lots": HOLD_LOTS,
    "hold_changes": HOLD_CHANGES,
    "counted": COUNTED,
    "counted_locked": COUNTED_LOCKED,
    "counted_changed": COUNTED_CHANGED,
    "counted_added": COUNTED_ADDED,
    "events": EVENTS,
    "days": DAYS,
}
_FOLLOWING: Final = {"balances": ("unsealed",), "counted": ("counted_locked", "counted_changed", "counted_added")}
"""Parts that are made of the rows of another."""


async def write(tx: Tx, at: datetime, rows: Mapping[str, Rows]) -> list[tuple[Any, str, int, int]]:
    """Write the rows of each part; how the tallies that were there before stand now: cycle, subject, taken, used."""
    named = tuple(name for name in PARTS if rows.get(name))
    if not named:
        return []
    values = [value for name in named for value in columns.sent(PARTS[name], rows[name])]
    found = await tx.fetch(_statement(named), tx.agency_id, at, *values)
    return [(row["cycle"], row["subject"], row["taken"], row["used"]) for row in found if row["subject"] is not None]


@functools.cache
def _statement(named: tuple[str, ...]) -> str:
    """The statement of these parts, each with its own numbers for its columns."""
    texts: list[tuple[str, str]] = []
    is_counted, first = "counted" in named, 3
    for name in named:
        text = PARTS[name].replace("@behind", BEHIND if is_counted else "")
        texts.append((name, columns.numbered(text, first)))
        texts += [(other, PARTS[other]) for other in _FOLLOWING.get(name, ())]
        first += columns.width(PARTS[name])
    parts = ", ".join(f"{name} as ({text})" for name, text in texts)
    told = "c.* from _ left join counted_changed c on true" if is_counted else "null as subject from _"
    return f"with _ as (select $1::text as mine, $2::timestamptz as at), {parts} select {told}"


def transfer(one: Transfer) -> tuple[Any, ...]:
    """The row of a movement."""
    m, by = one.movement, one.by
    # An object, for a list in an array of values would be taken for another dimension of it.
    draws = {"lots": [[draw.grant_id, draw.amount] for draw in m.draws]} if m.draws else None
    return (
        *(one.id, m.kind.value, m.amount, m.from_account, m.to_account, m.rule, m.workspace_id, m.source, m.reference),
        *(m.feature, m.model, m.quantity, m.unit_price, m.run_id, m.grant_id, m.hold_id, m.charge_id, m.price_version),
        *(m.cycle, draws, by.actor_id, by.actor_name, by.key_id, by.request_id, by.address),
    )


def entry(name: str, one: Entry) -> tuple[Any, ...]:
    """The row of one side of a movement, under its id."""
    changed = (one.account_id, one.workspace_id, one.amount, one.balance_after, one.account_version)
    return (name, one.transfer_id, *changed)


def grant(one: Grant, origin_id: str | None) -> tuple[Any, ...]:
    """The row of a fresh grant, with the grant of another pool that it was taken from, if there is one."""
    return (one.workspace_id, one.id, one.amount, one.expires_at, one.priority, one.note, origin_id)


def hold(one: Hold) -> tuple[Any, ...]:
    """The row of a fresh hold."""
    parts = None if one.parts is None else dict(one.parts)
    return (
        *(one.id, one.workspace_id, one.pool_id, one.amount, one.borrowed, one.source, one.reference, one.feature),
        *(one.run_id, one.key_id, one.cycle, one.expires_at, parts, one.price_version, one.unit_price, one.quantity),
        one.model,
    )


def lots(one: Hold, draws: Sequence[Draw]) -> list[tuple[Any, ...]]:
    """The rows of what a fresh hold draws on."""
    return [(one.workspace_id, one.id, draw.grant_id, number, draw.amount) for number, draw in enumerate(draws)]


def hold_change(one: Hold) -> tuple[Any, ...]:
    """What changes of a hold that was open."""
    return (one.workspace_id, one.id, one.captured, one.released, one.state.value)


def count(one: Count) -> tuple[Any, ...]:
    """The row of a change of a tally."""
    return (one.workspace_id, one.cycle, one.subject, one.taken, one.used)


def event(one: UsageEvent) -> tuple[Any, ...]:
    """The row of a line of usage."""
    return (
        *(one.workspace_id, one.at, one.id, one.feature, one.key_id, one.model, one.run_id, one.hold_id),
        *(one.transfer_id, one.cycle, one.credits, one.quantity, one.is_funded, one.source, one.external_id),
        *(one.would_cost, one.metadata),
    )


def days(events: Sequence[UsageEvent], zone: ZoneInfo) -> list[tuple[Any, ...]]:
    """The rows of the days that the events count in, summed."""
    sums: dict[tuple[date, str, str, str, str], tuple[int, int]] = {}
    at: datetime | None = None
    for one in events:
        if one.at is not at:  # most of a batch bear one instant
            at, day = one.at, one.at.astimezone(zone).date()
        key = (day, one.workspace_id, one.feature, one.key_id or "", one.model or "")
        credits, number = sums.get(key, (0, 0))
        sums[key] = credits + one.credits, number + 1
    return [(*key, *sums[key]) for key in sorted(sums)]
