"""The outgoing HTTP client: one for each process, for whoever calls an address that a tenant or an operator wrote."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from types import TracebackType
from typing import Self

import httpx2

from colonnade.ground.outgoing.allow import AllowList
from colonnade.ground.outgoing.model import Answer, OutgoingLimits, OutgoingRefused
from colonnade.ground.outgoing.network import CheckedNetwork, Lookup, system_lookup
from colonnade.ground.outgoing.transport import CheckedTransport
from colonnade.ground.outgoing.urls import port_of, read_url

# They follow from the URL and the body. A caller's own would let a tenant's header list speak for us.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})


class OutgoingClient:
    """Calls public addresses, and those that the operator opened; never follows a redirect, keeps no cookie, uses
    no proxy, and spends no more time and memory than its limits say."""

    def __init__(
        self,
        allow: AllowList,
        limits: OutgoingLimits = OutgoingLimits(),  # noqa: B008  (a frozen value)
        *,
        lookup: Lookup = system_lookup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._network = CheckedNetwork(allow, lookup)
        # SSL_CERT_FILE is honoured: it is how an operator adds the authority of a private network.
        self._tls = tls or httpx2.create_ssl_context()
        self._transport = CheckedTransport(self._network, self._tls, limits)
        self._user_agent = f"Colonnade/{version('colonnade')}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: OutgoingLimits | None = None,
    ) -> Answer:
        """Makes one call and returns the complete answer, whatever its status; raises OutgoingRefused when there is
        none. Headers that frame the message (Host, Content-Length and the like) are ours and are left out."""
        own = {name: value for name, value in (headers or {}).items() if name.lower() not in _OURS}
        request = httpx2.Request(method, read_url(url), headers=own, content=body)
        request.headers.setdefault("user-agent", self._user_agent)
        with _refusals():
            response = await self._transport.send(request, limits or self._limits)
            try:
                content = b"".join([chunk async for chunk in response.aiter_raw()])
            finally:
                await response.aclose()
        return Answer(response.status_code, response.headers, content)

    async def check(self, url: str) -> None:
        """Refuses a URL that we would not call, for the moment when somebody stores it. Looks up, does not connect;
        the call itself checks again, since a name may point elsewhere by then."""
        read = read_url(url)
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                await self._network.addresses_of(read.raw_host.decode("ascii"), port_of(read))
        except TimeoutError:
            raise OutgoingRefused("timeout", "The URL's host name could not be looked up in time.") from None

    def transport(self, limits: OutgoingLimits | None = None) -> httpx2.AsyncBaseTransport:
        """The same filter and bounds for a library that brings its own client: `httpx2.AsyncClient(transport=...)`.

        It has connections of its own and is closed with that client. A refusal reaches the caller as OutgoingRefused
        or as the cause of the library's own error; other failures are httpx2's.
        """
        return CheckedTransport(self._network, self._tls, limits or self._limits)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException:
        raise OutgoingRefused("timeout", "The connection was not made in time.") from None
    except httpx2.LocalProtocolError:
        raise OutgoingRefused("protocol_error", "The request's method or a header is not fit for HTTP.") from None
    except httpx2.ProtocolError:
        raise OutgoingRefused("protocol_error", "The other side did not speak HTTP as it should.") from None
    except httpx2.TransportError as error:
        raise OutgoingRefused("connection_failed", _connection_sentence(error)) from None


def _connection_sentence(error: httpx2.TransportError) -> str:
    cause = error.__cause__
    if cause is not None and any(isinstance(part, ssl.SSLError) for part in cause.args):
        return "No secure connection: the other side's certificate or TLS was not accepted."
    return "The connection could not be made, or broke."
