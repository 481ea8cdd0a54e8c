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
    pool_id: str = field(default="", compare=False)


@dataclass(slots=True)
class Pool:
    """A pool as it stands: its open lots in the order of spending (priority, earliest expiry, oldest)."""

    id: str
    lots: list[Lot] = field(default_factory=list)
    touched: dict[str, Lot] = field(default_factory=dict)
    _left: tuple[datetime, int] | None = None

    def available(self, at: datetime) -> MilliCredits:
        """What may be drawn now."""
        if self._left is None or self._left[0] != at:
            self._left = at, sum(lot.remaining for lot in self.lots if not lot.is_expired(at))
        return MilliCredits(self._left[1])

    def plan(self, amount: MilliCredits, at: datetime) -> list[Draw]:
        """From which lots the amount would be drawn, in their order; there must be enough."""
        return self._parts(amount, [lot for lot in self.lots if lot.remaining and not lot.is_expired(at)])

    def take(self, draw: Draw) -> None:
        """Take out of the lot what was planned."""
        self._change(draw.grant_id, -draw.amount)

    def put(self, draw: Draw) -> None:
        """Put back into the lot what was drawn from it."""
        self._change(draw.grant_id, draw.amount)

    def has(self, grant_id: str) -> bool:
        """Whether the lot is one of those at hand; one that is spent or over may not be."""
        return grant_id in self.touched or any(lot.grant_id == grant_id for lot in self.lots)

    def draw(self, amount: MilliCredits, at: datetime) -> list[Draw] | None:
        """Take the amount from the lots in their order; none, with nothing taken, when there is not enough."""
        if amount > self.available(at):
            return None
        draws = self.plan(amount, at)
        for draw in draws:
            self.take(draw)
        return draws

    def expire(self, at: datetime) -> list[Draw]:
        """Take out what remains in lots whose time is over, and the lots with it."""
        over = [lot for lot in self.lots if lot.is_expired(at) and lot.remaining]
        draws = self._parts(MilliCredits(sum(lot.remaining for lot in over)), over)
        for draw in draws:
            self.take(draw)
        self.lots = [lot for lot in self.lots if not lot.is_expired(at)]
        self._left = None
        return draws

    def changes(self) -> dict[str, int]:
        """What remains now in every lot that was drawn from."""
        return {name: lot.remaining for name, lot in self.touched.items()}

    def _parts(self, amount: MilliCredits, lots: Sequence[Lot]) -> list[Draw]:
        draws, wanted = [], int(amount)
        for lot in lots:
            if not wanted:
                break
            part = MilliCredits(min(wanted, lot.remaining))
            draws.append(Draw(lot.grant_id, part, self.id))
            wanted -= part
        assert not wanted, "the lots had less than was taken from them"
        return draws

    def _change(self, grant_id: str, by: int) -> None:
        lot = self.touched.get(grant_id) or next(lot for lot in self.lots if lot.grant_id == grant_id)
        lot.remaining = MilliCredits(lot.remaining + by)
        assert lot.remaining >= 0, "a lot had less than was taken from it"
        self.touched[grant_id] = lot
        if self._left is not None and not lot.is_expired(self._left[0]):
            self._left = self._left[0], self._left[1] + by


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


def within(draws: Sequence[Draw], begin: int, amount: int) -> list[Draw]:
    """The parts of draws that so much from this place on was drawn from."""
    parts, place, end = [], 0, begin + amount
    for draw in draws:
        part = min(place + draw.amount, end) - max(place, begin)
        if part > 0:
            parts.append(Draw(draw.grant_id, MilliCredits(part), draw.pool_id))
        place += draw.amount
    return parts
