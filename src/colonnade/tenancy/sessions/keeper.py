"""What the HTTP door asks of sessions: the ring that knows them, the count of their calls, and the cookie."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from colonnade.ground.core.addresses import Network
from colonnade.ground.core.callers import Caller, CallerKind, Reach, TwoFactor
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.scopes import ROLES
from colonnade.ground.core.secrets import Pepper, is_token
from colonnade.ground.db.database import Database, Record
from colonnade.ground.db.rings import Ring, RingOptions, Source
from colonnade.ground.web.doorway import Admission
from colonnade.tenancy.keys import MEMBER_RATE, Limiter, Uses, address_refused, agency_networks, is_on, rate_of
from colonnade.tenancy.people import EVERYWHERE
from colonnade.tenancy.sessions import store
from colonnade.tenancy.sessions.model import IDLE, Started, session_ended, two_factor
from colonnade.tenancy.sessions.service import KIND


@dataclass(frozen=True, slots=True)
class Cookie:
    """How a browser keeps a session: no script reads it, and over TLS no other host can put one in its place."""

    name: str = "colonnade_session"
    is_secure: bool = False

    @classmethod
    def of(cls, public_url: str | None) -> "Cookie":
        """The cookie of an installation with this address."""
        return cls("__Host-colonnade", is_secure=True) if (public_url or "").startswith("https:") else cls()

    def give(self, response: Response, started: Started) -> None:
        """Let the browser keep the new session; nothing else ever shows its text."""
        lasts = started.session.expires_at - started.session.created_at
        self._set(response, started.secret.reveal(), lasts)

    def take(self, response: Response) -> None:
        """Let the browser forget its session."""
        self._set(response, "", timedelta())

    def _set(self, response: Response, value: str, lasts: timedelta) -> None:
        seconds = int(lasts.total_seconds())
        response.set_cookie(
            self.name, value, max_age=seconds, path="/", secure=self.is_secure, httponly=True, samesite="lax"
        )


def csrf_token(pepper: Pepper, session_id: str) -> str:
    """What a write with this session brings along; pages of other sites cannot know it."""
    return pepper.sign("csrf", session_id)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was read of one session, and the moment of this process before it was asked for."""

    session_id: str
    identities: tuple[str, ...]
    caller: Caller
    allowlist: tuple[Network, ...]
    ends_at: datetime
    loaded_at: datetime
    asked: float

    @property
    def is_over(self) -> bool:
        """Whether its time has come by now."""
        return self.ends_at <= self.loaded_at + timedelta(seconds=time.monotonic() - self.asked)


class SessionKeeper:
    """One for each process: admits members by their cookies and counts what they call."""

    def __init__(
        self,
        database: Database,
        limiter: Limiter,
        cookie: Cookie,
        options: RingOptions | None = None,
        *,
        direct: Database | None = None,
    ) -> None:
        source = Source("sessions", store.CHANNEL, store.LOOK_UP, _entry_of)
        self.ring: Ring[_Entry] = Ring(database, source, options, direct=direct)
        self.uses = Uses(database, store.NOTE_USES)
        self.cookie = cookie
        self._pepper = database.pepper
        self._limiter = limiter

    @property
    def cookie_name(self) -> str:
        """The cookie that holds a session."""
        return self.cookie.name

    async def start(self) -> None:
        """Begin to listen for sessions that end and members who change."""
        await self.ring.start()

    async def close(self) -> None:
        """Write the last notes and stop."""
        await self.ring.close()
        await self.uses.close()

    async def admit(self, cookie: str, address: str | None) -> Admission | Refused:
        """The member behind the cookie of a session, or why there is none."""
        if not is_token(KIND, cookie):
            return session_ended()
        entry = self.ring.warm(cookie) or await self.ring.load(cookie)
        if entry is None or entry.is_over:
            return session_ended()
        if entry.allowlist and not is_on(entry.allowlist, address):
            return address_refused()
        taken = await self._limiter.take(entry.session_id, MEMBER_RATE.requests, MEMBER_RATE.window_seconds)
        self.uses.add(entry.session_id, address)
        return Admission(entry.caller, rate_of(taken, MEMBER_RATE), csrf_token(self._pepper, entry.session_id))


def _entry_of(row: Record, asked: float) -> _Entry:
    standing = standing_of(row["agency_id"], row["role"], row["workspaces"], row["in_workspaces"])
    shown: TwoFactor = two_factor(second_factor=row["second_factor"], is_required=row["requires_two_factor"])
    return _Entry(
        session_id=row["id"],
        identities=(row["id"], row["member_id"], row["person_id"], row["agency_id"]),
        caller=Caller(
            **standing,
            actor_id=row["member_id"],
            actor_name=row["name"] or row["email"],
            request_id="",
            session_id=row["id"],
            two_factor=shown,
        ),
        allowlist=agency_networks(row["agency_allowlist"] or ()),
        ends_at=min(row["expires_at"], row["last_seen_at"] + IDLE),
        loaded_at=row["loaded_at"],
        asked=asked,
    )


def standing_of(agency_id: str, role: str, workspaces: str, assigned: dict[str, str]) -> dict[str, Any]:
    """What a member may do where, in the words of a caller.

    Owners and admins work everywhere. So do others whose membership says `all`, by their role, to which an assignment
    can only add. Whose membership says `assigned` works where they are assigned, by that assignment alone.
    """
    held = ROLES[role]
    if role in EVERYWHERE:
        return {"kind": CallerKind.MEMBER, "reach": Reach(agency_id), "scopes": held}
    everywhere = workspaces == "all"
    scopes_in = {one: ROLES[there] | (held if everywhere else frozenset()) for one, there in assigned.items()}
    reach = Reach(agency_id, None if everywhere else tuple(sorted(assigned)))
    return {"kind": CallerKind.MEMBER, "reach": reach, "scopes": held, "scopes_in": scopes_in}
