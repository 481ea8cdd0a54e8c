"""Reading the ledger: entry by entry, from the newest on, each with its place in the chain of its account."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from colonnade.credits import seal_store
from colonnade.credits.ledger_seals import Block, Line
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx

PAGE: Final = f"""
select {seal_store.LINE_COLUMNS}
from ledger_entry e join credit_transfer t on t.agency_id = e.agency_id and t.id = e.transfer_id
where e.agency_id = $1 and ($2::text[] is null or e.workspace_id = any ($2))
  and ($3::text is null or e.workspace_id = $3) and ($4::text is null or e.id < $4)
order by e.id desc
limit $5
"""


@dataclass(frozen=True, slots=True)
class SealedLine:
    """An entry and the block of the chain that it lies in; none yet for a young one."""

    line: Line
    block: Block | None


async def ledger(
    tx: Tx, caller: Caller, *, workspace_id: str | None = None, before_id: str | None = None, limit: int
) -> tuple[Sequence[SealedLine], bool]:
    """Entries on the accounts within reach, from the newest on, and whether there are more."""
    caller.require("credits:read")
    lines = await ledger_behind(tx, workspace_id, before_id, limit + 1)
    return lines[:limit], len(lines) > limit


async def ledger_behind(tx: Tx, workspace_id: str | None, before_id: str | None, most: int) -> Sequence[SealedLine]:
    """At most so many of them behind the given one: what an export is made of, once it is allowed."""
    within = tx.reach.workspace_ids
    reach = None if within is None else list(within)
    async with tx.widened() as whole:  # a move between two pools is told to both, though it names one workspace
        rows = await whole.fetch(PAGE, whole.agency_id, reach, workspace_id, before_id, most)
        lines = [seal_store.line_of(row) for row in rows]
        blocks = await seal_store.blocks_of(whole, lines)
    return [SealedLine(line, blocks.get((line.account_id, line.account_version))) for line in lines]
