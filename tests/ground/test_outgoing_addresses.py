"""The rules about addresses, over a corpus of disguises and over all numbers."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.ground.outgoing import Address, canonical, read_literal, refused_as

FOURS = st.integers(0, 2**32 - 1).map(IPv4Address)
SIXES = st.integers(0, 2**128 - 1).map(IPv6Address)

# Random numbers seldom fall into narrow ranges, so half of the addresses are drawn from around their edges.
EDGES_4 = ["0.0.0.0", "10.0.0.0", "100.64.0.0", "127.0.0.0", "169.254.0.0", "172.16.0.0", "192.0.0.0", "192.0.2.0"]
EDGES_4 += ["192.88.99.0", "192.168.0.0", "198.18.0.0", "198.51.100.0", "203.0.113.0", "224.0.0.0", "240.0.0.0"]
EDGES_6 = ["::1", "::ffff:0:0", "64:ff9b::", "100::", "2001::", "2001:2::", "2001:db8::", "2002::", "3fff::", "5f00::"]
EDGES_6 += ["fc00::", "fe80::", "fec0::", "ff00::"]

NEAR_4 = st.builds(
    lambda edge, step: IPv4Address(int(IPv4Address(edge)) + step), st.sampled_from(EDGES_4), st.integers(0, 2**16)
)
NEAR_6 = st.builds(
    lambda edge, step: IPv6Address(int(IPv6Address(edge)) + step), st.sampled_from(EDGES_6), st.integers(0, 2**112)
)
ADDRESSES: st.SearchStrategy[Address] = st.one_of(FOURS, SIXES, NEAR_4, NEAR_6)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.169.254", "link-local"),
        ("172.31.255.255", "private"),
        ("192.0.0.170", "protocol assignments"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("192.168.1.1", "private"),
        ("198.19.255.255", "benchmarking"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.7", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "not global unicast"),
        ("::ffff:7f00:1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:0:127.0.0.1", "not global unicast"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::1", "local NAT64"),
        ("100::1", "discard"),
        ("100:0:0:1::1", "not global unicast"),
        ("2001::1", "Teredo"),
        ("2001:2::1", "benchmarking"),
        ("2001:20::1", "protocol assignments"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::", "6to4"),
        ("3fff:fff::1", "documentation"),
        ("4000::1", "not global unicast"),
        ("5f00::1", "segment routing"),
        ("fc00::1", "unique local"),
        ("fdff::1", "unique local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ],
)
def test_an_address_off_the_public_internet_is_refused_by_its_kind(text: str, kind: str) -> None:
    assert refused_as(ip_address(text)) == kind


PUBLIC = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 198.17.255.255"
PUBLIC += (
    " 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 2001:200::1 2003::1 2001:4860:4860::8888 2606:4700::1111 3ffe:ffff::1"
)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_a_public_address_is_not_refused(text: str) -> None:
    assert refused_as(ip_address(text)) is None


@given(ADDRESSES)
def test_whatever_the_standard_library_holds_for_special_is_refused(address: Address) -> None:
    real = canonical(address)

    if not real.is_global or real.is_multicast or real.is_reserved or real.is_loopback:
        assert refused_as(address)


@given(ADDRESSES)
def test_the_canonical_form_is_final_and_judged_alike(address: Address) -> None:
    assert canonical(canonical(address)) == canonical(address)
    assert refused_as(canonical(address)) == refused_as(address)


@given(st.one_of(FOURS, NEAR_4))
def test_an_ipv4_address_is_judged_alike_in_every_disguise(address: IPv4Address) -> None:
    value = int(address)
    first, second, third, fourth = address.packed
    disguises = [
        str(address),
        f"{address}.",
        str(value),
        hex(value),
        f"0{value:o}",
        f"{first}.{value & 0xFFFFFF}",
        f"0x{first:x}.{second:#X}.{value & 0xFFFF}",
        f"0{first:o}.0{second:o}.0{third:o}.0{fourth:o}",
        f"{first:#x}.{second}.0{third:o}.{fourth:#04x}",
        f"[::ffff:{address}]",
        f"[::ffff:{value >> 16:x}:{value & 0xFFFF:x}]",
        f"[0:0:0:0:0:FFFF:{value >> 16:04X}:{value & 0xFFFF:04X}%25lo]",
    ]

    for disguise in disguises:
        read = read_literal(disguise)
        assert read == address, disguise
        assert refused_as(read) == refused_as(address)


@given(st.one_of(FOURS, NEAR_4))
def test_an_ipv4_address_carried_inside_ipv6_never_passes(address: IPv4Address) -> None:
    value = int(address)
    carriers = [
        IPv6Address(value),
        IPv6Address(0xFFFF << 48 | value),
        IPv6Address((0x64FF9B << 96) | value),
        IPv6Address((0x2002 << 112) | value << 80),
        IPv6Address((0x20010000 << 96) | (value ^ 0xFFFFFFFF)),
    ]

    assert all(refused_as(carrier) for carrier in carriers)


@given(SIXES)
def test_an_ipv6_literal_is_read_whatever_its_spelling(address: IPv6Address) -> None:
    spellings = [
        f"[{address}]",
        f"[{address.exploded}]",
        f"{address}",
        f"[{str(address).upper()}%25eth0]",
        f"{address}%1",
    ]

    assert {read_literal(spelling) for spelling in spellings} == {canonical(address)}


@pytest.mark.parametrize("host", ["example.com", "localhost", "1.example", "0x7f.com", "a-1", "xn--fa-hia.de", "", "."])
def test_a_name_is_not_a_literal(host: str) -> None:
    assert read_literal(host) is None


BROKEN = (
    "1.2.3.4.5 256.1.1.1 1.2.3.256 4294967296 08.1.1.1 example.1 1..1 0x1ffffffff ::1:: [::g] 127.0.0.0x100 1.16777216"
)


@pytest.mark.parametrize("host", [*BROKEN.split(), "9" * 250, "٣.1"])
def test_a_host_that_ends_in_a_number_and_is_no_address_is_an_error(host: str) -> None:
    with pytest.raises(ValueError, match=r"IPv4|invalid literal|At most|Only hex"):
        read_literal(host)


@given(st.text(max_size=40) | st.text("0123456789abcdefxX.:[]%", max_size=20))
def test_reading_a_host_answers_or_raises_value_error_and_nothing_else(host: str) -> None:
    try:
        address = read_literal(host)
    except ValueError:
        address = None

    assert address is None or canonical(address) == address
