"""The rate limiter: exact over all processes, one shared trip for whoever asks at the same moment."""

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from colonnade.ground.db.batches import SharedCall
from colonnade.ground.db.database import UNREACHABLE, Database, Record, unavailable
from colonnade.tenancy.keys.model import RateLimit, read_address

ANONYMOUS_RATE: Final = RateLimit(30, 60)
_MOST: Final = 2**31 - 1

TAKE: Final = "select * from rate_take($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class Taken:
    """What the window said to one call, and the key's state at that very moment where the subject is a key."""

    granted: bool
    limit: int
    remaining: int
    resets_in_seconds: int
    revoked_at: datetime | None
    key_version: int | None


@dataclass(frozen=True, slots=True)
class _Ask:
    subject: str
    requests: int
    window_seconds: int


class Limiter:
    """One for each process. A window opens with the first call after the last one ended, on the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calls: SharedCall[_Ask, Taken] = SharedCall("rate limits", self._take)

    async def take(self, subject: str, requests: int, window_seconds: int) -> Taken:
        """Count one call against the subject's window; all processes together grant no more than `requests`."""
        most = min(max(requests, 0), _MOST)
        return await self._calls.ask(_Ask(subject, most, min(max(window_seconds, 1), _MOST)))

    async def anonymous(self, address: str | None) -> Taken:
        """Count a call without a valid credential: 30 a minute for each address, where an IPv6 /64 counts as one."""
        return await self.take(_subject(address), ANONYMOUS_RATE.requests, ANONYMOUS_RATE.window_seconds)

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._calls.close()

    async def _take(self, asks: Sequence[_Ask]) -> list[Taken]:
        subjects = {ask.subject: ask for ask in asks}
        wanted = Counter(ask.subject for ask in asks)
        columns = (
            list(subjects),
            [ask.requests for ask in subjects.values()],
            [ask.window_seconds for ask in subjects.values()],
            [wanted[subject] for subject in subjects],
        )
        try:
            rows = {row["subject"]: row for row in await self._database.lookup(TAKE, *columns)}
        except UNREACHABLE as error:
            raise unavailable() from error
        places = Counter[str]()
        taken: list[Taken] = []
        for ask in asks:
            places[ask.subject] += 1
            taken.append(_taken(rows[ask.subject], subjects[ask.subject].requests, places[ask.subject]))
        return taken


def _taken(row: Record, limit: int, place: int) -> Taken:
    """What the call at this place among those of one flush was told."""
    granted = place <= row["granted"]
    used = row["used"] - row["granted"] + place if granted else row["used"]
    return Taken(
        granted=granted,
        limit=limit,
        remaining=max(limit - used, 0),
        resets_in_seconds=max(-(-row["resets_in_ms"] // 1000), 1),
        revoked_at=row["revoked_at"],
        key_version=row["key_version"],
    )


def _subject(address: str | None) -> str:
    known = read_address(address)
    if isinstance(known, ipaddress.IPv6Address):
        return f"address:{ipaddress.IPv6Network((known, 64), strict=False)}"
    return f"address:{known}"
