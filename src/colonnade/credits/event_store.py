"""How events that others tell of are kept, and how they are known again.

Thousands come at once, and what many of them share (the workspace, say) is sent once: a value in an array costs more on
its way than in the table.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeVar

from colonnade.credits.event_rules import Line
from colonnade.credits.store import columns
from colonnade.ground.db.database import Tx

# In the order of their keys, so that two batches with the same ids never wait for each other in a circle.
CLAIM: Final = """
with told as (
    select e.number, g.workspace_id, g.source, e.id
    from unnest($3::integer[], $4::text[]) with ordinality as e (place, id, number)
    join unnest($5::text[], $6::text[]) with ordinality as g (workspace_id, source, place) on g.place = e.place
), taken as (
    insert into usage_event_id (agency_id, workspace_id, source, id, at)
    select $1, workspace_id, source, id, $2 from told order by workspace_id, source, id
    on conflict do nothing
    returning workspace_id, source, id
)
select told.number from told left join taken using (workspace_id, source, id) where taken.id is null
"""


async def claim(tx: Tx, lines: Sequence[Line], at: datetime) -> None:
    """Take the identities of the events for this transaction, and mark those that were taken before.

    Waits for others who are about to take the same ones, and takes what they let go.
    """
    if not lines:
        return
    places, groups = _grouped([(line.told.workspace_id, line.told.source) for line in lines])
    ids = [line.told.id for line in lines]
    for row in await tx.fetch(CLAIM, tx.agency_id, at, places, ids, *columns(groups)):
        lines[row["number"] - 1].is_known = True


ADD: Final = """
with line as (
    select e.*, g.workspace_id, g.feature, g.model, g.source, g.transfer_id
    from unnest($5::integer[], $6::text[], $7::text[], $8::timestamptz[], $9::bigint[], $10::bigint[], $11::numeric[],
                $12::jsonb[]) as e (place, id, external_id, at, credits, would_cost, quantity, metadata)
    join unnest($13::text[], $14::text[], $15::text[], $16::text[], $17::text[])
         with ordinality as g (workspace_id, feature, model, source, transfer_id, place) on g.place = e.place
), kept as (
    insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, model, transfer_id, cycle, credits,
                             quantity, is_funded, source, external_id, would_cost, metadata)
    select $1, workspace_id, coalesce(at, $2), id, feature, $3, model, case when credits > 0 then transfer_id end, $4,
           credits, coalesce(quantity, 1), would_cost is null, source, external_id, would_cost, coalesce(metadata, '{}')
    from line
)
insert into usage_daily as d (agency_id, day, workspace_id, feature, key_id, model, credits, events)
select $1, x.day, x.workspace_id, x.feature, coalesce($3, ''), x.model, x.credits, x.events
from unnest($18::date[], $19::text[], $20::text[], $21::text[], $22::bigint[], $23::bigint[])
     as x (day, workspace_id, feature, model, credits, events)
order by x.day, x.workspace_id, x.feature, x.model
on conflict (agency_id, day, workspace_id, feature, key_id, model) do update
set credits = d.credits + excluded.credits, events = d.events + excluded.events
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What all events of a batch share, and the transfers that charged them, by workspace and feature."""

    at: datetime
    key_id: str | None
    cycle: date
    transfers: dict[tuple[str, str], str]


async def add(tx: Tx, kept: Kept, ids: Sequence[str], lines: Sequence[Line], days: Sequence[Sequence[Any]]) -> None:
    """Keep the events under these ids, and count them on their days."""
    places, groups = _grouped(
        [
            (told.workspace_id, told.feature, told.model, told.source, kept.transfers.get(told.share))
            for told in (line.told for line in lines)
        ]
    )
    own = (
        places,
        ids,
        [line.told.id for line in lines],
        _some([line.told.time for line in lines]),
        [line.cost if line.refused is None else 0 for line in lines],
        _some([None if line.refused is None else line.cost for line in lines]),
        _some([line.told.quantity for line in lines]),
        _some([line.told.metadata or None for line in lines]),
    )
    shared = (kept.at, kept.key_id, kept.cycle)
    await tx.execute(ADD, tx.agency_id, *shared, *own, *columns(groups), *columns(days))


Group = TypeVar("Group", bound=Hashable)


def _grouped(groups: Sequence[Group]) -> tuple[list[int], list[Group]]:
    """Each group once, and for each event the place of its own, counted from one."""
    known = {group: place for place, group in enumerate(dict.fromkeys(groups), 1)}
    return [known[group] for group in groups], list(known)


def _some(values: list[Any]) -> list[Any] | None:
    """The values, or none at all where each of them is none."""
    return values if any(value is not None for value in values) else None
