"""Who calls: one ASGI layer that turns a credential into a `Caller` before anything of the body is read."""

from collections.abc import Container, Mapping
from typing import Final, NamedTuple, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.web.problems import answer_refused
from colonnade.ground.web.visits import Visit, Whose, visit_of

API_PATHS: Final = ("/v1/", "/api/", "/company/")
"""Where callers matter; everything else is public pages."""

SESSION_PATHS: Final = "/v1/"
"""Where somebody who is signed in is a caller; the other surfaces are for keys alone."""


class Rate(NamedTuple):
    """What a limiter said: the limit, its window, and what is left of it."""

    granted: bool
    limit: int
    window_seconds: int
    remaining: int
    resets_in_seconds: int


class Admission(NamedTuple):
    """A caller of any request, with what is left of its rate limit (none where it has no limit)."""

    caller: Caller
    rate: Rate | None
    csrf_token: str | None = None
    credential: object = None


class TurnedAway(Refused):
    """The refusal of a credential that is known: whose it is goes into the request log, so that its agency sees it."""

    def __init__(self, refused: Refused, whose: Whose) -> None:
        super().__init__(refused.reason, refused.sentence, details=refused.details, headers=refused.headers)
        self.whose = whose


class Doorkeeper(Protocol):
    """What the doorway asks; the keys slice answers."""

    async def admit(self, credential: str, address: str | None) -> Admission:
        """The caller behind a credential, or a refusal: unknown, revoked, expired, wrong address."""
        ...

    async def count_anonymous(self, address: str | None) -> Rate:
        """Count a call without a valid credential against its address."""
        ...


class SessionDoorkeeper(Protocol):
    """What the doorway asks about people who are signed in; the sessions slice answers."""

    @property
    def cookie_name(self) -> str:
        """The cookie that holds a session."""
        ...

    async def admit(self, cookie: str, address: str | None) -> Admission | Refused:
        """The member behind the cookie of a session, or why there is none."""
        ...


class Doorway:
    """Pure ASGI. A missing credential is left to the route, for some routes want none; a bad key ends here.

    The cookie of a session that is over counts as none, so that whoever still has it can sign in again. At paths for
    anyone no credential is looked at, and each call counts for its address.
    """

    def __init__(
        self,
        app: ASGIApp,
        keeper: Doorkeeper,
        sessions: SessionDoorkeeper | None = None,
        *,
        for_anyone: Container[str] = frozenset(),
    ) -> None:
        self._app = app
        self._keeper = keeper
        self._sessions = sessions
        self._for_anyone = for_anyone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(API_PATHS):
            await self._app(scope, receive, send)
            return
        visit = visit_of(scope)
        try:
            await self._enter(scope, visit)
        except Refused as refused:
            visit.turned_away = refused.whose if isinstance(refused, TurnedAway) else None
            await answer_refused(refused, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _enter(self, scope: Scope, visit: Visit) -> None:
        if scope["path"] in self._for_anyone:
            _pass(visit, await self._keeper.count_anonymous(visit.address))
            return
        try:
            credential = _credential(visit.headers)
            admission = await self._keeper.admit(credential, visit.address) if credential else None
            if b"cookie" in visit.headers:
                admission = _one_of(admission, await self._session(scope, visit))
        except Refused as refused:
            if refused.reason == "auth.invalid":
                _pass(visit, await self._keeper.count_anonymous(visit.address))
            raise
        if admission is None:
            _pass(visit, await self._keeper.count_anonymous(visit.address))
            return
        visit.caller, visit.csrf_token = admission.caller, admission.csrf_token
        visit.credential = admission.credential
        if admission.rate is not None:
            _pass(visit, admission.rate)

    async def _session(self, scope: Scope, visit: Visit) -> Admission | None:
        if self._sessions is None or not scope["path"].startswith(SESSION_PATHS):
            return None
        sent = _cookies(scope, self._sessions.cookie_name)
        if not sent:
            return None
        # Two cookies of one name: somebody else has put one there, and nothing tells which.
        cookie = sent.pop() if len(sent) == 1 else ""
        session = await self._sessions.admit(cookie, visit.address)
        if isinstance(session, Refused):
            visit.unknown = session
            return None
        return session


def _one_of(by_key: Admission | None, by_session: Admission | None) -> Admission | None:
    if by_key is not None and by_session is not None:
        raise Refused("auth.invalid", "A key and a session are two different callers; send one of them.")
    return by_key or by_session


def _cookies(scope: Scope, name: str) -> set[str]:
    """The values under which a cookie was sent."""
    sent = [value.decode("latin-1") for header, value in scope["headers"] if header == b"cookie"]
    pairs = [pair.strip().partition("=") for pair in ";".join(sent).split(";")]
    return {value for key, _, value in pairs if key == name}


def _credential(headers: Mapping[bytes, bytes]) -> str | None:
    authorization, token = headers.get(b"authorization"), headers.get(b"x-auth", b"").decode("latin-1").strip()
    bearer = None if authorization is None else _bearer(authorization.decode("latin-1"))
    if bearer and token and bearer != token:
        raise Refused("auth.invalid", "`Authorization` and `X-Auth` carry two different keys; send one of them.")
    return bearer or token


def _bearer(header: str) -> str:
    scheme, _, credential = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise Refused("auth.invalid", "The `Authorization` header must be `Bearer KEY`.")
    return credential.strip()


def _pass(visit: Visit, rate: Rate) -> None:
    visit.answer_headers += [
        (b"ratelimit-policy", f'"default";q={rate.limit};w={rate.window_seconds}'.encode()),
        (b"ratelimit", f'"default";r={rate.remaining};t={rate.resets_in_seconds}'.encode()),
    ]
    if not rate.granted:
        raise Refused(
            "request.too_many",
            f"The limit of {rate.limit} requests in {rate.window_seconds} seconds is used up. "
            f"Try again in {rate.resets_in_seconds} seconds.",
            details={"limit": rate.limit, "windowSeconds": rate.window_seconds},
            headers={"Retry-After": str(rate.resets_in_seconds)},
        )
