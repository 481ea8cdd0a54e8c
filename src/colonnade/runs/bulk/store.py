"""How bulk actions and their items are kept. The action's own row is the agency's: its texts run on a widened scope."""

from collections.abc import Sequence
from typing import Any, Final

from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Record, Tx
from colonnade.runs.bulk.model import BulkAction, Counts, Item, ItemState, Outcome, Wish

_COUNTS: Final = ("total", "pending", "running", "waiting", "succeeded", "failed", "cancelled", "skipped")
_COLUMNS: Final = (
    "id, action, selection, config, total, pending, running, waiting, succeeded, failed, cancelled, skipped, "
    "started_by, cancel_requested_at, ended_at, created_at, updated_at"
)
_ITEM: Final = "id, bulk_id, workspace_id, run_id, state, credits_used, error, result, created_at, updated_at"


def _action(row: Record) -> BulkAction:
    values = dict(row)
    counts = Counts(**{name: values.pop(name) for name in _COUNTS})
    return BulkAction(counts=counts, **values)


def _item(row: Record) -> Item:
    return Item(**{**dict(row), "credits_used": MilliCredits(row["credits_used"])})


ADD: Final = f"""
insert into bulk_action (agency_id, id, action, selection, config, started_by, request_id,
                         {", ".join(_COUNTS)}, ended_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, case when $16 then now() end)
returning {_COLUMNS}
"""


async def add(whole: Tx, bulk_id: str, wish: Wish, counts: Counts, *by: str) -> BulkAction:
    """The new bulk action (`by`: who started it, with which request)."""
    numbers = [getattr(counts, name) for name in _COUNTS]
    told = (wish.action, wish.selection.to_json(), dict(wish.config))
    row = await whole.fetchone(ADD, whole.agency_id, bulk_id, *told, *by, *numbers, counts.unfinished == 0)
    return _action(row)


ADD_ITEMS: Final = """
insert into bulk_item (agency_id, id, workspace_id, bulk_id, run_id, state, error, before, result)
select $1, i.id, i.workspace_id, $2, i.run_id, i.state, i.error, i.before, i.result
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[], $9::jsonb[])
     as i (id, workspace_id, run_id, state, error, before, result)
"""


async def add_items(tx: Tx, bulk_id: str, outcomes: Sequence[Outcome]) -> None:
    """One item for each workspace, by one statement."""
    await tx.execute(
        ADD_ITEMS,
        tx.agency_id,
        bulk_id,
        [new_id("evt") for _ in outcomes],
        [outcome.workspace_id for outcome in outcomes],
        [outcome.run_id for outcome in outcomes],
        [outcome.state for outcome in outcomes],
        [outcome.error for outcome in outcomes],
        [outcome.before for outcome in outcomes],
        [outcome.result for outcome in outcomes],
    )


# A key that does not reach the whole agency sees the actions that it started itself.
_SEEN: Final = "agency_id = $1 and ($2::text is null or started_by = $2)"

FIND: Final = f"select {_COLUMNS} from bulk_action where {_SEEN} and id = $3"


async def find(whole: Tx, started_by: str | None, bulk_id: str) -> BulkAction | None:
    """The bulk action; none when somebody else (than `started_by`, if given) started it."""
    row = await whole.fetchrow(FIND, whole.agency_id, started_by, bulk_id)
    return None if row is None else _action(row)


PAGE: Final = f"""
select {_COLUMNS} from bulk_action where {_SEEN} and ($3::text is null or id < $3) order by id desc limit $4
"""
COUNT: Final = f"select count(*) from (select from bulk_action where {_SEEN} limit $3) as counted"


async def page(whole: Tx, started_by: str | None, *, after: str | None, limit: int) -> list[BulkAction]:
    """The newest first, behind the given one."""
    return [_action(row) for row in await whole.fetch(PAGE, whole.agency_id, started_by, after, limit)]


async def count(whole: Tx, started_by: str | None, most: int | None) -> int:
    """How many there are, counted no further than `most`."""
    counted: int = await whole.fetchval(COUNT, whole.agency_id, started_by, most)
    return counted


_ITEMS: Final = """
agency_id = $1 and ($2::text[] is null or workspace_id = any ($2::text[])) and bulk_id = $3
and ($4::text[] is null or state = any ($4::text[]))
"""
ITEMS: Final = f"""
select {_ITEM} from bulk_item where {_ITEMS} and ($5::text is null or workspace_id > $5) order by workspace_id limit $6
"""
COUNT_ITEMS: Final = f"select count(*) from (select from bulk_item where {_ITEMS} limit $5) as counted"


def _matching(tx: Tx, bulk_id: str, states: Sequence[ItemState]) -> tuple[Any, ...]:
    within = tx.reach.workspace_ids
    return tx.agency_id, None if within is None else list(within), bulk_id, list(states) or None


async def items(tx: Tx, bulk_id: str, states: Sequence[ItemState], *, after: str | None, limit: int) -> list[Item]:
    """The items in reach in the order of their workspaces, behind the given workspace."""
    rows = await tx.fetch(ITEMS, *_matching(tx, bulk_id, states), after, limit)
    return [_item(row) for row in rows]


async def count_items(tx: Tx, bulk_id: str, states: Sequence[ItemState], most: int | None) -> int:
    """How many there are, counted no further than `most`."""
    counted: int = await tx.fetchval(COUNT_ITEMS, *_matching(tx, bulk_id, states), most)
    return counted


REQUEST_CANCEL: Final = f"""
update bulk_action set cancel_requested_at = now(), updated_at = now()
where agency_id = $1 and id = $2 and ended_at is null and cancel_requested_at is null
returning {_COLUMNS}
"""


async def request_cancel(whole: Tx, bulk_id: str) -> BulkAction | None:
    """Note that all of it shall stop; none when that was noted before, or it has ended."""
    row = await whole.fetchrow(REQUEST_CANCEL, whole.agency_id, bulk_id)
    return None if row is None else _action(row)


def _moved(state: str) -> str:
    return f"{state} = b.{state} - (m.old = '{state.upper()}')::integer + ($5 = '{state.upper()}')::integer"


_MOVING: Final = ("pending", "running", "waiting", "succeeded", "failed", "cancelled")
_UNFINISHED: Final = "('PENDING', 'RUNNING', 'WAITING')"

# The item's own row says where it stood. The action's row is the one that all its runs share, so it is locked last,
# by the end of a statement that has the item already; its counts are of what is committed then.
MOVE: Final = f"""
with was as (
    select id, state from bulk_item
    where agency_id = $1 and workspace_id = $2 and bulk_id = $3 and run_id = $4 for update
), moved as (
    update bulk_item i set state = $5, credits_used = $6, error = $7, updated_at = now()
    from was w where i.agency_id = $1 and i.workspace_id = $2 and i.id = w.id and w.state <> $5
    returning w.state as old
)
update bulk_action b set {", ".join(_moved(state) for state in _MOVING)}, updated_at = now(),
    ended_at = case when b.pending + b.running + b.waiting - (m.old in {_UNFINISHED})::integer
                         + ($5 in {_UNFINISHED})::integer = 0 then now() end
from moved m where b.agency_id = $1 and b.id = $3
"""


async def move_item(whole: Tx, *of: Any) -> bool:
    """Move the item of a run (workspace, bulk action, run, new state, credits used, error); false: it stood there."""
    return await whole.execute(MOVE, whole.agency_id, *of) == 1
