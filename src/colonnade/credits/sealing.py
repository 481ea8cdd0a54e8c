"""Sealing: puts what was entered into the chains of its accounts, block by block."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from colonnade.credits import seal_store
from colonnade.credits.ledger_seals import MOST_IN_BLOCK, Block, Chain, Line, blocks_of, digest_of, entry_text
from colonnade.credits.seal_store import Waiting
from colonnade.ground.db.database import Tx

MOST_ACCOUNTS: Final = 20


@dataclass(frozen=True, slots=True)
class Sealed:
    """How many entries were sealed, whether more may wait, and the accounts that cannot be gone on with."""

    entries: int = 0
    has_more: bool = False
    broken: tuple[str, ...] = ()


async def seal(tx: Tx, *, leaving_out: Collection[str] = ()) -> Sealed:
    """Seal the next entries of the agency, a block for each account; all of it commits together or not at all.

    Nothing when another transaction is sealing the same ledger: it takes them. An account of which an entry is missing
    goes on waiting and is named; no other waits for it.
    """
    if not await seal_store.lock(tx):
        return Sealed()
    waiting = await seal_store.waiting(tx, MOST_ACCOUNTS, leaving_out)
    found = await seal_store.behind(tx, [(one.account_id, one.version) for one in waiting], MOST_IN_BLOCK)
    lines = {account: list(part) for account, part in groupby(found, key=lambda line: line.account_id)}
    whole = [one for one in waiting if _is_whole(one, lines.get(one.account_id, []))]
    made = [(one, block) for one in whole for block in _blocks(tx, one, lines.get(one.account_id, []))]
    full = {account for account, part in lines.items() if len(part) == MOST_IN_BLOCK}
    await seal_store.add_blocks(tx, made, await tx.now())
    await seal_store.done(tx, [one for one in whole if one.account_id not in full])
    return Sealed(
        sum(len(lines.get(one.account_id, [])) for one in whole),
        has_more=bool(full) or len(waiting) == MOST_ACCOUNTS,
        broken=tuple(one.account_id for one in waiting if one not in whole),
    )


def _is_whole(waiting: Waiting, lines: Sequence[Line]) -> bool:
    """Whether the entries follow one another, and what is sealed already, without a gap."""
    return [line.account_version for line in lines] == list(
        range(waiting.version + 1, waiting.version + 1 + len(lines))
    )


def _blocks(tx: Tx, waiting: Waiting, lines: Sequence[Line]) -> list[Block]:
    digests = [digest_of(entry_text(tx.agency_id, line)) for line in lines]
    return blocks_of(tx.pepper, Chain(tx.agency_id, waiting.account_id), waiting.last, digests)
