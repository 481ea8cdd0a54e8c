"""The outermost layer: request id, size of the body, headers of every answer, the last resort, the log line."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from colonnade.ground.core.addresses import spelled
from colonnade.ground.core.ids import is_sane_request_id, new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import masked
from colonnade.ground.web.problems import ErrorShapes, a_mistake_of_ours, answer_refused, put_shape
from colonnade.ground.web.visits import Visit

_log = structlog.get_logger("colonnade.requests")

MOST_BYTES: Final = 1024 * 1024
MOST_HEAD_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 30.0
"""A body of which nothing arrives for so long is given up."""

_DRAINED_BYTES: Final = 16 * MOST_BYTES
_DRAINED_SECONDS: Final = 2.0
"""How much of a body that nobody reads is still taken in: a line that is closed on it would lose the answer."""

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
_SECURITY_NAMES: Final = frozenset(name for name, _ in SECURITY_HEADERS)


class _TooLarge(Refused):
    def __init__(self, most: int) -> None:
        super().__init__("request.too_large", f"The body may hold at most {most:,} bytes.", details={"limit": most})


@dataclass(frozen=True, slots=True)
class EnvelopeOptions:
    """How many proxies in front are ours, whose `X-Forwarded-For` is believed; and in what single paths differ."""

    trusted_proxies: int = 0
    most_bytes: Callable[[str], int] = lambda _path: MOST_BYTES
    error_shapes: ErrorShapes = field(default_factory=dict)


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
        headers = dict(scope["headers"])
        address = self._address(scope)
        visit = Visit(_request_id(headers), address, scope["method"], masked(scope["path"]), headers)
        visit.put_on(scope)
        put_shape(scope, self._options.error_shapes)
        most = self._options.most_bytes(scope["path"])
        body = _Body(receive, most, has_ended=not _announces_body(headers))
        answering = _Answering(send, visit, body)
        try:
            _refuse_unclear_head(scope, headers)
            _refuse_announced_size(headers, most)
            await self._app(scope, body, answering)
        except Refused as refused:
            await self._last_resort(refused, scope, body, answering)
        except Exception:
            _log.exception("requests.crashed", request_id=visit.request_id, route=visit.route)
            await self._last_resort(a_mistake_of_ours(), scope, body, answering)
        finally:
            visit.duration_ms = (time.perf_counter() - visit.started) * 1000
            self._log(visit)

    async def _last_resort(self, refused: Refused, scope: Scope, receive: Receive, send: "_Answering") -> None:
        if not send.started:
            await answer_refused(refused, scope)(scope, receive, send)

    def _address(self, scope: Scope) -> str | None:
        """Where the call came from; none where it cannot be told, and then it is on no allowlist.

        Each trusted proxy adds one entry at the end, so the one that the outermost of them added is the source. What
        stands before it was sent by the caller and is worth nothing; so is `Forwarded`, which is not read.
        """
        peer = spelled(scope["client"][0]) if scope.get("client") else None
        hops = self._options.trusted_proxies
        if not hops:
            return peer
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        chain = [hop.strip() for hop in ",".join(forwarded).split(",") if hop.strip()]
        return spelled(chain[-hops]) if len(chain) >= hops else peer


class _Body:
    """The body as it arrives: never more than its limit, never waited for without end."""

    def __init__(self, receive: Receive, most: int, *, has_ended: bool) -> None:
        self._receive = receive
        self._most = most
        self._taken = 0
        self.has_ended = has_ended

    async def __call__(self) -> Message:
        """The next part; after the last one, word of the caller's leaving."""
        if self.has_ended:
            return await self._receive()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await self._next()
        except TimeoutError as error:
            raise Refused("request.malformed", "The body was announced and did not arrive.") from error
        if self._taken > self._most:
            raise _TooLarge(self._most)
        return message

    async def drain(self) -> None:
        """Take in what is left, within reason."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED_SECONDS):
                while not self.has_ended and self._taken < _DRAINED_BYTES:
                    await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        self.has_ended = not message.get("more_body", False)
        return message


class _Answering:
    """Adds the headers that every answer has, and remembers whether the answer has begun."""

    def __init__(self, send: Send, visit: Visit, body: _Body) -> None:
        self._send = send
        self._visit = visit
        self._body = body
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
            ]
            if present.isdisjoint(_SECURITY_NAMES):  # as nearly always
                headers += SECURITY_HEADERS
            else:
                headers += [pair for pair in SECURITY_HEADERS if pair[0] not in present]
            message["headers"] = headers
        if message["type"] == "http.response.body" and not message.get("more_body") and not self._body.has_ended:
            await self._send({**message, "more_body": True})
            await self._body.drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    text = headers.get(b"x-request-id", b"").decode("latin-1")
    return text if is_sane_request_id(text) and masked(text) == text else new_request_id()


def _refuse_unclear_head(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    if len(headers) != len(scope["headers"]):
        for name, often in Counter(name for name, _ in scope["headers"]).items():
            if often > 1 and name in ONCE:
                raise Refused("request.malformed", f"The header `{name.decode()}` may stand only once in a request.")
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"]) + sum(map(len, chain(*scope["headers"])))
    if size > MOST_HEAD_BYTES:
        raise Refused("request.malformed", f"Address and headers may hold at most {MOST_HEAD_BYTES:,} bytes.")


def _announces_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip() != b"0"


def _refuse_announced_size(headers: Mapping[bytes, bytes], most: int) -> None:
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > most:
        raise _TooLarge(most)
