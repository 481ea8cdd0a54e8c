"""Sealing: links what was recorded into the agency's chain, and signs where it ends."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.audit import seal_store
from colonnade.tenancy.audit.model import canonical_text
from colonnade.tenancy.audit.seals import (
    Head,
    Link,
    Place,
    Signed,
    chain_hash,
    is_checkpoint_due,
    link_text,
    signed_end,
)

BATCH: Final = 2000


async def seal(tx: Tx) -> int:
    """Link the next entries into the agency's chain and move its signed head; how many that were.

    None when another transaction is sealing the same chain: it takes them. All of it commits together or not at all.
    """
    if not await seal_store.lock(tx):
        return 0
    rows = await seal_store.waiting(tx, BATCH)
    if not rows:
        await seal_store.note_lost(tx)
        return 0
    links = chained(tx.pepper, tx.agency_id, await seal_store.head(tx), rows)
    await seal_store.add_links(tx, links, [row["xid"] for row in rows])
    await _sign(tx, links[-1])
    return len(links)


def chained(pepper: Pepper, agency_id: str, head: Head | None, rows: Sequence[Record]) -> list[Link]:
    """The links of these entries, in their order, behind the head."""
    position, previous = (0, None) if head is None else (head.position, head.hash)
    links: list[Link] = []
    for row in rows:
        position += 1
        signed = Signed(canonical_text(seal_store.entry_of(row)), row["hmac"])
        made = chain_hash(agency_id, position, previous, signed)
        mac = pepper.digest(link_text(made))
        links.append(Link(position, row["id"], previous, made, mac, pepper.current))
        previous = made
    return links


async def _sign(tx: Tx, last: Link) -> None:
    at = await tx.now()
    place = Place(last.position, last.hash, at)
    await seal_store.move_head(tx, signed_end(tx.pepper, "head", tx.agency_id, place))
    if is_checkpoint_due(await seal_store.last_checkpoint(tx), place.position, at):
        await seal_store.add_checkpoint(tx, signed_end(tx.pepper, "checkpoint", tx.agency_id, place))
