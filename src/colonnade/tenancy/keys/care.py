"""What is told of a key besides the key: whether it is time for a new text, and whether its maker is still there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, people
from colonnade.tenancy.keys import store
from colonnade.tenancy.keys.model import Key

MakerKind = Literal["key", "member", "run", "operator"]
MakerStatus = Literal["active", "gone"]

_KINDS: Final[dict[str, MakerKind]] = {"key": "key", "mem": "member", "inv": "run"}


@dataclass(frozen=True, slots=True)
class Care:
    """At one instant: the agency's rule for new texts, and which of the keys' makers are still there."""

    at: datetime
    rotate_after_days: int | None
    standing: frozenset[str]
    is_twin: bool

    def rotation_due(self, key: Key) -> bool:
        """Whether the newest text of a good key is older than the agency wants; it goes on working."""
        if self.rotate_after_days is None or key.state(self.at) != "active":
            return False
        return (key.text_made_at or key.created_at) + timedelta(days=self.rotate_after_days) <= self.at

    def maker_status(self, key: Key) -> MakerStatus | None:
        """Whether its maker is still a member, or a good key; none where that lies in the live agency of a twin."""
        if maker_kind(key.created_by) not in {"key", "member"} or key.created_by in self.standing:
            return "active"
        return None if self.is_twin else "gone"


def maker_kind(maker_id: str) -> MakerKind:
    """What made a key, told from its id."""
    return _KINDS.get(maker_id.partition("_")[0], "operator")


async def care_of(tx: Tx, keys: Sequence[Key]) -> Care:
    """What is to be told of these keys, in three statements for all of them."""
    agency = await agencies.in_force(tx)
    makers = sorted({key.created_by for key in keys})
    async with tx.widened() as whole:  # members are the agency's, and the maker of a workspace's key may be too
        standing = await people.standing(whole, makers) | await store.good_among(whole, makers)
    days = agency.settings.get("rotateAfterDays")
    return Care(await tx.now(), days, frozenset(standing), agency.mode == "test")
