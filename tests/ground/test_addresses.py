"""Where calls come from: one spelling of an address, and whose word about it is believed."""

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from colonnade.ground.core.addresses import read_address, read_network, spelled
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.ground.web.visits import visit_of


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:0DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:c000:201]:9", "192.0.2.1"),
        ("2001:db8::1:443", "2001:db8::1:443"),
    ],
)
def test_an_address_has_one_spelling(text: str, known: str) -> None:
    assert spelled(text) == known


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "unknown", "_hidden", "unix:", "localhost", "192.0.2.1, 192.0.2.2", "192.0.2.1;", "0x7f.1"),
        *("192.0.2", "010.0.0.1", "192.0.2.1:port", "[192.0.2.1", "[]", "1" * 5000, "\uff11.2.3.4", "1.2.3.4:\u0665"),
    ],
)
def test_what_is_no_address_is_none(text: str | None) -> None:
    assert spelled(text) is None


def test_what_is_too_long_for_an_address_is_not_remembered() -> None:
    before = read_address.cache_info().currsize
    assert spelled("9" * 60_000) is None
    assert read_address.cache_info().currsize == before


def test_an_allowlist_takes_blocks_of_both_kinds_and_says_what_is_wrong_with_others() -> None:
    assert str(read_network("::ffff:10.0.0.0/104")) == "10.0.0.0/8"
    assert str(read_network("2001:db8::/32")) == "2001:db8::/32"
    for wrong in ("fe80::1%eth0", "10.0.0.1/8", "example.com", "", "10.0.0.0/33"):
        with pytest.raises(ValueError, match=r"zone|did you mean 10\.0\.0\.0/8|is neither"):
            read_network(wrong)


async def source(hops: int, peer: str, *headers: tuple[str, str]) -> str:
    """From where the house takes a call to come."""

    async def say(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(visit_of(scope).address or "unknown")(scope, receive, send)

    layers = Envelope(say, EnvelopeOptions(trusted_proxies=hops), lambda _visit: None)
    transport = httpx2.ASGITransport(layers, client=(peer, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://house.test") as client:
        return (await client.get("/", headers=list(headers))).text


XFF = "x-forwarded-for"


@pytest.mark.parametrize(
    ("hops", "headers", "seen"),
    [
        (0, [(XFF, "203.0.113.7")], "198.51.100.1"),
        (0, [("forwarded", "for=203.0.113.7"), ("x-real-ip", "203.0.113.7")], "198.51.100.1"),
        (1, [], "198.51.100.1"),
        (1, [(XFF, "203.0.113.7")], "203.0.113.7"),
        (1, [(XFF, "10.0.0.1, 203.0.113.7")], "203.0.113.7"),
        (1, [(XFF, "10.0.0.1"), (XFF, "203.0.113.7")], "203.0.113.7"),
        (1, [(XFF, "203.0.113.7"), ("forwarded", "for=10.0.0.1")], "203.0.113.7"),
        (1, [(XFF, "10.0.0.1, ,, 203.0.113.7")], "203.0.113.7"),
        (1, [(XFF, "203.0.113.7:51234")], "203.0.113.7"),
        (1, [(XFF, "[2001:db8::7]:51234")], "2001:db8::7"),
        (1, [(XFF, "fe80::7%eth0")], "fe80::7"),
        (1, [(XFF, "::ffff:203.0.113.7")], "203.0.113.7"),
        (1, [(XFF, "10.0.0.1, unknown")], "unknown"),
        (1, [(XFF, "10.0.0.1, _hidden")], "unknown"),
        (2, [(XFF, "10.0.0.1, 203.0.113.7, 192.0.2.2")], "203.0.113.7"),
        (2, [(XFF, "203.0.113.7")], "198.51.100.1"),
        (2, [(XFF, ", , ,")], "198.51.100.1"),
    ],
    ids=str,
)
async def test_only_what_a_trusted_proxy_added_says_where_a_call_comes_from(
    hops: int, headers: list[tuple[str, str]], seen: str
) -> None:
    assert await source(hops, "198.51.100.1", *headers) == seen


@pytest.mark.parametrize(
    ("peer", "seen"), [("::ffff:198.51.100.1", "198.51.100.1"), ("fe80::1%lo", "fe80::1"), ("testclient", "unknown")]
)
async def test_the_other_end_of_the_line_has_one_spelling_too(peer: str, seen: str) -> None:
    assert await source(0, peer) == seen
