"""Pure rules about IP addresses: how a host may spell one, and which are not on the public internet.

The ranges are those of the IANA special-purpose registries (RFC 6890) and of the RFCs named beside them.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

_MAPPED_PREFIX = 0xFFFF
_GLOBAL_UNICAST_PREFIX = 0b001

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+", re.ASCII)


def _span(network: str, kind: str) -> tuple[int, int, str]:
    whole = ip_network(network)
    return int(whole.network_address), int(whole.broadcast_address), kind


_REFUSED_4 = (
    _span("0.0.0.0/8", "unspecified"),
    _span("10.0.0.0/8", "private"),
    _span("100.64.0.0/10", "carrier-grade NAT"),
    _span("127.0.0.0/8", "loopback"),
    _span("169.254.0.0/16", "link-local"),
    _span("172.16.0.0/12", "private"),
    _span("192.0.0.0/24", "protocol assignments"),
    _span("192.0.2.0/24", "documentation"),
    _span("192.88.99.0/24", "6to4 relay"),
    _span("192.168.0.0/16", "private"),
    _span("198.18.0.0/15", "benchmarking"),
    _span("198.51.100.0/24", "documentation"),
    _span("203.0.113.0/24", "documentation"),
    _span("224.0.0.0/4", "multicast"),
    _span("240.0.0.0/4", "reserved"),
)

# The first match names the range, so a narrow range stands before the wide one that holds it.
_REFUSED_6 = (
    _span("::/128", "unspecified"),
    _span("::1/128", "loopback"),
    _span("64:ff9b::/96", "NAT64"),  # RFC 6052
    _span("64:ff9b:1::/48", "local NAT64"),  # RFC 8215
    _span("100::/64", "discard"),  # RFC 6666
    _span("2001::/32", "Teredo"),  # RFC 4380
    _span("2001:2::/48", "benchmarking"),  # RFC 5180
    _span("2001::/23", "protocol assignments"),
    _span("2001:db8::/32", "documentation"),
    _span("2002::/16", "6to4"),  # RFC 3056
    _span("3fff::/20", "documentation"),  # RFC 9637
    _span("5f00::/16", "segment routing"),  # RFC 9602
    _span("fc00::/7", "unique local"),
    _span("fe80::/10", "link-local"),
    _span("fec0::/10", "site-local"),
    _span("ff00::/8", "multicast"),
)


def canonical(address: Address) -> Address:
    """The address that a connection would really reach: IPv4-mapped IPv6 becomes IPv4, a zone id is dropped."""
    if isinstance(address, IPv4Address):
        return address
    value = int(address)
    if value >> 32 == _MAPPED_PREFIX:
        return IPv4Address(value & 0xFFFF_FFFF)
    return IPv6Address(value)


def refused_as(address: Address) -> str | None:
    """The kind of non-public range that holds the address in its canonical form, or None when it is public.

    Of IPv6 only 2000::/3 is handed out as global unicast; everything outside is refused, known or not.
    """
    address = canonical(address)
    value = int(address)
    spans = _REFUSED_4 if isinstance(address, IPv4Address) else _REFUSED_6
    for first, last, kind in spans:
        if first <= value <= last:
            return kind
    if isinstance(address, IPv6Address) and value >> 125 != _GLOBAL_UNICAST_PREFIX:
        return "not global unicast"
    return None


def read_literal(host: str) -> Address | None:
    """The canonical address that a host spells, or None when the host is a name.

    Reads what the C library and browsers read: brackets, zone ids, and IPv4 of one to four decimal, octal or
    hexadecimal numbers. A host that ends in a number and is no such address raises ValueError, as in the WHATWG
    URL standard: no resolver is asked about it.
    """
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        return canonical(IPv6Address(bare.partition("%")[0]))
    numbers = bare.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(numbers[-1]):
        return None
    return _read_ipv4(numbers)


def _read_ipv4(numbers: list[str]) -> IPv4Address:
    if len(numbers) > 4:
        raise ValueError("An IPv4 address has at most four numbers.")
    *leading, last = [_read_number(number) for number in numbers]
    if any(number > 0xFF for number in leading) or last >= 256 ** (4 - len(leading)):
        raise ValueError("A number of the IPv4 address is too large.")
    for position, number in enumerate(leading):
        last += number << 8 * (3 - position)
    return IPv4Address(last)


def _read_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("A part of the IPv4 address is not a number.")
    if text[:2] in {"0x", "0X"}:
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)
