"""The outermost layer: request id, size of the body, headers of every answer, the last resort, the log line."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from colonnade.ground.core.ids import is_sane_request_id, new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.web.problems import a_mistake_of_ours, answer_refused
from colonnade.ground.web.visits import Visit

_log = structlog.get_logger("colonnade.requests")

MOST_BYTES: Final = 1024 * 1024

ONCE: Final = frozenset(
    {
        b"authorization",
        b"x-auth",
        b"x-workspace-id",
        b"idempotency-key",
        b"if-match",
        b"content-length",
        b"content-type",
        b"x-request-id",
    }
)
"""Headers that may stand once: two of them would let two readers see two different requests."""

SECURITY_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""For every answer that does not set its own."""


class _TooLarge(Refused):
    def __init__(self, most: int) -> None:
        super().__init__("request.too_large", f"The body may hold at most {most:,} bytes.", details={"limit": most})


@dataclass(frozen=True, slots=True)
class EnvelopeOptions:
    """How many proxies in front are ours, whose `X-Forwarded-For` is therefore believed."""

    trusted_proxies: int = 0
    most_bytes: Callable[[str], int] = lambda _path: MOST_BYTES


class Envelope:
    """Pure ASGI. Everything that leaves the house passes here, refusals of every layer included."""

    def __init__(self, app: ASGIApp, options: EnvelopeOptions, log: Callable[[Visit], None]) -> None:
        self._app = app
        self._options = options
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(_request_id(scope), self._address(scope), scope["method"], scope["path"])
        visit.put_on(scope)
        answering = _Answering(send, visit)
        try:
            _refuse_repeated_headers(scope)
            most = self._options.most_bytes(scope["path"])
            _refuse_announced_size(scope, most)
            await self._app(scope, _bounded(receive, most), answering)
        except Refused as refused:
            await self._last_resort(refused, scope, receive, answering)
        except Exception:
            _log.exception("requests.crashed", request_id=visit.request_id, route=visit.route)
            await self._last_resort(a_mistake_of_ours(), scope, receive, answering)
        finally:
            visit.duration_ms = (time.perf_counter() - visit.started) * 1000
            self._log(visit)

    async def _last_resort(self, refused: Refused, scope: Scope, receive: Receive, send: "_Answering") -> None:
        if not send.started:
            await answer_refused(refused, scope)(scope, receive, send)

    def _address(self, scope: Scope) -> str | None:
        peer: str | None = scope["client"][0] if scope.get("client") else None
        hops = self._options.trusted_proxies
        if not hops:
            return peer
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        chain = [hop.strip() for hop in ",".join(forwarded).split(",") if hop.strip()]
        return chain[-hops] if len(chain) >= hops else peer


class _Answering:
    """Adds the headers that every answer has, and remembers whether the answer has begun."""

    def __init__(self, send: Send, visit: Visit) -> None:
        self._send = send
        self._visit = visit
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._visit.status = message["status"]
            headers = list(message["headers"])
            present = {name for name, _ in headers}
            headers += [
                (b"x-request-id", self._visit.request_id.encode("latin-1")),
                (b"colonnade-mode", self._visit.mode.encode()),
                *self._visit.answer_headers,
                *(pair for pair in SECURITY_HEADERS if pair[0] not in present),
            ]
            message["headers"] = headers
        await self._send(message)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text if is_sane_request_id(text) else new_request_id()
    return new_request_id()


def _refuse_repeated_headers(scope: Scope) -> None:
    seen: set[bytes] = set()
    for name, _ in scope["headers"]:
        if name in ONCE and name in seen:
            raise Refused("request.malformed", f"The header `{name.decode()}` may stand only once in a request.")
        seen.add(name)


def _refuse_announced_size(scope: Scope, most: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise _TooLarge(most)


def _bounded(receive: Receive, most: int) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLarge(most)
        return message

    return bounded
