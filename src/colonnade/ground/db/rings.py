"""Rings: what stands behind a credential, without a trip to the database while it is warm.

A ring only ever says no on its own when the database has said so; a process that cannot hear of changes asks each time.
"""

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from colonnade.ground.db.batches import SharedCall
from colonnade.ground.db.database import UNREACHABLE, Database, Record, unavailable
from colonnade.ground.db.listening import Listening


@dataclass(frozen=True, slots=True)
class RingOptions:
    """How long an entry is believed at most, and how many are kept."""

    ttl_seconds: float = 60.0
    most_entries: int = 10_000


class Entry(Protocol):
    """What a ring keeps of one credential."""

    @property
    def identities(self) -> Collection[str]:
        """The ids by which the news of a change may mean it."""
        ...


Kept = TypeVar("Kept", bound=Entry)


@dataclass(frozen=True, slots=True)
class Source(Generic[Kept]):
    """Where the entries of a ring come from, and where their changes are told."""

    name: str
    channel: str
    look_up: str
    """A statement that takes digests and answers rows with a `digest` each."""
    read: Callable[[Record, float], Kept]
    """The entry of a row, and the moment of this process before it was asked for."""


class Ring(Generic[Kept]):
    """One for each process. Warm credentials cost no trip, cold ones share one; every change is heard at once."""

    def __init__(
        self,
        database: Database,
        source: Source[Kept],
        options: RingOptions | None = None,
        *,
        direct: Database | None = None,
    ) -> None:
        self._database = database
        self._source = source
        self._options = options or RingOptions()
        self._entries: OrderedDict[bytes, tuple[float, Kept]] = OrderedDict()
        self._mark_key = os.urandom(32)
        self._look_ups: SharedCall[list[bytes], Record | None] = SharedCall(f"{source.name} look-ups", self._look_up)
        self._generation = 0
        # Listening goes around a pooler, which would drop the news.
        self._listening = Listening(direct or database, {source.channel: self.forget}, on_loss=self._deafen)

    @property
    def is_listening(self) -> bool:
        """Whether every change until a moment ago has been heard, so that what is kept may be believed."""
        return self._listening.hears_everything

    async def start(self) -> None:
        """Begin to listen; returns when that has worked or failed once, and goes on trying behind."""
        await self._listening.start()

    async def close(self) -> None:
        """Stop listening and forget everything."""
        await self._listening.close()
        await self._look_ups.close()

    def warm(self, credential: str) -> Kept | None:
        """What is known of the credential without asking; nothing while this process may have missed a change."""
        mark = self._mark(credential)
        kept = self._entries.get(mark)
        if kept is None or not self.is_listening or time.monotonic() - kept[0] > self._options.ttl_seconds:
            return None
        self._entries.move_to_end(mark)
        return kept[1]

    async def load(self, credential: str) -> Kept | None:
        """What the database knows of the credential under the first of its digests that it finds."""
        generation, asked = self._generation, time.monotonic()
        row = await self._look_ups.ask(self._database.pepper.digests(credential))
        if row is None:
            return None
        entry = self._source.read(row, asked)
        # What was heard while we asked may be about this very one: then the answer serves this one call only.
        if self.is_listening and generation == self._generation:
            self._keep(self._mark(credential), asked, entry)
        return entry

    def forget(self, identity: str) -> None:
        """Drop what is known of everything that this id may mean."""
        self._generation += 1
        old = [mark for mark, (_, entry) in self._entries.items() if identity in entry.identities]
        for mark in old:
            del self._entries[mark]

    def _mark(self, credential: str) -> bytes:
        # What a process finds its entries by need not be what is stored: this digest is quicker, and known to it alone.
        return hashlib.blake2b(credential.encode(), digest_size=32, key=self._mark_key).digest()

    def _keep(self, mark: bytes, asked: float, entry: Kept) -> None:
        self._entries[mark] = asked, entry
        self._entries.move_to_end(mark)
        if len(self._entries) > self._options.most_entries:
            self._entries.popitem(last=False)

    async def _look_up(self, items: Sequence[list[bytes]]) -> list[Record | None]:
        wanted = list({digest for digests in items for digest in digests})
        try:
            rows = await self._database.lookup(self._source.look_up, wanted)
        except UNREACHABLE as error:
            raise unavailable() from error
        found = {row["digest"]: row for row in rows}
        return [next((found[digest] for digest in digests if digest in found), None) for digests in items]

    def _deafen(self) -> None:
        self._generation += 1
        self._entries.clear()
