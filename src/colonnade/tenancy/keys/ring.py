"""The key ring: from a key's text to who calls, without a trip to the database while the key is warm.

It only ever says no on its own when the database has said so; a process that cannot hear of changes asks each time.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.core.secrets import is_key_text
from colonnade.ground.db.batches import SharedCall
from colonnade.ground.db.database import UNREACHABLE, Database, Record, unavailable
from colonnade.tenancy.keys import store
from colonnade.tenancy.keys.model import (
    Key,
    Network,
    RateLimit,
    address_refused,
    expired,
    is_on,
    networks,
    revoked,
)

_log = structlog.get_logger("colonnade.keys")

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0
_PULSE_SECONDS: Final = 10.0
"""A connection that died without a word is noticed by a question that nobody answers."""
_PULSE_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RingOptions:
    """How long an entry is believed at most, and how many are kept."""

    ttl_seconds: float = 60.0
    most_entries: int = 10_000


@dataclass(frozen=True, slots=True)
class Verified:
    """A key that opened: who acts, where, with which scopes and how often."""

    key: Key
    scopes: frozenset[str]

    @property
    def agency_id(self) -> str:
        """The agency of the key."""
        return self.key.agency_id

    @property
    def workspace_id(self) -> str | None:
        """The workspace of a workspace key."""
        return self.key.workspace_id

    @property
    def rate_limit(self) -> RateLimit | None:
        """How often the key may call; none means as often as it likes."""
        return self.key.rate_limit

    def caller(self, request_id: str, address: str | None) -> Caller:
        """The caller that this key makes of one request."""
        kind = CallerKind.AGENCY_KEY if self.key.scope == "agency" else CallerKind.WORKSPACE_KEY
        return Caller(
            kind=kind,
            reach=self.key.reach,
            scopes=self.scopes,
            actor_id=self.key.id,
            actor_name=self.key.name,
            request_id=request_id,
            address=address,
            mode=self.key.mode,
            workspace_id=self.key.workspace_id,
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was read of one secret, and the moment of this process before it was asked for."""

    verified: Verified
    allowlists: tuple[tuple[Network, ...], ...]
    secret_ends_at: datetime | None
    loaded_at: datetime
    asked: float

    def check(self, address: str | None) -> Verified:
        """The key if it is good now and from here, else the refusal that says why not."""
        key = self.verified.key
        if key.revoked_at is not None:
            raise revoked(key.revoked_at)
        # The database read its clock after we looked at ours, so this instant is never behind the database's.
        now = self.loaded_at + timedelta(seconds=time.monotonic() - self.asked)
        ends = min((at for at in (key.expires_at, self.secret_ends_at) if at is not None), default=None)
        if ends is not None and ends <= now:
            raise expired(ends)
        if not all(is_on(allowlist, address) for allowlist in self.allowlists):
            raise address_refused()
        return self.verified


class KeyRing:
    """One for each process. Warm keys cost no trip, cold ones share one; every change of a key is heard at once."""

    def __init__(
        self, database: Database, options: RingOptions | None = None, *, direct: Database | None = None
    ) -> None:
        self._database = database
        self._direct = direct or database  # listening goes around a pooler, which would drop the news
        self._options = options or RingOptions()
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._look_ups: SharedCall[list[bytes], Record | None] = SharedCall("key look-ups", self._look_up)
        self._generation = 0
        self._listener: asyncio.Task[None] | None = None
        self._first_try = asyncio.Event()
        self._pause = _FIRST_PAUSE_SECONDS
        self.is_listening = False

    async def start(self) -> None:
        """Begin to listen; returns when that has worked or failed once, and goes on trying behind."""
        self._listener = asyncio.create_task(self._keep_listening(), name="key ring")
        await self._first_try.wait()

    async def close(self) -> None:
        """Stop listening and forget everything."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
        self._deafen()
        await self._look_ups.close()

    async def verify(self, text: str, address: str | None) -> Verified:
        """Who holds this key. Refuses what is no key, is unknown, revoked or expired, or comes from a wrong address."""
        pepper = self._database.pepper
        entry = self._warm(pepper.digest(text))
        if entry is None:
            if not is_key_text(text):
                raise _invalid()
            entry = await self._load(pepper.digests(text))
        return entry.check(address)

    def forget(self, identity: str) -> None:
        """Drop what is known of a key, or of all keys of an agency."""
        self._generation += 1
        old = [d for d, e in self._entries.items() if identity in (e.verified.key.id, e.verified.key.agency_id)]
        for digest in old:
            del self._entries[digest]

    def _warm(self, digest: bytes) -> _Entry | None:
        entry = self._entries.get(digest)
        if entry is None or time.monotonic() - entry.asked > self._options.ttl_seconds:
            return None
        self._entries.move_to_end(digest)
        return entry

    async def _load(self, digests: list[bytes]) -> _Entry:
        generation, asked = self._generation, time.monotonic()
        row = await self._look_ups.ask(digests)
        if row is None:
            raise _invalid()
        entry = _entry_of(store.found_of(row), asked)
        # What was heard while we asked may be about this very key: then the answer serves this one call only.
        if self.is_listening and generation == self._generation:
            self._keep(digests[0], entry)
        return entry

    def _keep(self, digest: bytes, entry: _Entry) -> None:
        self._entries[digest] = entry
        self._entries.move_to_end(digest)
        if len(self._entries) > self._options.most_entries:
            self._entries.popitem(last=False)

    async def _look_up(self, items: Sequence[list[bytes]]) -> list[Record | None]:
        wanted = list({digest for digests in items for digest in digests})
        try:
            rows = await self._database.lookup(store.LOOK_UP, wanted)
        except UNREACHABLE as error:
            raise unavailable() from error
        found = {row["digest"]: row for row in rows}
        return [next((found[digest] for digest in digests if digest in found), None) for digests in items]

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._listen()
            except (*UNREACHABLE, asyncpg.PostgresError) as error:
                _log.warning("keys.not_listening", error=type(error).__name__, pause_seconds=self._pause)
            self._deafen()
            self._first_try.set()
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Hear of changes for as long as the connection lives; what was known before it began may be old."""
        connection = await self._direct.connect()
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: self._lose(lost))
            await connection.add_listener(store.CHANNEL, self._hear)
            self._deafen()
            self.is_listening = True
            self._pause = _FIRST_PAUSE_SECONDS
            self._first_try.set()
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), _PULSE_SECONDS)
                    return
                await connection.fetchval("select 1", timeout=_PULSE_TIMEOUT_SECONDS)
        finally:
            await _hang_up(connection)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self.forget(str(payload))

    def _lose(self, lost: asyncio.Event) -> None:
        self._deafen()
        lost.set()

    def _deafen(self) -> None:
        self.is_listening = False
        self._generation += 1
        self._entries.clear()


async def _hang_up(connection: "asyncpg.Connection[Record]") -> None:
    with contextlib.suppress(*UNREACHABLE, asyncpg.PostgresError):
        await connection.close(timeout=2)


def _invalid() -> Refused:
    return Refused(
        "auth.invalid",
        "This is not a valid API key: check that the whole of it was copied, or make a new one.",
    )


def _entry_of(found: store.Found, asked: float) -> _Entry:
    lists = [found.key.ip_allowlist] if found.key.ip_allowlist else []
    if found.agency_allowlist:
        lists.append(_agency_networks(found.agency_allowlist))
    return _Entry(
        verified=Verified(found.key, found.key.held),
        allowlists=tuple(lists),
        secret_ends_at=found.ends_at,
        loaded_at=found.loaded_at,
        asked=asked,
    )


def _agency_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    try:
        return networks(texts)
    except BadFields:  # a list that cannot be read lets nobody in
        return ()
