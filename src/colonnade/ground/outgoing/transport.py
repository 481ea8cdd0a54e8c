"""The transport of every outgoing call: checks the URL, uses the checked network, bounds time and size."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpcore2
import httpx2

from colonnade.ground.outgoing.model import OutgoingLimits, OutgoingRefused
from colonnade.ground.outgoing.network import CheckedNetwork
from colonnade.ground.outgoing.urls import require_callable

_CONNECTIONS_MAX = 100
_CONNECTIONS_IDLE_MAX = 20
# Short, because a kept connection that the other side has just closed costs a failed call.
_IDLE_SECONDS = 5


class CheckedTransport(httpx2.AsyncHTTPTransport):
    """Any httpx2 client over this transport reaches only what the address filter lets through.

    Redirects that such a client follows are calls of their own and are checked again. Compressed answers are
    refused, so the bytes counted are the bytes held.
    """

    def __init__(self, network: CheckedNetwork, tls: ssl.SSLContext, limits: OutgoingLimits) -> None:
        # The parent's constructor would open the way around the filter (proxies, sockets, its own network); without
        # it, a parent that no longer looks for this pool finds none and fails, rather than going unchecked.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            network_backend=network,
            max_connections=_CONNECTIONS_MAX,
            max_keepalive_connections=_CONNECTIONS_IDLE_MAX,
            keepalive_expiry=_IDLE_SECONDS,
        )
        self._limits = limits

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self.send(request, self._limits)

    async def send(self, request: httpx2.Request, limits: OutgoingLimits) -> httpx2.Response:
        """Sends under these limits; the body is still to be read, under the same deadline, and the response closed."""
        require_callable(request.url)
        request.headers["accept-encoding"] = "identity"
        # Nothing else is passed on: an extension could name another TLS server than the URL does.
        request.extensions = {"timeout": _bounded_timeouts(request, limits)}
        deadline = asyncio.get_running_loop().time() + limits.total_seconds
        try:
            async with asyncio.timeout_at(deadline):
                response = await super().handle_async_request(request)
        except TimeoutError:
            raise _too_slow() from None
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            await response.aclose()
            raise OutgoingRefused("protocol_error", "The answer was compressed although we asked for it plain.")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, deadline, limits.body_bytes)
        return response


class _BoundedStream(httpx2.AsyncByteStream):
    """The bytes of a body until they are too many or too late."""

    def __init__(self, inner: httpx2.AsyncByteStream, deadline: float, bytes_max: int) -> None:
        self._inner = inner
        self._deadline = deadline
        self._bytes_max = bytes_max

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        taken = 0
        while (chunk := await self._next(chunks)) is not None:
            taken += len(chunk)
            if taken > self._bytes_max:
                raise OutgoingRefused("too_large", f"The answer is longer than {self._bytes_max} bytes.")
            yield chunk

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(chunks, None)
        except TimeoutError:
            raise _too_slow() from None

    async def aclose(self) -> None:
        await self._inner.aclose()


def _bounded_timeouts(request: httpx2.Request, limits: OutgoingLimits) -> dict[str, float | None]:
    asked: dict[str, float | None] = request.extensions.get("timeout", {})
    return {**asked, "connect": min(asked.get("connect") or limits.connect_seconds, limits.connect_seconds)}


def _too_slow() -> OutgoingRefused:
    return OutgoingRefused("timeout", "The answer did not arrive in time.")
