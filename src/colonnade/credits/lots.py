"""The lots of a pool: in which order grants are spent, and to which of them unused credits go back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from colonnade.ground.core.amounts import MilliCredits


@dataclass(slots=True)
class Lot:
    """What remains of one grant."""

    grant_id: str
    remaining: MilliCredits
    expires_at: datetime | None
    priority: int

    def is_expired(self, at: datetime) -> bool:
        """Whether nothing may be drawn from it any more; what is held already stays held."""
        return self.expires_at is not None and self.expires_at <= at


@dataclass(frozen=True, slots=True)
class Draw:
    """So much, from this grant."""

    grant_id: str
    amount: MilliCredits


@dataclass(slots=True)
class Pool:
    """A pool whose account is locked: its open lots in the order of spending (priority, earliest expiry, oldest)."""

    id: str
    lots: list[Lot] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    def available(self, at: datetime) -> MilliCredits:
        """What may be drawn now."""
        return MilliCredits(sum(lot.remaining for lot in self.lots if not lot.is_expired(at)))

    def draw(self, amount: MilliCredits, at: datetime) -> list[Draw] | None:
        """Take the amount from the lots in their order; none, with nothing taken, when there is not enough."""
        if amount > self.available(at):
            return None
        return list(self._take(amount, [lot for lot in self.lots if not lot.is_expired(at)]))

    def expire(self, at: datetime) -> list[Draw]:
        """Take out what remains in lots whose time is over."""
        expired = [lot for lot in self.lots if lot.is_expired(at) and lot.remaining]
        return self._take(MilliCredits(sum(lot.remaining for lot in expired)), expired)

    def changes(self) -> dict[str, int]:
        """What remains now in every lot that was drawn from."""
        return {lot.grant_id: lot.remaining for lot in self.lots if lot.grant_id in self.touched}

    def _take(self, amount: MilliCredits, lots: Sequence[Lot]) -> list[Draw]:
        draws, wanted = [], int(amount)
        for lot in lots:
            part = MilliCredits(min(wanted, lot.remaining))
            if part:
                lot.remaining = MilliCredits(lot.remaining - part)
                self.touched.add(lot.grant_id)
                draws.append(Draw(lot.grant_id, part))
                wanted -= part
        assert not wanted, "the lots had less than was taken from them"
        return draws


def give_back(draws: Sequence[Draw], amount: MilliCredits) -> list[Draw]:
    """The parts of a hold's draws that an unused amount goes back to: what was drawn last returns first."""
    parts, left = [], int(amount)
    for draw in reversed(draws):
        part = MilliCredits(min(left, draw.amount))
        if part:
            parts.append(Draw(draw.grant_id, part))
            left -= part
    assert not left, "more goes back than was drawn"
    return parts
