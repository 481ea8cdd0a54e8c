"""What arrives on the line itself: sizes, slowness, broken framing, old and doubled requests; on real sockets."""

import asyncio
import json

import pytest

from colonnade import app
from colonnade.ground.db.address import Address
from colonnade.ground.web.line import BoundedLine
from colonnade.settings import Settings
from tests.hostile.conftest import Census, Target
from tests.hostile.standing import HOST, Line, standing

WORKSPACES = "/v1/workspaces"
TOO_LARGE = 2 * 1024 * 1024
ACME = b'{"name": "Beta"}'


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def test_a_body_that_announces_too_many_bytes_is_refused_before_it_is_sent(
    target: Target, census: Census
) -> None:
    before = await census()

    (answer,) = await target.line.says(target.line.head("POST", WORKSPACES, length=TOO_LARGE) + b'{"name": "')

    assert (answer.status, answer.problem["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert answer.problem["details"] == {"limit": 1024 * 1024}
    assert await census() == before


async def test_a_body_of_two_mebibytes_is_refused_and_not_kept(target: Target, census: Census) -> None:
    before = await census()
    body = b'{"name": "' + b"a" * TOO_LARGE + b'"}'

    answers = await target.line.says(target.line.head("POST", WORKSPACES, length=len(body)), body)

    assert [(answer.status, answer.problem["reason"]) for answer in answers] == [(413, "request.too_large")]
    assert await census() == before


async def test_a_chunked_body_is_counted_while_it_comes(target: Target, census: Census) -> None:
    before = await census()
    head = target.line.head("POST", WORKSPACES, "Transfer-Encoding: chunked")
    chunks = [_chunk(b'{"name": "'), *[_chunk(b"a" * 65_536)] * 32, b"0\r\n\r\n"]

    answers = await target.line.says(head, *chunks)

    assert [(answer.status, answer.problem["reason"]) for answer in answers] == [(413, "request.too_large")]
    assert await census() == before


async def test_a_chunked_body_within_the_limit_is_a_body_like_any_other(target: Target) -> None:
    head = target.line.head("POST", WORKSPACES, "Transfer-Encoding: chunked")

    (answer,) = await target.line.says(head, _chunk(ACME[:7]), _chunk(ACME[7:]), b"0\r\n\r\n")

    assert answer.status == 201
    assert json.loads(answer.body)["name"] == "Beta"


async def test_a_body_that_comes_byte_by_byte_is_read_to_its_end(target: Target) -> None:
    head = target.line.head("POST", WORKSPACES, length=len(ACME))

    (answer,) = await target.line.says(head, *[ACME[n : n + 1] for n in range(len(ACME))])

    assert answer.status == 201


async def test_a_caller_that_leaves_in_the_middle_of_a_body_leaves_nothing(target: Target, census: Census) -> None:
    before = await census()

    for _ in range(5):
        _, writer = await asyncio.open_connection(HOST, target.line.port)
        writer.write(target.line.head("POST", WORKSPACES, length=len(ACME) + 100) + ACME)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    assert (await target.line.sends("GET", "/healthz")).status == 200
    assert await census() == before


async def test_many_half_sent_requests_do_not_keep_others_from_being_served(target: Target) -> None:
    waiting = [await asyncio.open_connection(HOST, target.line.port) for _ in range(50)]
    for _, writer in waiting:
        writer.write(target.line.head("POST", WORKSPACES, length=1000) + b"{")
        await writer.drain()

    answer = await target.line.sends("GET", WORKSPACES)

    assert answer.status == 200
    for _, writer in waiting:
        writer.close()


async def test_bytes_beyond_the_announced_length_are_not_a_part_of_the_body(target: Target) -> None:
    await target.line.says(target.line.head("POST", WORKSPACES, length=len(ACME)) + ACME + b', "slug": "smuggled"}')

    listed = json.loads((await target.line.sends("GET", WORKSPACES)).body)["data"]
    assert {item["slug"] for item in listed} <= {target.workspace.slug, "beta"}


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: -1",
        "Content-Length: +16",
        "Content-Length: 16, 16",
        "Content-Length: 1e1",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 16\r\nContent-Length: 17",
        "Content-Length: 16\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 16",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding : chunked",
        "A header without a colon",
        "X-Name: a\0b",
        " Folded: x",
        "X(1): y",
    ],
)
async def test_a_request_that_two_readers_could_frame_differently_is_refused(
    target: Target, census: Census, framing: str
) -> None:
    before = await census()

    answers = await target.line.says(target.line.head("POST", WORKSPACES, framing) + ACME)

    assert [(answer.status, answer.problem["reason"]) for answer in answers] == [(400, "request.malformed")]
    assert await census() == before


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/workspaces HTTP/9.9\r\n\r\n",
        b"get /v1/workspaces HTTP/1.1\r\n\r\n",
        b"GET /v1/work\0spaces HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/work spaces HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_the_line_closed(target: Target, garbage: bytes) -> None:
    answers = await target.line.says(garbage)

    assert [answer.status for answer in answers] == [400]


async def test_a_broken_chunk_ends_the_request_and_keeps_nothing(target: Target, census: Census) -> None:
    before = await census()
    head = target.line.head("POST", WORKSPACES, "Transfer-Encoding: chunked")

    answers = await target.line.says(head, b"zz\r\n" + ACME + b"\r\n0\r\n\r\n")

    assert [(answer.status, answer.problem["reason"]) for answer in answers] == [(400, "request.malformed")]
    assert await census() == before


async def test_pipelined_requests_are_answered_in_order_and_each_by_itself(target: Target) -> None:
    line = target.line
    first = line.head("GET", "/v1/whoami").replace(b"Connection: close\r\n", b"")
    second = line.head("POST", WORKSPACES, length=1).replace(b"Connection: close\r\n", b"") + b"{"
    third = line.head("GET", "/v1/nowhere")

    answers = await line.says(first + second + third)

    assert [answer.status for answer in answers] == [200, 400, 404]


async def test_a_refused_body_is_not_read_as_the_next_request(target: Target, census: Census) -> None:
    before = await census()
    line = target.line
    hidden = line.head("POST", WORKSPACES, length=len(ACME)) + ACME
    outer = line.head("POST", "/v1/nowhere", length=len(hidden)).replace(b"Connection: close\r\n", b"")

    answers = await line.says(outer + hidden + line.head("GET", "/v1/whoami"))

    assert [answer.status for answer in answers] == [404, 200]
    assert await census() == before


async def test_http_1_0_is_served_and_the_line_closed(target: Target) -> None:
    asked = f"GET /v1/workspaces HTTP/1.0\r\nX-Auth: {target.key}\r\n\r\n".encode()

    (answer,) = await target.line.says(asked)

    assert answer.status == 200
    assert [item["id"] for item in json.loads(answer.body)["data"]] == [target.workspace.id]


async def test_an_expectation_is_met_before_the_body_is_sent(target: Target) -> None:
    reader, writer = await asyncio.open_connection(HOST, target.line.port)
    writer.write(target.line.head("POST", WORKSPACES, "Expect: 100-continue", length=len(ACME)))

    interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.write(ACME)
    final = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert final.startswith(b"HTTP/1.1 201 ")


async def test_a_head_of_a_hundred_thousand_bytes_is_refused(target: Target) -> None:
    answers = await target.line.says(target.line.head("GET", WORKSPACES, f"X-Long: {'a' * 100_000}"))

    assert [(answer.status, answer.problem["reason"]) for answer in answers] == [(400, "request.malformed")]


async def test_a_head_that_never_ends_does_not_fill_the_server(port: int) -> None:
    line = Line(port, "nobody")

    answers = await line.says(b"GET / HTTP/1.1\r\n", *[b"X-A: " + b"a" * 10_000 + b"\r\n"] * 40)

    assert [answer.status for answer in answers] in ([400], [])  # whoever keeps talking may miss the answer


async def test_a_line_on_which_no_head_is_finished_is_closed(
    settings: Settings, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedLine, "head_seconds", 0.2)

    with standing(app.create(settings, address)) as port:
        silent = await Line(port, "nobody").says()
        halting = await Line(port, "nobody").says(b"GET /healthz HTTP/1.1\r\nHost:")
        spoken = await Line(port, "nobody").says(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")

    assert (silent, halting) == ([], [])
    assert [answer.status for answer in spoken] == [200]


@pytest.mark.parametrize("target_form", ["*", "http://other.example/v1/whoami", "//v1/whoami", "v1/whoami"])
async def test_odd_forms_of_a_target_are_answered_without_a_crash(target: Target, target_form: str) -> None:
    answers = await target.line.says(target.line.head("GET", target_form))

    assert [answer.status < 500 for answer in answers] == [True]


async def test_an_upgrade_that_nobody_offers_is_not_taken(target: Target) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGVzdA==")
    head = target.line.head("GET", "/v1/whoami", *upgrade).replace(b"Connection: close\r\n", b"")

    answers = await target.line.says(head + target.line.head("GET", "/healthz"))

    assert all(answer.status != 101 for answer in answers)
    assert all(answer.status < 500 for answer in answers)
