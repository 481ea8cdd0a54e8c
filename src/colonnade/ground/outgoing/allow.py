"""The operator's allow list: the only door through the address filter. A pure value, read from one line of text."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

from colonnade.ground.outgoing.addresses import Address, canonical

_ENTRY = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[0-9.]+))(?P<prefix>/\d{1,3})?:(?P<port>\*|\d{1,5})", re.ASCII
)
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class AllowedTarget:
    """One entry: a network, and one port of it or (None) all of them."""

    network: IPv4Network | IPv6Network
    port: int | None

    def __str__(self) -> str:
        network = self.network
        host = f"[{network.network_address}]" if network.version == 6 else str(network.network_address)
        return f"{host}/{network.prefixlen}:{'*' if self.port is None else self.port}"

    def holds(self, address: Address, port: int) -> bool:
        return address in self.network and self.port in {None, port}


@dataclass(frozen=True, slots=True)
class AllowList:
    """Networks and ports that the operator opens although they are not public. Empty unless somebody says otherwise."""

    targets: tuple[AllowedTarget, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `CIDR:port` entries parted by commas or blanks (`127.0.0.1/32:8080 [::1]/128:*`); a network without
        `/` is one address. ValueError names the entry that cannot be read."""
        return cls(tuple(_read_entry(entry) for entry in re.split(r"[\s,]+", text) if entry))

    def allows(self, address: Address, port: int) -> bool:
        """Whether the operator opened this port of this address, in whatever form the address is written."""
        address = canonical(address)
        return any(target.holds(address, port) for target in self.targets)

    def __str__(self) -> str:
        return ", ".join(str(target) for target in self.targets)


def _read_entry(entry: str) -> AllowedTarget:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"{entry!r} is not CIDR:port, such as 127.0.0.1/32:8080, [::1]/128:* or 10.0.0.0/8:443.")
    try:
        network = ip_network((match["six"] or match["four"]) + (match["prefix"] or ""))
    except ValueError as error:
        raise ValueError(f"{entry!r} names no network: {error}.") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError(f"{entry!r} is IPv4 in IPv6 clothes: write it as IPv4.")
    port = None if match["port"] == "*" else int(match["port"])
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{entry!r} has a port outside 1 to 65535.")
    return AllowedTarget(network, port)
