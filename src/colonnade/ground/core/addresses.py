"""Source addresses: one spelling for each, whoever wrote it down."""

import ipaddress
import re
from functools import lru_cache
from typing import Final

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")

_WITH_PORT: Final = re.compile(r"\[(?P<six>[^\[\]]*)\](?::\d{1,5})?|(?P<four>[0-9.]+):\d{1,5}", re.ASCII)
"""How proxies write an address with a port. Without brackets an IPv6 address has none (RFC 7239, section 6)."""

_LONGEST: Final = 100
"""More than any address with zone and port; what is longer is not looked at, and not remembered either."""


@lru_cache(4096)
def read_address(text: str | None) -> IpAddress | None:
    """The source address as a value; none where the text is no address.

    A zone (`fe80::1%eth0`) means nothing on another machine and is left out; an IPv4 address inside IPv6
    (`::ffff:192.0.2.1`) is that IPv4 address.
    """
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def spelled(text: str | None) -> str | None:
    """The address in its one spelling, without zone and without the port that a proxy may add; none if it is none."""
    return None if text is None or len(text) > _LONGEST else _spelled(text)


@lru_cache(4096)
def _spelled(text: str) -> str | None:
    plain = text.strip()
    match = _WITH_PORT.fullmatch(plain)
    known = read_address(plain if match is None else match["six"] or match["four"])
    return None if known is None else str(known)


def read_network(text: str) -> Network:
    """An address or a CIDR block of an allowlist; a ValueError says what is wrong with it."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("is neither an IPv4 or IPv6 address nor a CIDR block") from error
    if "%" in text:
        raise ValueError("names a zone, which means nothing on another machine")
    if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"has bits set beyond its prefix; did you mean {network}?")
    return _unmapped(network)


def _unmapped(network: Network) -> Network:
    """An IPv4 block written inside IPv6 (`::ffff:10.0.0.0/104`) is that IPv4 block."""
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        start = ipaddress.IPv4Address(int(network.network_address) & 0xFFFF_FFFF)
        return ipaddress.IPv4Network((start, network.prefixlen - 96))
    return network
