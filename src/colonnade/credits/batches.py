"""One transaction's worth of decisions: gathered in memory on what was opened, and written as one statement."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from colonnade.credits import alerts, batch_store
from colonnade.credits.books import Books, Movement, Signature
from colonnade.credits.counting import Count
from colonnade.credits.lots import Draw
from colonnade.credits.model import ISSUED_ID, Grant, Hold, HoldState, TransferKind, UsageEvent
from colonnade.credits.rules import Standing
from colonnade.credits.taking import add
from colonnade.ground.core.amounts import to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import id_stream, new_ids
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit


class Batch:
    """What is to be written about an agency's credits; all of it bears one instant, no earlier than any entry before.

    It decides nothing: whoever gathers here has asked the rules.
    """

    def __init__(self, standing: Standing, by: Signature) -> None:
        self.standing = standing
        self.books = Books(standing.accounts.values())
        self.at: datetime = max([standing.at, *(one.updated_at or standing.at for one in standing.accounts.values())])
        self.grants: list[tuple[Grant, str | None]] = []
        self.holds: list[Hold] = []
        self.drawn: dict[str, Sequence[Draw]] = {}
        self.changed: dict[str, Hold] = {}
        self.back: list[Draw] = []
        self.events: list[UsageEvent] = []
        self.facts: list[tuple[Caller, audit.Fact]] = []
        self.over: list[audit.Fact] = []
        """Grants that ended with their time: the house's own doing, whoever comes upon it first."""
        self.charge_ids, self.event_ids = id_stream("chg"), id_stream("evt")
        self.tallied: list[tuple[Any, str, int, int]] = []
        """Once it is written: how the tallies that were there before stand now (cycle, subject, taken, used)."""
        if standing.is_locked:
            self._expire(by)

    def enter(self, movement: Movement, by: Signature, name: str | None = None) -> str:
        """Enter the movement; the id of the transfer, which may have its name already."""
        return self.books.enter(movement, by, name)

    def _expire(self, by: Signature) -> None:
        """Enter that what remained of expired grants is no longer issued."""
        for name, draws in self.standing.expired.items():
            where = self.standing.accounts[name].workspace_id
            for draw in draws:
                movement = Movement(
                    kind=TransferKind.EXPIRE,
                    amount=draw.amount,
                    from_account=name,
                    to_account=ISSUED_ID,
                    rule="grant expired",
                    workspace_id=where,
                    grant_id=draw.grant_id,
                )
                self.enter(movement, by)
                after = {"credits": to_number(draw.amount)}
                self.over.append(audit.Fact("credits.expired", draw.grant_id, where, after=after))

    def put_aside(self, hold: Hold, draws: Sequence[Draw]) -> None:
        """A fresh hold, with the lots that it draws on."""
        self.holds.append(hold)
        self.drawn[hold.id] = draws
        self.standing.keep(hold)

    def change(self, hold: Hold) -> None:
        """The hold as it stands from now on: more captured, or ended."""
        self.changed[hold.id] = replace(hold, settled_at=None if hold.state is HoldState.OPEN else self.at)
        self.standing.keep(self.changed[hold.id])

    def give_back(self, parts: Iterable[Draw]) -> None:
        """Put credits back into the lots that they were drawn from, whatever has become of these."""
        at_hand = self.standing.pools.values() if self.standing.is_locked else ()
        for part in parts:
            pool = next((one for one in at_hand if one.has(part.grant_id)), None)
            if pool is None:
                self.back.append(part)
            else:
                pool.put(part)

    def count(self, counts: Iterable[Count]) -> None:
        """Count what was taken, used or let go of."""
        for one in counts:
            add(self.standing, one)

    def record(self, caller: Caller, fact: audit.Fact) -> None:
        """Remember that the caller did this, for the audit log."""
        self.facts.append((caller, fact))

    async def write(self, tx: Tx) -> None:
        """Write all of it: one statement, however much it is, the records of the audit log, and alerts that fire."""
        self.tallied = await batch_store.write(tx, self.at, self._rows())
        house = audit.house(tx.agency_id) if self.over else None
        await audit.record_all(tx, [*((house, fact) for fact in self.over if house), *self.facts])
        await alerts.look(tx, self.standing, self.tallied)

    def _back(self) -> dict[str, int]:
        """What goes back to each lot that is not at hand; several holds may have drawn on the same."""
        sums: dict[str, int] = {}
        for part in self.back:
            sums[part.grant_id] = sums.get(part.grant_id, 0) + part.amount
        return sums

    def _rows(self) -> dict[str, batch_store.Rows]:
        locked = self.standing.pools.values() if self.standing.is_locked else ()
        remaining = {name: rest for pool in locked for name, rest in pool.changes().items()}
        return {
            "transfers": [batch_store.transfer(one) for one in self.books.transfers],
            "entries": [
                batch_store.entry(*one)
                for one in zip(new_ids("led", len(self.books.entries)), self.books.entries, strict=True)
            ],
            "balances": [(one.id, one.balance, one.version) for one in self.books.changed()],
            "grants": [batch_store.grant(one, origin) for one, origin in self.grants],
            "remaining": list(remaining.items()),
            "back": list(self._back().items()),
            "holds": [batch_store.hold(one) for one in self.holds],
            "hold_lots": [row for one in self.holds for row in batch_store.lots(one, self.drawn[one.id])],
            "hold_changes": [batch_store.hold_change(one) for one in self.changed.values()],
            "counted": [batch_store.count(one) for one in self.standing.counts.values() if one.taken or one.used],
            "events": [batch_store.event(one) for one in self.events],
            "days": batch_store.days(self.events, self.standing.zone),
        }
