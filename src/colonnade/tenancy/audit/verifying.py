"""Verifying: walks an agency's chain from its first link to its signed head, and what lies beyond it."""

import hmac
from collections.abc import Callable

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import Record, Tx
from colonnade.tenancy.audit import seal_store
from colonnade.tenancy.audit.model import Entry, canonical_text, payload_digest
from colonnade.tenancy.audit.seals import (
    Bad,
    Head,
    Place,
    Signed,
    Verdict,
    chain_hash,
    link_text,
    wrong_end,
    wrong_mac,
)

Progress = Callable[[int, int], None]
"""Hears how many links were checked, of how many."""

_EVERY = 1000


async def verify(tx: Tx, caller: Caller, *, known: Place | None = None, progress: Progress | None = None) -> Verdict:
    """Check every entry of the agency, its place in the chain, and the chain's signed end, in constant memory.

    `known` is a place that somebody wrote down earlier: the chain must still go through it. The first thing that is
    wrong ends the walk. Wants a transaction that sees one instant, for sealing goes on meanwhile.
    """
    caller.require("audit:read")
    async with tx.widened() as whole:
        return await _walk(whole, known, progress)


async def _walk(tx: Tx, known: Place | None, progress: Progress | None) -> Verdict:
    head = await seal_store.head(tx)
    walker = Walker(tx.pepper, tx.agency_id, known)
    async for row in seal_store.walk(tx):
        bad = walker.step(row)
        if bad is not None:
            return walker.verdict(head, 0, bad)
        if progress is not None and walker.position % _EVERY == 0:
            progress(walker.position, 0 if head is None else head.position)
    bad = walker.end(head, await seal_store.last_checkpoint(tx))
    if bad is not None:
        return walker.verdict(head, 0, bad)
    unsealed = 0
    async for row in seal_store.beyond(tx):
        bad = walker.young(row)
        if bad is not None:
            return walker.verdict(head, unsealed, bad)
        unsealed += 1
    vanished = await seal_store.vanished(tx)
    return walker.verdict(head, unsealed, None if vanished is None else Bad("missing", None, vanished))


class Walker:
    """Follows a chain link by link and remembers where it stands."""

    def __init__(self, pepper: Pepper, agency_id: str, known: Place | None = None) -> None:
        self._pepper = pepper
        self._agency_id = agency_id
        self._known = known
        self.position = 0
        self._hash: bytes | None = None
        self._checked = 0
        self._erased = 0

    def step(self, row: Record) -> Bad | None:
        """Check the next link with its entry; what is wrong with them, if anything."""
        problem = self._link(row)
        if problem is not None:
            # Where links are missing, the place of the first one that is gone tells more than the one that follows.
            gone = row["position"] != self.position + 1
            return Bad(problem, self.position + 1, None if gone else row["entry_id"])
        self.position, self._hash = row["position"], row["hash"]
        self._checked += 1
        return None

    def _link(self, row: Record) -> str | None:
        if row["position"] != self.position + 1:
            return "missing"
        problem = wrong_mac(self._pepper, link_text(row["hash"]), row["mac"], row["seal_key_id"])
        if problem is not None:
            return problem
        if row["id"] is None:
            return "missing"
        entry = seal_store.entry_of(row, with_payload=True)
        signed = Signed(canonical_text(entry), row["hmac"])
        return self._entry(entry, signed, row["key_id"]) or self._place(row, signed) or self._checkpoint(row)

    def _entry(self, entry: Entry, signed: Signed, key_id: int) -> str | None:
        """What is wrong with an entry by itself; a payload that was erased is none of it."""
        erased = entry.before is None and entry.after is None
        if not erased and payload_digest(entry.before, entry.after) != entry.payload_digest:
            return "tampered"
        problem = wrong_mac(self._pepper, signed.text, signed.mac, key_id)
        if problem is None and erased and entry.payload_digest is not None:
            self._erased += 1
        return problem

    def _place(self, row: Record, signed: Signed) -> str | None:
        made = chain_hash(self._agency_id, row["position"], self._hash, signed)
        if not hmac.compare_digest(made, row["hash"]):
            return "misplaced"
        if row["previous_hash"] != self._hash:
            return "tampered"
        known = self._known
        if known is not None and known.position == row["position"] and known.hash != row["hash"]:
            return "tampered"
        return None

    def _checkpoint(self, row: Record) -> str | None:
        if row["checkpoint_hash"] is None:
            return None
        end = Head(
            self._agency_id,
            row["position"],
            row["checkpoint_hash"],
            row["checkpoint_at"],
            row["checkpoint_mac"],
            row["checkpoint_key_id"],
        )
        problem = wrong_end(self._pepper, "checkpoint", end)
        return problem or (None if end.hash == row["hash"] else "tampered")

    def end(self, head: Head | None, checkpoint: Head | None) -> Bad | None:
        """Check that the chain ends where its head says, and nowhere before a place that is known."""
        problem = None if head is None else wrong_end(self._pepper, "head", head)
        if problem is not None:
            return Bad(problem, self.position, None)
        at = 0 if head is None else head.position
        known = [end.position for end in (head, checkpoint, self._known) if end is not None]
        if max(known, default=0) > self.position:
            return Bad("cut", self.position + 1, None)
        is_right = at == self.position and (head is None or head.hash == self._hash)
        return None if is_right else Bad("tampered", self.position, None)

    def young(self, row: Record) -> Bad | None:
        """Check an entry that has no link yet."""
        entry = seal_store.entry_of(row, with_payload=True)
        signed = Signed(canonical_text(entry), row["hmac"])
        problem = self._entry(entry, signed, row["key_id"]) or (None if row["waits"] else "unsealed")
        if problem is None:
            self._checked += 1
        return None if problem is None else Bad(problem, None, row["id"])

    def verdict(self, head: Head | None, unsealed: int, bad: Bad | None) -> Verdict:
        """What was found, up to here."""
        at = head.at if head is not None and head.position == self.position else None
        sealed_to = None if self._hash is None else Place(self.position, self._hash, at)
        return Verdict(sealed_to, self._checked, unsealed, self._erased, bad)
