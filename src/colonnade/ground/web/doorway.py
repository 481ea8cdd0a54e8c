"""Who calls: one ASGI layer that turns a credential into a `Caller` before anything of the body is read."""

from dataclasses import dataclass
from typing import Final, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import Refused
from colonnade.ground.web.problems import answer_refused
from colonnade.ground.web.visits import Visit, visit_of

API_PATHS: Final = ("/v1/", "/api/", "/company/")
"""Where callers matter; everything else is public pages."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a limiter said: the limit, its window, and what is left of it."""

    granted: bool
    limit: int
    window_seconds: int
    remaining: int
    resets_in_seconds: int


@dataclass(frozen=True, slots=True)
class Admission:
    """A caller with what is left of its rate limit (none where it has no limit)."""

    caller: Caller
    rate: Rate | None


class Doorkeeper(Protocol):
    """What the doorway asks; the keys slice answers."""

    async def admit(self, credential: str, request_id: str, address: str | None) -> Admission:
        """The caller behind a credential, or a refusal: unknown, revoked, expired, wrong address."""
        ...

    async def count_anonymous(self, address: str | None) -> Rate:
        """Count a call without a valid credential against its address."""
        ...


class Doorway:
    """Pure ASGI. A missing credential is left to the route, for some routes want none; a bad one ends here."""

    def __init__(self, app: ASGIApp, keeper: Doorkeeper) -> None:
        self._app = app
        self._keeper = keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(API_PATHS):
            await self._app(scope, receive, send)
            return
        visit = visit_of(scope)
        try:
            await self._enter(scope, visit)
        except Refused as refused:
            await answer_refused(refused, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _enter(self, scope: Scope, visit: Visit) -> None:
        try:
            credential = _credential(scope)
            admission = await self._keeper.admit(credential, visit.request_id, visit.address) if credential else None
        except Refused as refused:
            if refused.reason == "auth.invalid":
                _pass(visit, await self._keeper.count_anonymous(visit.address))
            raise
        if admission is None:
            _pass(visit, await self._keeper.count_anonymous(visit.address))
            return
        visit.caller = admission.caller
        if admission.rate is not None:
            _pass(visit, admission.rate)


def _credential(scope: Scope) -> str | None:
    bearer = token = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            bearer = _bearer(value.decode("latin-1"))
        elif name == b"x-auth":
            token = value.decode("latin-1").strip()
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
