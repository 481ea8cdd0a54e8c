"""Statements: what each month of a workspace came to, entry by entry, with the seal of the ledger around them."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from colonnade.credits import seal_store, statement_store
from colonnade.credits.ledger_seals import Block, Statement, Unfunded, digest_of, entry_text
from colonnade.credits.statement_files import Edged, Told
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx

BATCH: Final = 1000


async def statements_of(
    tx: Tx, caller: Caller, workspace_id: str, *, before: date | None = None, limit: int
) -> tuple[list[Statement], bool]:
    """The statements of a workspace from the newest on, and whether there are more."""
    caller.require("usage:read")
    found = await statement_store.page(tx, workspace_id, before, limit + 1)
    return found[:limit], len(found) > limit


async def statement_of(tx: Tx, caller: Caller, workspace_id: str, month: date) -> Statement:
    """The statement of a month; refused as not found where the month is not over, or nothing was used in it."""
    caller.require("usage:read")
    found = await statement_store.find(tx, workspace_id, month)
    if found is None:
        raise NotFound("statement")
    return found


async def edged_blocks(tx: Tx, statement: Statement) -> list[Edged]:
    """The blocks of the chain that hold the lines; what lies beside them is digests alone."""
    if statement.from_version is None or statement.to_version is None:
        return []
    first, last = statement.from_version, statement.to_version
    blocks = await seal_store.blocks_over(tx, statement.account_id, (first, last))
    return [await _edged(tx, statement, block) for block in blocks]


async def _edged(tx: Tx, statement: Statement, block: Block) -> Edged:
    first, last = statement.from_version or 0, statement.to_version or 0
    before = await _digests(tx, statement, block.from_version, first - 1)
    after = await _digests(tx, statement, last + 1, block.to_version)
    return Edged(block, before or None, after or None)


async def _digests(tx: Tx, statement: Statement, first: int, last: int) -> tuple[bytes, ...]:
    if first > last:
        return ()
    lines = await seal_store.behind(tx, [(statement.account_id, first - 1)], last - first + 1)
    return tuple(digest_of(entry_text(tx.agency_id, line)) for line in lines)


async def lines_behind(tx: Tx, statement: Statement, version: int) -> list[Told]:
    """Some of the lines behind the entry of this version, in their order."""
    most = min((statement.to_version or 0) - version, BATCH)
    if most <= 0:
        return []
    lines = await seal_store.behind(tx, [(statement.account_id, version)], most)
    return [Told.of(tx.agency_id, line) for line in lines]


async def unfunded_behind(tx: Tx, statement: Statement, after_id: str | None) -> Sequence[Unfunded]:
    """Some of the reported events that nothing paid for, behind the given one, in the order of their telling."""
    span = (statement.starts_at, statement.ends_at)
    return await statement_store.unfunded(tx, statement.workspace_id, span, after_id, BATCH)


async def has_unfunded(tx: Tx, statement: Statement) -> bool:
    """Whether all those events are still there; usage is kept for some months, statements for ever."""
    span = (statement.starts_at, statement.ends_at)
    found = await statement_store.count_unfunded(tx, statement.workspace_id, span)
    return found == statement.totals.unfunded_events
