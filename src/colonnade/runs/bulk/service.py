"""What can be done with bulk actions: plan, start, read, cancel; and how they follow their runs."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id, new_id
from colonnade.ground.core.refusals import BadField, BadFields, FieldError, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.runs import invocations
from colonnade.runs.bulk import actions, store
from colonnade.runs.bulk.actions import Action
from colonnade.runs.bulk.model import (
    ITEM_STATES,
    MOST,
    BulkAction,
    Counts,
    Item,
    ItemState,
    Outcome,
    PlanLine,
    Selection,
    Wish,
    error_of,
)
from colonnade.runs.invocations import Run, RunState
from colonnade.tenancy import audit, workspaces
from colonnade.tenancy.workspaces import Workspace

_COUNTED_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Slice:
    """How a list is cut: the length of a page, the place after which it goes on, whether all are counted."""

    limit: int = 50
    after: str | None = None
    counts_all: bool = False


async def start(tx: Tx, caller: Caller, wish: Wish) -> BulkAction:
    """Accept an action for many workspaces, which are fixed now: one run, or one change, in each of them.

    Each workspace fails alone (too few credits, a locked setting); archived ones are skipped. Refused as a whole, with
    nothing kept: an unknown action, ids out of reach, a config that no workspace takes.
    """
    bulk_id = new_id("bulk")
    action = actions.read(caller, wish.action, wish.config)
    outcomes = await _carry_out(tx, caller, action, bulk_id, await _chosen(tx, wish.selection))
    async with tx.widened() as whole:
        made = await store.add(whole, bulk_id, wish, Counts.of(outcomes), caller.actor_id, caller.request_id)
        after = {"action": made.action, "workspaces": made.counts.total, "failed": made.counts.failed}
        await audit.record(whole, caller, "bulk_actions.started", made.id, after=after)
    await store.add_items(tx, bulk_id, outcomes)
    return made


async def plan(tx: Tx, caller: Caller, wish: Wish) -> list[PlanLine]:
    """What `start` would do in each workspace, found by doing it and taking all of it back."""
    action = actions.read(caller, wish.action, wish.config)
    chosen = await _chosen(tx, wish.selection)
    gates = await action.gates(tx, chosen)
    outcomes = await _try(tx, caller, action, chosen)
    return [PlanLine(one, gates.get(one.workspace_id, ()) if one.goes_ahead else ()) for one in outcomes]


class _Tried(Exception):
    """Takes back what was done for a plan."""


async def _try(tx: Tx, caller: Caller, action: Action, chosen: Sequence[Workspace]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with contextlib.suppress(_Tried):
        async with tx.savepoint():
            outcomes = await _carry_out(tx, caller, action, new_id("bulk"), chosen)
            raise _Tried
    return outcomes


async def _chosen(tx: Tx, selection: Selection) -> list[Workspace]:
    """The workspaces that are meant, in the order of their ids."""
    if selection.ids is not None:
        return await _named(tx, selection.ids)
    chosen = await workspaces.all_active(tx, tag=selection.tag, most=MOST + 1)
    if selection.tag is not None and not chosen:
        raise BadField("/workspaces/tag", "is a tag that no active workspace within this key's reach has")
    if len(chosen) > MOST:
        raise BadField("/workspaces", f"means more than {MOST} workspaces; choose fewer by a tag or by ids")
    return chosen


async def _named(tx: Tx, ids: Sequence[str]) -> list[Workspace]:
    found = {workspace.id: workspace for workspace in await workspaces.known(tx, ids)}
    missing = [FieldError(f"/workspaces/{n}", _NOT_THERE) for n, identity in enumerate(ids) if identity not in found]
    if missing:
        raise BadFields(missing)
    return sorted(found.values(), key=lambda workspace: workspace.id)


_NOT_THERE: Final = "is no workspace within this key's reach"


async def _carry_out(
    tx: Tx, caller: Caller, action: Action, bulk_id: str, chosen: Sequence[Workspace]
) -> list[Outcome]:
    opened = [workspace for workspace in chosen if workspace.is_active]
    done = {outcome.workspace_id: outcome for outcome in await action.apply(tx, caller, bulk_id, opened)}
    return [done.get(workspace.id) or _skipped(workspace) for workspace in chosen]


def _skipped(workspace: Workspace) -> Outcome:
    try:
        workspace.require_open()
    except Refused as refused:
        return Outcome(workspace.id, "SKIPPED", error=error_of(refused))
    raise AssertionError("an open workspace was passed over")


async def get(tx: Tx, caller: Caller, bulk_id: str) -> BulkAction:
    """The bulk action with its counts. A key that does not reach the whole agency finds those that it started."""
    caller.require("workspaces:read")
    return await _found(tx, caller, bulk_id)


async def _found(tx: Tx, caller: Caller, bulk_id: str) -> BulkAction:
    if is_id("bulk", bulk_id):
        async with tx.widened() as whole:
            found = await store.find(whole, _only_of(tx, caller), bulk_id)
        if found is not None:
            return found
    raise NotFound("bulk action")


def _only_of(tx: Tx, caller: Caller) -> str | None:
    return None if tx.reach.workspace_ids is None else caller.actor_id


async def page(tx: Tx, caller: Caller, cut: Slice) -> tuple[Sequence[BulkAction], bool, int | None]:
    """The newest first, whether there are more, and the total (none beyond a thousand unless all are counted)."""
    caller.require("workspaces:read")
    mine = _only_of(tx, caller)
    async with tx.widened() as whole:
        found = await store.page(whole, mine, after=cut.after, limit=cut.limit + 1)
        total = await store.count(whole, mine, None if cut.counts_all else _COUNTED_MOST + 1)
    return found[: cut.limit], len(found) > cut.limit, _told(total, cut)


async def items(
    tx: Tx, caller: Caller, bulk_id: str, states: Sequence[ItemState], cut: Slice
) -> tuple[Sequence[Item], bool, int | None]:
    """What became of each workspace in reach, in the order of their ids; the rest as `page` does."""
    caller.require("workspaces:read")
    action = await _found(tx, caller, bulk_id)
    found = await store.items(tx, action.id, states, after=cut.after, limit=cut.limit + 1)
    total = await store.count_items(tx, action.id, states, None if cut.counts_all else _COUNTED_MOST + 1)
    return found[: cut.limit], len(found) > cut.limit, _told(total, cut)


def _told(total: int, cut: Slice) -> int | None:
    return total if cut.counts_all or total <= _COUNTED_MOST else None


async def cancel(tx: Tx, caller: Caller, bulk_id: str) -> BulkAction:
    """Stop what has not ended: every unfinished run is asked to stop, and workers end them one by one.

    Asking twice is asking once; an action that has ended is refused.
    """
    caller.require("runs:cancel")
    action = await _found(tx, caller, bulk_id)
    action.require_unfinished()
    # The runs come before the action's own row, as in every move of theirs.
    asked = await invocations.cancel_bulk(tx, caller, action.id)
    async with tx.widened() as whole:
        requested = await store.request_cancel(whole, action.id)
        if requested is not None:
            await audit.record(whole, caller, "bulk_actions.cancelled", action.id, after={"asked": asked})
    return requested or await _asked_before(tx, caller, action.id)


async def _asked_before(tx: Tx, caller: Caller, bulk_id: str) -> BulkAction:
    action = await _found(tx, caller, bulk_id)
    action.require_unfinished()
    return action


async def follow(tx: Tx, run: Run, _old: RunState, new: RunState) -> None:
    """Let the item of a run stand where the run stands, and the counts with it, in the run's own transaction."""
    if run.bulk_id is None:
        return
    async with tx.widened() as whole:
        await store.move_item(
            whole, run.workspace_id, run.bulk_id, run.id, ITEM_STATES[new], run.credits_used, run.error
        )
