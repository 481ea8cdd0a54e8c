"""The doorkeeper: what the HTTP door asks of keys, made of the ring, the limiter and the notes of last use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from colonnade.ground.db.batches import BatchWriter
from colonnade.ground.db.database import Database
from colonnade.ground.web.doorway import Admission, Rate
from colonnade.tenancy.keys.limiter import ANONYMOUS_RATE, Limiter, Taken
from colonnade.tenancy.keys.model import RateLimit, read_address, revoked
from colonnade.tenancy.keys.ring import KeyRing, RingOptions, Verified

NOTE_USES: Final = "select note_key_uses($1, $2, $3)"


@dataclass(frozen=True, slots=True)
class _Use:
    key_id: str
    at: datetime
    address: str | None


class Uses:
    """When and from where keys were last used, written a few times a second for all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer: BatchWriter[_Use] = BatchWriter("key uses", self._write)

    def add(self, key_id: str, address: str | None) -> None:
        """Take note of a use; returns at once."""
        known = read_address(address)
        self._writer.add(_Use(key_id, datetime.now(UTC), None if known is None else str(known)))

    async def flush(self) -> None:
        """Write what is there now."""
        await self._writer.flush()

    async def close(self) -> None:
        """Write the rest and end."""
        await self._writer.close()

    async def _write(self, uses: Sequence[_Use]) -> None:
        latest = {use.key_id: use for use in uses}
        notes = list(latest.values())
        await self._database.lookup(
            NOTE_USES, [use.key_id for use in notes], [use.at for use in notes], [use.address for use in notes]
        )


class KeyKeeper:
    """One for each process: admits callers by their keys and counts what they call."""

    def __init__(self, database: Database, options: RingOptions | None = None) -> None:
        self.ring = KeyRing(database, options)
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

    async def admit(self, credential: str, request_id: str, address: str | None) -> Admission:
        """The caller behind a key and what is left of its limit; refuses a key that is unknown, ended or misplaced."""
        verified = await self.ring.verify(credential, address)
        limit = verified.rate_limit
        if limit is None:
            self.uses.add(verified.key.id, address)
            return Admission(verified.caller(request_id, address), None)
        taken = await self._take(verified, limit)
        if taken.key_version != verified.key.version:
            # The key has changed since this process read it, and the news of it is still under way.
            self.ring.forget(verified.key.id)
            verified = await self.ring.verify(credential, address)
        self.uses.add(verified.key.id, address)
        return Admission(verified.caller(request_id, address), _rate(taken, limit))

    async def count_anonymous(self, address: str | None) -> Rate:
        """Count a call without a valid key against its address."""
        return _rate(await self.limiter.anonymous(address), ANONYMOUS_RATE)

    async def _take(self, verified: Verified, limit: RateLimit) -> Taken:
        taken = await self.limiter.take(verified.key.id, limit.requests, limit.window_seconds)
        if taken.revoked_at is not None:
            self.ring.forget(verified.key.id)
            raise revoked(taken.revoked_at)
        return taken


def _rate(taken: Taken, limit: RateLimit) -> Rate:
    return Rate(taken.granted, taken.limit, limit.window_seconds, taken.remaining, taken.resets_in_seconds)
