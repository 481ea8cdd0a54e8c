"""The network under the HTTP client: looks a host up, checks every address, connects to a checked one.

Host names stay with the layers above, so the Host header and the TLS server name are what the URL says.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address

import httpcore2

from colonnade.ground.outgoing.addresses import Address, canonical, read_literal, refused_as
from colonnade.ground.outgoing.allow import AllowList
from colonnade.ground.outgoing.model import OutgoingRefused

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]

# A name may answer with hundreds of addresses. All are checked; this many are tried.
_ADDRESSES_TRIED_MAX = 6

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """All addresses that the machine's resolver knows for a host, as text, in the order to try them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _family, _type, _protocol, _name, sockaddr in found]


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that are public or on the operator's allow list, and to nothing else."""

    def __init__(self, allow: AllowList, lookup: Lookup) -> None:
        self._allow = allow
        self._lookup = lookup
        self._plain = httpcore2.AnyIOBackend()

    async def addresses_of(self, host: str, port: int) -> tuple[Address, ...]:
        """Every address of the host, canonical and checked. One bad address among good ones refuses the host."""
        literal = read_literal(host)
        addresses = (literal,) if literal is not None else await self._look_up(host, port)
        if any(refused_as(address) and not self._allow.allows(address, port) for address in addresses):
            raise OutgoingRefused("address_refused", "The URL's host is not on the public internet.")
        return addresses

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (the signature is the library's)
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Lookup and connection share the one deadline."""
        assert timeout is not None, "a connection without a deadline"
        assert local_address is None, "the machine chooses the way out"
        try:
            async with asyncio.timeout(timeout) as deadline:
                addresses = await self.addresses_of(host, port)
                return await self._connect(addresses, port, deadline.when() or 0, socket_options)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("No connection in time.") from None

    async def _look_up(self, host: str, port: int) -> tuple[Address, ...]:
        try:
            texts = await self._lookup(host, port)
            addresses = dict.fromkeys(canonical(ip_address(text)) for text in texts)
        except (OSError, ValueError):
            # ValueError covers an answer that is no address, and names that the codec of host names will not take.
            raise _not_found() from None
        if not addresses:
            raise _not_found()
        return tuple(addresses)

    async def _connect(
        self,
        addresses: tuple[Address, ...],
        port: int,
        deadline: float,
        socket_options: Iterable[_SocketOption] | None,
    ) -> httpcore2.AsyncNetworkStream:
        # An address that swallows packets gets its share of the time and not all of it, so the next is tried too.
        now = asyncio.get_running_loop().time
        tried = addresses[:_ADDRESSES_TRIED_MAX]
        failure: Exception | None = None
        for left, address in zip(range(len(tried), 0, -1), tried, strict=True):
            share = max(deadline - now(), 0) / left
            try:
                return await self._plain.connect_tcp(str(address), port, share, None, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None, "a host without an address was let through"
        raise failure


def _not_found() -> OutgoingRefused:
    return OutgoingRefused("lookup_failed", "The URL's host name could not be looked up.")
