"""The key ring: from a key's text to who calls, without a trip to the database while the key is warm."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from colonnade.ground.core.addresses import Network
from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.core.secrets import is_key_text
from colonnade.ground.db.database import Database, Record
from colonnade.ground.db.rings import Ring, RingOptions, Source
from colonnade.ground.web.doorway import TurnedAway
from colonnade.ground.web.visits import Whose
from colonnade.tenancy.keys import store
from colonnade.tenancy.keys.model import (
    Key,
    RateLimit,
    address_refused,
    expired,
    is_on,
    networks,
    revoked,
)


@dataclass(frozen=True, slots=True)
class Verified:
    """A key that opened: who acts, where, with which scopes and how often."""

    key: Key
    caller: Caller

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

    def turned_away(self, refused: Refused) -> TurnedAway:
        """The refusal of this key, which its agency will find in its request log."""
        return TurnedAway(refused, Whose(self.agency_id, self.workspace_id, self.key.id))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was read of one secret, and the moment of this process before it was asked for."""

    verified: Verified
    allowlists: tuple[tuple[Network, ...], ...]
    ends_at: datetime | None
    loaded_at: datetime
    asked: float

    @property
    def identities(self) -> tuple[str, str]:
        """A key hears of itself and of its agency."""
        return self.verified.key.id, self.verified.key.agency_id

    def check(self, address: str | None) -> Verified:
        """The key if it is good now and from here, else the refusal that says why not."""
        key = self.verified.key
        if key.revoked_at is not None:
            raise self.verified.turned_away(revoked(key.revoked_at))
        if self.ends_at is not None and self.ends_at <= self._now():
            raise self.verified.turned_away(expired(self.ends_at))
        if self.allowlists and not all(is_on(allowlist, address) for allowlist in self.allowlists):
            raise self.verified.turned_away(address_refused())
        return self.verified

    def _now(self) -> datetime:
        # The database read its clock after we looked at ours, so this instant is never behind the database's.
        return self.loaded_at + timedelta(seconds=time.monotonic() - self.asked)


class KeyRing(Ring[_Entry]):
    """One for each process. Warm keys cost no trip, cold ones share one; every change of a key is heard at once."""

    def __init__(
        self, database: Database, options: RingOptions | None = None, *, direct: Database | None = None
    ) -> None:
        super().__init__(database, Source("keys", store.CHANNEL, store.LOOK_UP, _entry_of), options, direct=direct)

    async def verify(self, text: str, address: str | None) -> Verified:
        """Who holds this key. Refuses what is no key, is unknown, revoked or expired, or comes from a wrong address."""
        entry = self.warm(text)
        if entry is None and is_key_text(text):
            entry = await self.load(text)
        if entry is None:
            raise _invalid()
        return entry.check(address)


def _invalid() -> Refused:
    return Refused(
        "auth.invalid",
        "This is not a valid API key: check that the whole of it was copied, or make a new one.",
    )


def _entry_of(row: Record, asked: float) -> _Entry:
    found = store.found_of(row)
    lists = [found.key.ip_allowlist] if found.key.ip_allowlist else []
    if found.agency_allowlist:
        lists.append(agency_networks(found.agency_allowlist))
    return _Entry(
        verified=Verified(found.key, _caller_of(found.key)),
        allowlists=tuple(lists),
        ends_at=min((at for at in (found.key.expires_at, found.ends_at) if at is not None), default=None),
        loaded_at=found.loaded_at,
        asked=asked,
    )


def _caller_of(key: Key) -> Caller:
    return Caller(
        kind=CallerKind.AGENCY_KEY if key.scope == "agency" else CallerKind.WORKSPACE_KEY,
        reach=key.reach,
        scopes=key.held,
        actor_id=key.id,
        actor_name=key.name,
        request_id="",
        mode=key.mode,
        workspace_id=key.workspace_id,
    )


def agency_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The allowlist of an agency's settings, as it is checked."""
    try:
        return networks(texts)
    except BadFields:  # a list that cannot be read lets nobody in
        return ()
