"""The outgoing client against real receivers on loopback: what it reaches, what it refuses, where it stops."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.ground.outgoing import AllowList, OutgoingClient, OutgoingLimits, OutgoingRefused
from colonnade.ground.outgoing.urls import read_url
from tests.fakes.receiver import Receiver
from tests.ground.calling import NAME, client_for, endless, names, reason_of


async def dripping() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0.02)


async def test_a_call_carries_what_it_was_given_and_returns_the_whole_answer() -> None:
    async with Receiver() as receiver, client_for(receiver) as client:
        receiver.answer(201, '{"ok": true}', {"X-Thing": "yes"})

        answer = await client.request("POST", f"{receiver.url}/a?b=c", headers={"X-Signature": "s"}, body=b"hello")

    assert (answer.status, answer.body, answer.headers["x-thing"]) == (201, b'{"ok": true}', "yes")
    [request] = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/a?b=c", b"hello")
    assert request.headers["x-signature"] == "s"
    assert request.headers["user-agent"].startswith("Colonnade/")
    assert request.headers["accept-encoding"] == "identity"


async def test_headers_that_frame_the_message_are_ours() -> None:
    async with Receiver() as receiver, client_for(receiver) as client:
        theirs = {"Host": "internal", "Content-Length": "99", "Transfer-Encoding": "chunked", "Accept-Encoding": "gzip"}
        await client.request("POST", receiver.url, headers=theirs, body=b"12345")

    [request] = receiver.requests
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-length"] == "5"
    assert "transfer-encoding" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


DISGUISES = ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "0x7f.1", "127.1", "0177.1", "127.0.0.1."]
DISGUISES += ["[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "0.0.0.0", "0", "[::]", "[::1]", "[::1%25lo]", "[::1%lo]"]
DISGUISES += ["169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "10.0.0.1", "[2001:db8::1]"]
DISGUISES += ["[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[fc00::1]", "[fe80::1]", "[fe80::1%25eth0]"]
DISGUISES += ["127。0。0。1", "localhost", "LOCALHOST"]


@pytest.mark.parametrize("host", DISGUISES)
async def test_no_spelling_of_a_private_address_is_called(host: str) -> None:
    async with Receiver() as receiver, OutgoingClient(AllowList()) as client:
        url = f"http://{host}:{receiver.port}/"

        assert await reason_of(client.request("GET", url)) == "address_refused"
        assert await reason_of(client.check(url)) == "address_refused"

    assert receiver.connections == 0


BAD_URLS = (
    "ftp://example.com/ file:///etc/passwd gopher://127.0.0.1/ //example.com/ example.com http:// http:example.com"
)
BAD_URLS += (
    " http://user:pw@example.com/ http://user@example.com/ http://:@example.com/ http://%31%32%37.0.0.1/ http://a..b/"
)
BAD_URLS += " http://1.2.3.4.5/ http://256.1.1.1/ http://0177.0.0.1/ http://[::g]/ http://①.0.0.1/ http://ex'ample.com/"
BAD_URLS += (
    " http://example.com:0/ http://example.com:99999/ http://evil.com\\@127.0.0.1/ http://[127.0.0.1]/ http://[a.com]/"
)
UNPRINTABLE = [
    "",
    " http://example.com/",
    "http://a b.example/",
    "http://exa\nmple.com/",
    "http://a\x00b/",
    "http://a/\r\nx",
]
TOO_LONG = ["http://example.com/" + "x" * 3000, "http://" + "a" * 64 + ".com/", "http://" + "a." * 127 + "com/"]


@pytest.mark.parametrize("url", [*BAD_URLS.split(" "), *UNPRINTABLE, *TOO_LONG])
async def test_a_url_that_is_not_plain_http_is_refused_before_any_lookup(url: str) -> None:
    lookup, asked = names(["8.8.8.8"])
    async with OutgoingClient(AllowList(), lookup=lookup) as client:
        assert await reason_of(client.check(url)) == "bad_url"
        assert await reason_of(client.request("GET", url)) == "bad_url"

    assert asked == []


@given(st.from_regex(r"(https?|ftp)?:?//?[^/]{0,40}(/.{0,5})?", fullmatch=True) | st.text(max_size=60))
def test_any_text_is_read_as_a_url_or_refused(text: str) -> None:
    with suppress(OutgoingRefused):
        url = read_url(text)

        assert url.scheme in {"http", "https"}
        assert url.host
        assert not url.userinfo


async def test_a_header_that_would_split_the_request_is_refused() -> None:
    async with Receiver() as receiver, client_for(receiver) as client:
        call = client.request("GET", receiver.url, headers={"x-a": "b\r\nx-evil: 1"})

        assert await reason_of(call) == "protocol_error"

    assert receiver.requests == []


async def test_a_name_with_a_public_address_passes_the_check() -> None:
    lookup, asked = names(["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    async with OutgoingClient(AllowList(), lookup=lookup) as client:
        await client.check(f"https://{NAME}/hook")
        await client.check("https://8.8.8.8/hook")

    assert asked == [NAME]


@pytest.mark.parametrize("bad", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "64:ff9b::a00:1", "127.0.0.1"])
async def test_one_private_address_among_public_ones_refuses_the_name(bad: str) -> None:
    lookup, _ = names(["8.8.8.8", bad, "2606:4700::1111"])
    async with OutgoingClient(AllowList(), lookup=lookup) as client:
        assert await reason_of(client.check(f"https://{NAME}/")) == "address_refused"
        assert await reason_of(client.request("GET", f"https://{NAME}/")) == "address_refused"


async def test_a_refusal_does_not_tell_where_the_name_points() -> None:
    lookup, _ = names(["10.11.12.13"])
    async with OutgoingClient(AllowList(), lookup=lookup) as client:
        with pytest.raises(OutgoingRefused) as caught:
            await client.request("GET", f"http://{NAME}/")

    assert "10.11" not in caught.value.sentence + str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("failure", [OSError("no such name"), UnicodeError("label too long"), ValueError("null")])
async def test_a_failed_lookup_fails_closed(failure: Exception) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        raise failure

    async with OutgoingClient(AllowList.parse("0.0.0.0/0:* [::]/0:*"), lookup=lookup) as client:
        assert await reason_of(client.check(f"http://{NAME}/")) == "lookup_failed"
        assert await reason_of(client.request("GET", f"http://{NAME}/")) == "lookup_failed"


@pytest.mark.parametrize("answer", [[], ["not an address"], ["8.8.8.8", ""]])
async def test_a_lookup_without_a_usable_answer_fails_closed(answer: list[str]) -> None:
    lookup, _ = names(answer)
    async with OutgoingClient(AllowList(), lookup=lookup) as client:
        assert await reason_of(client.request("GET", f"http://{NAME}/")) == "lookup_failed"


async def test_the_systems_resolver_fails_closed_on_a_name_that_cannot_exist() -> None:
    async with OutgoingClient(AllowList()) as client:
        assert await reason_of(client.check("http://does-not-exist.invalid/")) == "lookup_failed"


async def test_a_lookup_that_hangs_ends_with_the_connect_deadline() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with OutgoingClient(AllowList(), OutgoingLimits(connect_seconds=0.05), lookup=lookup) as client:
        assert await reason_of(client.check(f"http://{NAME}/")) == "timeout"
        assert await reason_of(client.request("GET", f"http://{NAME}/")) == "timeout"


async def test_the_connected_address_is_the_checked_one_though_the_name_moves() -> None:
    async with Receiver() as good, Receiver(host="127.0.0.2", port=good.port) as secret:
        lookup, asked = names(["127.0.0.1"], ["127.0.0.2"])
        good.answer(headers={"connection": "close"})
        async with client_for(good, lookup=lookup) as client:
            answer = await client.request("GET", f"http://{NAME}:{good.port}/")
            lookups_of_one_call = len(asked)
            moved = await reason_of(client.request("GET", f"http://{NAME}:{good.port}/"))

    assert (answer.status, lookups_of_one_call, moved) == (200, 1, "address_refused")
    assert (good.connections, secret.connections) == (1, 0)


async def test_a_url_that_passed_the_check_is_checked_again_when_called() -> None:
    lookup, _ = names(["8.8.8.8"], ["127.0.0.1"])
    async with Receiver() as receiver, OutgoingClient(AllowList(), lookup=lookup) as client:
        await client.check(f"http://{NAME}:{receiver.port}/")

        assert await reason_of(client.request("GET", f"http://{NAME}:{receiver.port}/")) == "address_refused"
        assert receiver.connections == 0


async def test_the_allow_list_lets_its_own_port_through_and_no_other() -> None:
    async with Receiver() as opened, Receiver() as shut, client_for(opened) as client:
        assert (await client.request("GET", opened.url)).status == 200
        assert await reason_of(client.request("GET", shut.url)) == "address_refused"

    assert shut.connections == 0


async def test_the_host_header_keeps_the_name_and_the_port() -> None:
    lookup, asked = names(["127.0.0.1"])
    async with Receiver() as receiver, client_for(receiver, lookup=lookup) as client:
        await client.request("GET", f"http://{NAME}:{receiver.port}/")

    assert receiver.requests[0].headers["host"] == f"{NAME}:{receiver.port}"
    assert asked == [NAME]


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    lookup, _ = names(["127.0.0.9", "127.0.0.1"])
    async with Receiver() as receiver:
        allow = AllowList.parse(f"127.0.0.0/8:{receiver.port}")
        async with OutgoingClient(allow, lookup=lookup) as client:
            assert (await client.request("GET", f"http://{NAME}:{receiver.port}/")).status == 200


async def test_a_closed_port_is_a_failed_connection() -> None:
    async with Receiver() as receiver:
        pass
    async with client_for(receiver) as client:
        assert await reason_of(client.request("GET", receiver.url)) == "connection_failed"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    async with Receiver() as receiver, Receiver() as elsewhere, client_for(receiver, elsewhere) as client:
        receiver.answer(status, headers={"location": elsewhere.url})

        answer = await client.request("POST", receiver.url, body=b"{}")

    assert answer.is_redirect
    assert (answer.status, len(receiver.requests), elsewhere.connections) == (status, 1, 0)


async def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver() as receiver, Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with client_for(receiver, proxy) as client:
            await client.request("GET", receiver.url)
            async with httpx2.AsyncClient(transport=client.transport()) as other:
                await other.get(receiver.url)

    assert (len(receiver.requests), proxy.connections) == (2, 0)


async def test_cookies_are_not_kept_for_the_next_caller() -> None:
    async with Receiver() as receiver, client_for(receiver) as client:
        receiver.answer(headers={"set-cookie": "tenant=one; Path=/"})
        await client.request("GET", receiver.url)
        await client.request("GET", receiver.url)

    assert "cookie" not in receiver.requests[1].headers
    assert receiver.connections == 1


async def test_an_answer_that_does_not_come_is_cut_by_the_deadline() -> None:
    async with Receiver() as receiver, client_for(receiver, total_seconds=0.2) as client:
        receiver.answer(delay=60)

        assert await reason_of(client.request("GET", receiver.url)) == "timeout"


async def test_a_slow_drip_is_cut_by_the_deadline_over_all() -> None:
    async with Receiver() as receiver, client_for(receiver, total_seconds=0.3) as client:
        receiver.answer(200, dripping)

        assert await reason_of(client.request("GET", receiver.url)) == "timeout"


async def test_an_endless_body_is_cut() -> None:
    async with Receiver() as receiver, client_for(receiver, body_bytes=200_000) as client:
        receiver.answer(200, endless)

        assert await reason_of(client.request("GET", receiver.url)) == "too_large"


async def test_a_body_may_be_as_long_as_the_limit_and_not_longer() -> None:
    async with Receiver() as receiver, client_for(receiver, body_bytes=1000) as client:
        receiver.answer_next(200, b"x" * 1000)
        receiver.answer_next(200, b"x" * 1001)

        assert len((await client.request("GET", receiver.url)).body) == 1000
        assert await reason_of(client.request("GET", receiver.url)) == "too_large"
        wider = OutgoingLimits(body_bytes=2000)
        receiver.answer_next(200, b"x" * 1001)
        assert len((await client.request("GET", receiver.url, limits=wider)).body) == 1001


async def test_a_compressed_answer_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    async with Receiver() as receiver, client_for(receiver) as client:
        receiver.answer(200, bomb, {"content-encoding": "gzip"})

        assert await reason_of(client.request("GET", receiver.url)) == "protocol_error"
        async with httpx2.AsyncClient(transport=client.transport()) as other:
            assert await reason_of(other.get(receiver.url)) == "protocol_error"


async def test_what_is_not_http_is_a_protocol_error() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, OutgoingClient(AllowList.parse(f"127.0.0.1:{port}")) as client:
        assert await reason_of(client.request("GET", f"http://127.0.0.1:{port}/")) == "protocol_error"


async def test_a_cut_call_does_not_hold_up_the_next() -> None:
    async with Receiver() as receiver, client_for(receiver, body_bytes=100_000) as client:
        for _ in range(120):
            receiver.answer_next(200, endless)
            assert await reason_of(client.request("GET", receiver.url)) == "too_large"

        assert (await client.request("GET", receiver.url)).status == 200
