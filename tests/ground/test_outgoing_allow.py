"""The operator's allow list: what it opens, and how it complains."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.ground.outgoing import AllowList
from colonnade.ground.outgoing.allow import AllowedTarget

MAPPED = IPv6Network("::ffff:0:0/96")
FOURS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda drawn: IPv4Network(drawn, strict=False))
SIXES = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(lambda drawn: IPv6Network(drawn, strict=False))
NETWORKS = FOURS | SIXES.filter(lambda network: not network.subnet_of(MAPPED))
TARGETS = st.builds(AllowedTarget, NETWORKS, st.none() | st.integers(1, 65535))


def test_an_empty_list_opens_nothing() -> None:
    assert not AllowList.parse("  ").allows(ip_address("127.0.0.1"), 80)
    assert AllowList.parse("") == AllowList()


@pytest.mark.parametrize(
    ("address", "port", "opened"),
    [
        ("127.0.0.1", 8080, True),
        ("127.0.0.1", 8081, False),
        ("127.0.0.2", 8080, False),
        ("::ffff:127.0.0.1", 8080, True),
        ("::1", 1, True),
        ("::1", 65535, True),
        ("::2", 1, False),
        ("10.255.0.1", 443, True),
        ("10.255.0.1", 80, False),
        ("192.168.7.7", 9, True),
        ("192.168.7.8", 9, False),
    ],
)
def test_an_entry_opens_its_network_at_its_port_alone(address: str, port: int, opened: bool) -> None:
    allow = AllowList.parse("127.0.0.1/32:8080, [::1]/128:*\n10.0.0.0/8:443,192.168.7.7:9")

    assert allow.allows(ip_address(address), port) is opened


UNREADABLE = "127.0.0.1 127.0.0.1/32 127.0.0.1/33:80 10.0.0.1/8:80 localhost:80 ::1/128:80 [::1/128]:80 127.0.0.1/32:0"
UNREADABLE += (
    " 127.0.0.1/32:65536 127.0.0.1/32:http [::1]/129:* [::ffff:10.0.0.0]/104:* *:* 1.2:3 :80 [::g]:1 127.0.0.1/32:٣"
)


@pytest.mark.parametrize("entry", UNREADABLE.split())
def test_an_entry_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(entry))):
        AllowList.parse(f"127.0.0.1/32:8080, {entry}")


@given(st.lists(TARGETS, max_size=5).map(tuple))
def test_a_list_reads_back_as_it_is_written(targets: tuple[AllowedTarget, ...]) -> None:
    assert AllowList.parse(str(AllowList(targets))) == AllowList(targets)
