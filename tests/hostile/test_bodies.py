"""Bodies that no client should send: each is refused by its own problem, and nothing of it is kept."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hostile.conftest import Census, Target

WORKSPACES = "/v1/workspaces"


@dataclass(frozen=True, slots=True)
class Bad:
    """A body, the reason of its refusal, and the places that the problem names (none where it names no place)."""

    name: str
    body: bytes
    reason: str = "request.malformed"
    pointers: tuple[str, ...] = ()


def _named(text: str) -> bytes:
    return b'{"name": ' + text.encode() + b"}"


def _nested(levels: int) -> bytes:
    return b'{"name": "Deep", "metadata": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


BAD_BODIES = [
    Bad("a brace alone", b"{"),
    Bad("a comma too many", b'{"name": "Acme",}'),
    Bad("single quotes", b"{'name': 'Acme'}"),
    Bad("two values", b'{"name": "Acme"} {"name": "Beta"}'),
    Bad("a form", b"name=Acme&primaryDomain=acme.com"),
    Bad("no object but a list", b"[]", "request.invalid", ("",)),
    Bad("no object but null", b"null", "request.invalid", ("",)),
    Bad("no object but a text", b'"Acme"', "request.invalid", ("",)),
    Bad("UTF-8 that is cut off", b'{"name": "Acm\xc3"}'),
    Bad("overlong UTF-8", b'{"name": "Ac\xc0\xaeme"}'),
    Bad("a surrogate in UTF-8", b'{"name": "\xed\xa0\x80"}'),
    Bad("Latin-1", '{"name": "Café"}'.encode("latin-1")),
    Bad("UTF-16", '{"name": "Acme"}'.encode("utf-16")),
    Bad("UTF-16 without a mark", '{"name": "Acme"}'.encode("utf-16-le")),
    Bad("a byte order mark", b'\xef\xbb\xbf{"name": "Acme"}'),
    Bad("a compressed body", gzip.compress(b'{"name": "Acme"}')),
    Bad("a raw NUL", b'{"name": "Ac\0me"}'),
    Bad("a raw line break in a text", b'{"name": "Ac\nme"}'),
    Bad("an escaped NUL", _named('"Ac\\u0000me"'), "request.invalid", ("/name",)),
    Bad("a deep NUL", b'{"name": "A", "metadata": {"a": ["\\u0000"]}}', "request.invalid", ("/metadata/a/0",)),
    Bad("a NUL in a name", b'{"name": "A", "metadata": {"a\\u0000": 1}}', "request.invalid", ("/metadata",)),
    Bad("a lone high surrogate", _named('"\\ud800"'), "request.invalid", ("/name",)),
    Bad("a lone low surrogate", _named('"Acme \\udc00"'), "request.invalid", ("/name",)),
    Bad("surrogates the wrong way round", _named('"\\udc00\\ud800"'), "request.invalid", ("/name",)),
    Bad("a lone surrogate in a name", b'{"name": "A", "metadata": {"\\ud800": 1}}', "request.invalid", ("/metadata",)),
    Bad("a control character", _named('"Ac\\u0007me"'), "request.invalid", ("/name",)),
    Bad("65 levels", _nested(65)),
    Bad("10,000 levels", _nested(10_000)),
    Bad("100,000 open brackets", b"[" * 100_000),
    Bad("a number beyond all numbers", b'{"name": "A", "metadata": {"n": 1e999}}'),
    Bad("not a number", b'{"name": "A", "metadata": {"n": NaN}}'),
    Bad("infinity", b'{"name": "A", "metadata": {"n": -Infinity}}'),
    Bad("5,000 digits", b'{"name": "A", "metadata": {"n": ' + b"9" * 5_000 + b"}}"),
    Bad("a field twice", b'{"name": "Acme", "name": "Beta"}', "request.invalid", ("/name",)),
    Bad("a field twice inside", b'{"name": "A", "settings": {"creditPool": "agency", "creditPool": "workspace"}}',
        "request.invalid", ("/settings/creditPool",)),
    Bad("an unknown field", b'{"name": "Acme", "nme": "Beta"}', "request.invalid", ("/nme",)),
    Bad("an unknown field with a slash", b'{"name": "Acme", "a/b~c": 1}', "request.invalid", ("/a~1b~0c",)),
    Bad("the fields' names in another case", b'{"Name": "Acme"}', "request.invalid", ("/Name", "/name")),
    Bad("a field of the object's class", b'{"name": "Acme", "__class__": "x"}', "request.invalid", ("/__class__",)),
    Bad("nothing", b"", "request.invalid", ("/name",)),
    Bad("white space", b" \r\n\t ", "request.invalid", ("/name",)),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_BODIES, ids=lambda bad: bad.name)
async def test_a_bad_body_is_refused_where_it_is_bad_and_leaves_nothing(
    target: Target, census: Census, bad: Bad
) -> None:
    before = await census()

    answer = await target.line.sends("POST", WORKSPACES, "Content-Type: application/json", body=bad.body)

    assert (answer.status, answer.problem["code"], answer.problem["reason"]) == (400, "BAD_REQUEST", bad.reason)
    assert [field["pointer"] for field in answer.problem.get("errors", [])] == list(bad.pointers)
    assert await census() == before


WRONG = {
    "name": 5,
    "primaryDomain": ["acme.com"],
    "slug": {},
    "externalId": 7,
    "industry": [],
    "timezone": "Mars/Olympus",
    "tags": "tier:premium",
    "metadata": [],
    "settings": {
        "primaryLocation": 1,
        "primaryLanguage": "!",
        "defaultModel": 3,
        "approvalPolicy": {"publish": "perhaps", "sing": "auto"},
        "creditPool": "ours",
        "borrowLimit": "much",
        "byok": {"anthropic": "yes"},
        "publishing": {"kind": "pigeon"},
    },
    "brand": {"shortDescription": 1, "icps": {}, "primaryKeywords": [1, 2], "voice": [], "pillars": "x"},
    "whiteLabel": {"enabled": "yes", "primaryColor": "blue", "supportEmail": "nobody"},
    "ownerId": 1,
    "allowDuplicateDomain": "yes",
}
NOT_INSIDE = {"settings", "brand", "whiteLabel"}


def _leaves(value: Any, pointer: str = "") -> list[str]:
    if isinstance(value, dict) and value and pointer.strip("/") not in {"byok", "publishing"}:
        return [leaf for name, inner in value.items() for leaf in _leaves(inner, f"{pointer}/{name}")]
    if isinstance(value, list) and all(isinstance(item, int) for item in value) and value:
        return [f"{pointer}/{number}" for number in range(len(value))]
    return [pointer]


async def test_all_wrong_fields_of_a_body_are_named_at_once(target: Target, census: Census) -> None:
    before = await census()

    answer = await target.line.sends("POST", WORKSPACES, body=json.dumps(WRONG).encode())

    assert answer.status == 400
    assert answer.pointers == sorted(_leaves(WRONG))
    assert await census() == before


async def test_all_wrong_fields_of_a_key_are_named_at_once(target: Target, census: Census) -> None:
    before = await census()
    wrong = {
        "name": "",
        "description": 1,
        "scopes": "all",
        "preset": 5,
        "workspaces": 5,
        "ipAllowlist": 1,
        "rateLimit": {"requests": "10", "windowSeconds": True, "burst": 1},
        "expiresAt": "tomorrow",
        "mode": "dry",
        "colour": "red",
    }

    answer = await target.line.sends("POST", "/v1/api-keys", body=json.dumps(wrong).encode())

    assert answer.status == 400
    inside = {"/rateLimit/requests", "/rateLimit/windowSeconds", "/rateLimit/burst"}
    assert answer.pointers == sorted({f"/{name}" for name in wrong if name != "rateLimit"} | inside)
    assert await census() == before


NULLS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("/v1/agency", {"": None, "branding": {"colour": None}}, ["/", "/branding/colour"]),
    ("/v1/agency/settings", {"x": None, "approvalRules": {"publish": {"y": None}}}, ["/approvalRules/publish/y", "/x"]),
    ("", {"nme": None, "settings": {"approvalPolicy": {"sing": None}}}, ["/nme", "/settings/approvalPolicy/sing"]),
    ("", {"brand": {"tone": None}, "settings": {"model": None}}, ["/brand/tone", "/settings/model"]),
]


@pytest.mark.parametrize(("path", "body", "pointers"), NULLS)
async def test_an_unknown_field_of_a_patch_is_named_also_where_it_is_null(
    target: Target, census: Census, path: str, body: dict[str, Any], pointers: list[str]
) -> None:
    before = await census()

    at = path or f"{WORKSPACES}/{target.workspace.id}"
    answer = await target.line.sends("PATCH", at, body=json.dumps(body).encode())

    assert (answer.status, answer.pointers) == (400, pointers)
    assert await census() == before


@pytest.mark.parametrize(
    ("amount", "status"),
    [
        ("0.001", 201),
        ("1e2", 201),
        ("0.0001", 400),
        ("0", 400),
        ("-1", 400),
        ("true", 400),
        ('"5"', 400),
        ("null", 400),
        ("9223372036854775807", 400),
        ("9223372036854775808", 400),
        ("1e300", 400),
        ("0.1000000000000000055511151", 201),  # the nearest double of 0.1, as some languages write it
    ],
)
async def test_only_amounts_that_can_be_kept_exactly_are_granted(
    target: Target, census: Census, amount: str, status: int
) -> None:
    before = await census()

    answer = await target.line.sends("POST", "/v1/credits/grants", body=b'{"amount": ' + amount.encode() + b"}")

    assert answer.status == status, answer.body
    if status == 400:
        assert answer.pointers == ["/amount"]
        assert await census() == before


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1e30", "1.5", "1e0"])
async def test_whole_numbers_beyond_what_is_kept_are_bad_fields(target: Target, census: Census, number: str) -> None:
    before = await census()
    body = '{"name": "A", "preset": "master", "rateLimit": {"requests": ' + number + ', "windowSeconds": 60}}'

    answer = await target.line.sends("POST", "/v1/api-keys", body=body.encode())

    assert answer.status == 400, answer.body
    assert answer.pointers == ["/rateLimit/requests"]
    assert await census() == before


async def test_a_body_of_64_levels_is_not_too_deep_to_be_read(target: Target) -> None:
    answer = await target.line.sends("POST", WORKSPACES, body=_nested(60))

    assert answer.status == 400
    assert answer.pointers == ["/metadata"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "text/plain; charset=utf-16",
        "application/xml",
        "application/json; charset=latin-1",
        "nonsense",
        "",
        "multipart",
    ],
)
async def test_a_body_is_json_whatever_its_content_type_says(target: Target, content_type: str) -> None:
    body = json.dumps({"name": "Café 株式会社 🎈"}, ensure_ascii=False).encode()

    answer = await target.line.sends("POST", WORKSPACES, f"Content-Type: {content_type}", body=body)

    assert answer.status == 201, answer.body
    assert json.loads(answer.body)["name"] == "Café 株式会社 🎈"


async def test_a_form_with_files_is_refused_where_json_is_wanted(target: Target, census: Census) -> None:
    before = await census()
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nAcme\r\n--x--\r\n'

    for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "MULTIPART/mixed; boundary=x"):
        answer = await target.line.sends("POST", WORKSPACES, f"Content-Type: {kind}", body=body)

        assert (answer.status, answer.problem["code"]) == (400, "BAD_REQUEST"), kind
    assert await census() == before


async def test_a_compressed_body_is_never_unpacked(target: Target, census: Census) -> None:
    before = await census()
    bomb = gzip.compress(b'{"name": "' + b"a" * 5_000_000 + b'"}')

    answer = await target.line.sends("POST", WORKSPACES, "Content-Encoding: gzip", body=bomb)

    assert (answer.status, answer.problem["reason"]) == (400, "request.malformed")
    assert await census() == before


async def test_a_route_without_a_body_names_every_field_it_was_sent(target: Target, census: Census) -> None:
    before = await census()
    path = f"{WORKSPACES}/{target.workspace.id}/restore"

    answer = await target.line.sends("POST", path, body=b'{"why": 1, "when": 2}')

    assert (answer.status, answer.pointers) == (400, ["/when", "/why"])
    assert await census() == before
