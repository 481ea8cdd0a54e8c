"""What the HTTP door asks of keys: the doorkeeper, made of the ring, the rate limiter and the notes of last use."""

import ipaddress
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from colonnade.ground.core.addresses import read_address, spelled
from colonnade.ground.db.batches import BatchWriter, SharedCall
from colonnade.ground.db.database import UNREACHABLE, Database, Record, unavailable
from colonnade.ground.db.rings import RingOptions
from colonnade.ground.web.doorway import Admission, Rate
from colonnade.tenancy.keys.model import RateLimit, revoked
from colonnade.tenancy.keys.ring import KeyRing

ANONYMOUS_RATE: Final = RateLimit(30, 60)
_MOST: Final = 2**31 - 1

TAKE: Final = "select * from rate_take($1, $2, $3, $4)"


class Taken(NamedTuple):
    """What the window said to one call, and the key's state at that very moment where the subject is a key."""

    granted: bool
    limit: int
    remaining: int
    resets_in_seconds: int
    revoked_at: datetime | None
    key_version: int | None


class _Ask(NamedTuple):
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
        return await self._calls.ask(_Ask(subject, requests, window_seconds))

    async def anonymous(self, address: str | None) -> Taken:
        """Count a call without a valid credential: 30 a minute for each address, where an IPv6 /64 counts as one."""
        return await self.take(subject_of(address), ANONYMOUS_RATE.requests, ANONYMOUS_RATE.window_seconds)

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._calls.close()

    async def _take(self, asks: Sequence[_Ask]) -> list[Taken]:
        subjects = {ask.subject: ask for ask in asks}
        wanted = Counter(ask.subject for ask in asks)
        columns = (
            list(subjects),
            [min(max(ask.requests, 0), _MOST) for ask in subjects.values()],
            [min(max(ask.window_seconds, 1), _MOST) for ask in subjects.values()],
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


def subject_of(address: str | None) -> str:
    """Under which name calls from an address are counted: an IPv6 /64 counts as one."""
    known = read_address(address)
    if isinstance(known, ipaddress.IPv6Address):
        return f"address:{ipaddress.IPv6Network((known, 64), strict=False)}"
    return f"address:{known}"


MOMENTS: Final = """array(select clock_timestamp() - make_interval(secs => u.ago)
      from unnest($2::float8[]) with ordinality as u (ago, n) order by u.n)"""
"""When uses were, on the database's clock, told by how long ago they are: clocks of processes differ."""

NOTE_USES: Final = f"select note_key_uses($1, {MOMENTS}, $3)"


class _Use(NamedTuple):
    id: str
    at: float
    address: str | None


class Uses:
    """When and from where credentials were last used, written a few times a second for all of them."""

    def __init__(self, database: Database, note: str = NOTE_USES) -> None:
        self._database = database
        self._note = note
        self._writer: BatchWriter[_Use] = BatchWriter("uses of credentials", self._write)

    def add(self, identity: str, address: str | None) -> None:
        """Take note of a use; returns at once."""
        self._writer.add(_Use(identity, time.monotonic(), address))

    async def flush(self) -> None:
        """Write what is there now."""
        await self._writer.flush()

    async def close(self) -> None:
        """Write the rest and end."""
        await self._writer.close()

    async def _write(self, uses: Sequence[_Use]) -> None:
        latest = {use.id: use for use in uses}
        notes, now = list(latest.values()), time.monotonic()
        await self._database.lookup(
            self._note,
            [use.id for use in notes],
            [now - use.at for use in notes],
            [spelled(use.address) for use in notes],
        )


class KeyKeeper:
    """One for each process: admits callers by their keys and counts what they call."""

    def __init__(
        self, database: Database, options: RingOptions | None = None, *, direct: Database | None = None
    ) -> None:
        self.ring = KeyRing(database, options, direct=direct)
        self.limiter = Limiter(database)
        self.uses = Uses(database)

    async def start(self) -> None:
        """Begin to listen for changes of keys."""
        await self.ring.start()

    async def close(self) -> None:
        """Write the last notes and stop."""
        await self.ring.close()
        await self.limiter.close()
        await self.uses.close()

    async def admit(self, credential: str, address: str | None) -> Admission:
        """The caller behind a key and what is left of its limit; refuses a key that is unknown, ended or misplaced."""
        verified = await self.ring.verify(credential, address)
        limit = verified.rate_limit
        if limit is None:
            self.uses.add(verified.key.id, address)
            return Admission(verified.caller, None, credential=verified.key)
        taken = await self.limiter.take(verified.key.id, limit.requests, limit.window_seconds)
        if taken.revoked_at is not None:
            self.ring.forget(verified.key.id)
            raise verified.turned_away(revoked(taken.revoked_at))
        if taken.key_version != verified.key.version:
            # The key has changed since this process read it, and the news of it is still under way.
            self.ring.forget(verified.key.id)
            verified = await self.ring.verify(credential, address)
        self.uses.add(verified.key.id, address)
        return Admission(verified.caller, rate_of(taken, limit), credential=verified.key)

    async def count_anonymous(self, address: str | None) -> Rate:
        """Count a call without a valid key against its address."""
        return rate_of(await self.limiter.anonymous(address), ANONYMOUS_RATE)


def rate_of(taken: Taken, limit: RateLimit) -> Rate:
    """What the limiter said, in the words of the HTTP door."""
    return Rate(taken.granted, taken.limit, limit.window_seconds, taken.remaining, taken.resets_in_seconds)
