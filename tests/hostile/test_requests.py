"""Heads of requests that no client should send: methods, paths, queries, headers, and ids of other agencies."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from tests.factories import a_workspace, an_agency
from tests.hostile.conftest import Census, Target
from tests.serving import a_key

WORKSPACES = "/v1/workspaces"
ACME = b'{"name": "Beta"}'


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/workspaces", "GET, POST"),
        ("DELETE", "/v1/agency", "GET, PATCH"),
        ("PATCH", "/v1/api-keys", "GET, POST"),
        ("POST", "/v1/whoami", "GET"),
        ("TRACE", "/v1/whoami", "GET"),
        ("OPTIONS", "/v1/posts", "GET, POST"),
        ("GET", "/v1/agent/invoke", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/openapi.json", "GET, HEAD"),
        ("PROPFIND", "/v1/workspaces", "GET, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(target: Target, method: str, path: str, allowed: str) -> None:
    answer = await target.line.sends(method, path)

    assert (answer.status, answer.problem["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert ", ".join(sorted(name.strip() for name in answer.headers["allow"].split(","))) == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/nowhere",
        "/v1/workspaces/",
        "/v1//workspaces",
        "//v1/workspaces",
        "/V1/workspaces",
        "/v1/workspaces;x=1",
        "/v1/../v1/workspaces",
        "/v1/%2e%2e/v1/workspaces",
        "/v1/workspaces/..",
        "/v1/workspaces/%2e%2e/agency",
        "/static/../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc/passwd",
        "/static/%2e%2e/%2e%2e/pages.py",
        "/static/swagger/%2e%2e/%2e%2e/__init__.py",
        "/static/....//....//etc/passwd",
        "/static/%00",
        "/docs/errors/..%2f..%2fopenapi.json",
        "/docs/errors/nothing.like.this",
        "/.env",
        "/.git/config",
        "/v1/workspaces%00",
        "/v1/workspaces%0d%0aX-Evil:1",
        "/v1/workspaces/%c0%ae%c0%ae/agency",
        "/v1/%ff%fe",
        "/api/nowhere",
    ],
)
async def test_a_path_that_is_none_of_ours_is_not_found(target: Target, path: str) -> None:
    answer = await target.line.sends("GET", path)

    assert (answer.status, answer.problem["code"]) == (404, "NOT_FOUND")
    assert "x-evil" not in answer.headers


async def test_a_path_that_is_none_of_the_company_surface_is_told_in_its_own_shape(target: Target) -> None:
    answer = await target.line.sends("GET", "/company/nowhere")

    assert (answer.status, json.loads(answer.body)["code"]) == (404, "NOT_FOUND")


BAD_IDS = [
    "ws_0000000000000000000000000a",
    "ws_",
    "ws",
    "agency_01jd0000000000000000000000",
    "..",
    "%2e%2e",
    "%2e%2e%2fagency",
    "a%2Fb",
    "%00",
    "ws_%00",
    "%c0%ae",
    "%ed%a0%80",
    "%F0%9F%8E%88",
    "ext:",
    "ext:%00",
    "ext:%20",
    "ext:nobody%27%20or%201=1--",
    "%27%20or%20%271%27=%271",
    "%25s%25n",
    "${jndi:ldap:}",
    "null",
    "-1",
    "9" * 300,
    "a" * 4000,
]


@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda bad: bad[:30])
async def test_an_id_that_is_none_is_not_found_on_any_route_with_an_id(target: Target, bad: str) -> None:
    document = json.loads((await target.line.sends("GET", "/openapi.json")).body)
    known = {"workspace_id": target.workspace.id, "provider": "anthropic", "version": "1"}

    for path, operations in document["paths"].items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{") and part != "{provider}"]
        for worst in names:
            asked = path
            for name in [*names, "provider"]:
                asked = asked.replace(f"{{{name}}}", bad if name == worst else known.get(name, new_id("post")))
            for method, operation in operations.items():
                answer = await target.line.sends(method.upper(), asked, body=b"" if method == "get" else b"{}")
                is_for_people = operation["x-colonnade-access"]["who"] == "member"
                right = {403, 404, 405} if is_for_people else {404, 400 if method != "get" else 404, 405}
                assert answer.status in right, (method, asked, answer)


async def test_ids_of_another_agency_are_as_unknown_as_ids_that_never_were(
    target: Target, house: Database, census: Census
) -> None:
    theirs = await an_agency(house, name="Elsewhere")
    foreign = (await a_workspace(house, theirs)).id
    before = await census()

    for path in ("", "/settings", "/health", "/usage", "/api-keys", "/provider-keys"):
        one = await target.line.sends("GET", f"{WORKSPACES}/{foreign}{path}")
        other = await target.line.sends("GET", f"{WORKSPACES}/{new_id('ws')}{path}")
        assert one.status == other.status == 404
        assert {**one.problem, "requestId": ""} == {**other.problem, "requestId": ""}
    for method, path, body in (
        ("PATCH", f"{WORKSPACES}/{foreign}", b'{"name": "Mine"}'),
        ("DELETE", f"{WORKSPACES}/{foreign}", b""),
        ("POST", f"{WORKSPACES}/{foreign}/restore", b""),
        ("POST", f"{WORKSPACES}/{foreign}/api-keys", b'{"name": "Mine"}'),
        ("PUT", f"{WORKSPACES}/{foreign}/provider-keys/anthropic", b'{"key": "sk-12345678"}'),
    ):
        assert (await target.line.sends(method, path, body=body)).status == 404, (method, path)
    named: list[tuple[str, str, dict[str, Any]]] = [
        ("/v1/credits/grants", "/workspaceId", {"amount": 1, "workspaceId": foreign}),
        ("/v1/credits/transfers", "/toWorkspaceId", {"amount": 1, "toWorkspaceId": foreign}),
        ("/v1/api-keys", "/workspaces/0", {"name": "K", "preset": "master", "workspaces": [foreign]}),
        (WORKSPACES, "/ownerId", {"name": "W", "ownerId": theirs.owner_id}),
    ]
    for path, field, sent in named:
        answer = await target.line.sends("POST", path, body=json.dumps(sent).encode())
        assert (answer.status, answer.pointers) == (400, [field]), (path, answer.body)
    assert (await target.line.sends("GET", "/v1/posts", f"X-Workspace-Id: {foreign}")).status == 404
    assert await census() == before


@pytest.mark.parametrize(
    "value", ["ws_", "all", "*", "' or 1=1", "ws_\xff", "ext:", "ext:\xe9", "a" * 5000, "null", ""]
)
async def test_a_workspace_header_that_names_none_is_not_found(target: Target, value: str) -> None:
    answer = await target.line.sends("GET", "/v1/posts", f"X-Workspace-Id: {value}")

    assert (answer.status, answer.problem["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=101", "?limit"),
        ("limit=-1", "?limit"),
        ("limit=ten", "?limit"),
        ("limit=1e2", "?limit"),
        ("limit=" + "9" * 400, "?limit"),
        ("limit=", "?limit"),
        ("sort=name;drop", "?sort"),
        ("sort=", "?sort"),
        ("count=all", "?count"),
        ("active=perhaps", "?active"),
        ("cursor=", "?cursor"),
        ("cursor=AAAA", "?cursor"),
        ("cursor=" + "A" * 3000, "?cursor"),
        ("cursor=%C3%A9%F0%9F%8E%88", "?cursor"),
        ("cursor=%ff", "?cursor"),
        ("include=usage,nonsense", "?include"),
        ("include=" + "a," * 200, "?include"),
        ("q=" + "a" * 201, "?q"),
        ("colour=red", "?colour"),
        ("limit=1&limit=2", "?limit"),
        ("__proto__=1", "?__proto__"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_bad_query_names_its_parameter(target: Target, query: str, pointer: str) -> None:
    answer = await target.line.sends("GET", f"{WORKSPACES}?{query}")

    assert (answer.status, answer.problem["reason"]) == (400, "request.invalid")
    assert answer.pointers == [pointer]


@pytest.mark.parametrize(
    "moment", ["5", "0.5", "-1", "1e9", "2026-02-01", "2026-02-01T00:00:00", "now", "2026-13-01T00:00Z"]
)
async def test_a_moment_is_a_text_with_a_zone_and_nothing_else(target: Target, moment: str) -> None:
    asked = await target.line.sends("GET", f"/v1/audit-log?from={moment}")
    made = await target.line.sends(
        "POST", "/v1/api-keys", body=json.dumps({"name": "K", "preset": "master", "expiresAt": moment}).encode()
    )

    assert (asked.status, asked.pointers) == (400, ["?from"])
    assert (made.status, made.pointers) == (400, ["/expiresAt"])


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00"])
async def test_a_moment_beyond_the_calendar_is_a_bad_field(target: Target, moment: str) -> None:
    answer = await target.line.sends("GET", f"/v1/audit-log?from={moment}")

    assert (answer.status, answer.pointers) == (400, ["?from"])


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_days_at_the_ends_of_the_calendar_are_bad_fields(target: Target, zone: str) -> None:
    await target.line.sends("PATCH", "/v1/agency/settings", body=json.dumps({"timezone": zone}).encode())

    for query in ("from=0001-01-01", "to=0001-01-01", "from=9999-12-31", "to=9999-12-31T23:59:59-12:00"):
        answer = await target.line.sends("GET", f"/v1/usage?{query}")

        assert (answer.status, answer.pointers) == (400, [f"?{query.partition('=')[0]}"]), query
    for query in ("from=0002-01-01&to=9998-12-31", "from=0002-01-01&to=9998-12-31&groupBy=day"):
        assert (await target.line.sends("GET", f"/v1/usage?{query}")).status == 200, query


async def test_all_bad_parameters_of_a_query_are_named_at_once(target: Target) -> None:
    answer = await target.line.sends("GET", f"{WORKSPACES}?limit=0&sort=up&count=no&active=maybe&x=1")

    assert answer.pointers == ["?active", "?count", "?limit", "?sort", "?x"]


@pytest.mark.parametrize("raw", ["q=%00", "q=a%00b", "%00=1", "tag=%00"])
async def test_a_nul_in_a_query_is_a_bad_request(target: Target, raw: str) -> None:
    answer = await target.line.sends("GET", f"{WORKSPACES}?{raw}")

    assert (answer.status, answer.problem["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("raw", ["q=%ff", "q=%ed%a0%80", "q=%c0%ae", "q=%", "q=%zz", "q=%u0041", "&&&", "=", "q"])
async def test_odd_encodings_in_a_query_are_searched_for_or_refused(target: Target, raw: str) -> None:
    answer = await target.line.sends("GET", f"{WORKSPACES}?{raw}")

    assert answer.status in {200, 400}


async def test_a_very_long_address_is_refused(target: Target) -> None:
    answer = await target.line.sends("GET", f"{WORKSPACES}?q={'a' * 70_000}")

    assert (answer.status, answer.problem["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer",
        "Authorization: Bearer  ",
        "Authorization: Basic dXNlcjpwYXNz",
        "Authorization: Bearer a b",
        "Authorization: Bearer \xff\xfe",
        "Authorization: " + "a" * 20_000,
        "X-Auth: nonsense",
        "X-Auth: \xe9",
        "X-Auth: col_agency_live_" + "0" * 36,
        "X-Auth: ' or '1'='1",
    ],
)
async def test_a_credential_that_is_no_key_is_unauthorized(target: Target, header: str) -> None:
    head = f"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n\r\n".encode("latin-1")

    (answer,) = await target.line.says(head)

    assert (answer.status, answer.problem["reason"]) == (401, "auth.invalid")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_two_headers_with_different_keys_are_unauthorized_and_with_the_same_key_are_not(
    target: Target, house: Database
) -> None:
    other = (await a_key(house, target.home, preset="master"))["authorization"]

    different = await target.line.sends("GET", "/v1/whoami", f"Authorization: {other}")
    same = await target.line.sends("GET", "/v1/whoami", f"Authorization: Bearer {target.key}")

    assert (different.status, different.problem["code"]) == (401, "UNAUTHORIZED")
    assert same.status == 200


@pytest.mark.parametrize("name", ["X-Auth", "Idempotency-Key", "X-Workspace-Id", "If-Match", "Content-Type"])
async def test_a_header_that_decides_something_may_not_stand_twice(target: Target, census: Census, name: str) -> None:
    before = await census()
    twice = () if name == "X-Auth" else (f"{name}: a",)

    answer = await target.line.sends("POST", WORKSPACES, *twice, f"{name.lower()}: b", body=ACME)

    assert (answer.status, answer.problem["reason"]) == (400, "request.malformed")
    assert name.lower() in answer.problem["detail"]
    assert await census() == before


@pytest.mark.parametrize("value", ["", "a" * 256, "two words", "\xe9", "a\tb", "\x7f"], ids=repr)
async def test_an_absurd_idempotency_key_is_refused_by_name(target: Target, census: Census, value: str) -> None:
    before = await census()

    answer = await target.line.sends("POST", WORKSPACES, f"Idempotency-Key: {value}", body=ACME)

    assert (answer.status, answer.problem["code"]) == (400, "BAD_REQUEST")
    assert [field["pointer"] for field in answer.problem.get("errors", [])] in (["Idempotency-Key"], [])
    assert await census() == before


@pytest.mark.parametrize("value", ['"v0"', '"v99999999999999999999999"', "garbage", '"', "", 'W/"v999"', '"v1", "v2"'])
async def test_a_tag_that_we_never_gave_out_matches_nothing(target: Target, census: Census, value: str) -> None:
    before = await census()
    path = f"{WORKSPACES}/{target.workspace.id}"

    answer = await target.line.sends("PATCH", path, f"If-Match: {value}", body=ACME)

    assert (answer.status, answer.problem["code"]) == (412, "PRECONDITION_FAILED")
    assert await census() == before


@pytest.mark.parametrize("value", ["a" * 10_000, "two words", "<script>", "\xff\xfe", "%0d%0aX-Evil: 1", "{{7*7}}", ""])
async def test_a_request_id_that_is_not_sane_is_replaced(target: Target, value: str) -> None:
    answer = await target.line.sends("GET", "/v1/whoami", f"X-Request-Id: {value}")

    assert answer.status == 200
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_request_id_cannot_bring_a_header_with_it(target: Target) -> None:
    for separator in (b"\r", b"\n", b"\r\n "):
        head = target.line.head("GET", "/v1/whoami")[:-2] + b"X-Request-Id: a" + separator + b"Set-Cookie: x=1\r\n\r\n"

        for answer in await target.line.says(head):
            assert "set-cookie" not in answer.headers
            assert "Set-Cookie" not in answer.headers.get("x-request-id", "")


async def test_a_sane_request_id_comes_back(target: Target) -> None:
    answer = await target.line.sends("GET", "/v1/nowhere", "X-Request-Id: order-66_b.2")

    assert answer.headers["x-request-id"] == answer.problem["requestId"] == "order-66_b.2"


async def test_headers_of_proxies_that_are_not_ours_are_not_believed(target: Target, house: Database) -> None:
    key = await a_key(house, target.home, preset="master", ip_allowlist=["203.0.113.7"])
    line = type(target.line)(target.line.port, key["authorization"].removeprefix("Bearer "))

    for header in ("X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip"):
        answer = await line.sends("GET", "/v1/whoami", f"{header}: 203.0.113.7")

        assert (answer.status, answer.problem["reason"]) == (403, "keys.address_refused")


@pytest.mark.parametrize("host", ["", "evil.example", "a" * 300, "x:99999", "[::1", "<script>"])
async def test_the_host_that_a_request_names_decides_nothing(target: Target, host: str) -> None:
    head = f"GET /v1/whoami HTTP/1.1\r\nHost: {host}\r\nX-Auth: {target.key}\r\nConnection: close\r\n\r\n".encode()

    (answer,) = await target.line.says(head)

    assert answer.status == 200


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "'; drop table workspace; --", "{{7*7}}", "\u202egnp"])
async def test_hostile_text_is_kept_as_the_text_it_is(target: Target, text: str) -> None:
    made = await target.line.sends("POST", WORKSPACES, body=json.dumps({"name": text}).encode())
    found = await target.line.sends("GET", f"{WORKSPACES}?q={quote(text)}")

    assert made.status == 201, made.body
    assert json.loads(made.body)["name"] == text
    assert [item["name"] for item in json.loads(found.body)["data"]] == [text]
    assert found.headers["x-content-type-options"] == "nosniff"


async def test_signs_of_a_search_pattern_are_plain_signs(target: Target) -> None:
    for sign in ("%", "_", "\\", "*", ".*", "%25%25"):
        found = await target.line.sends("GET", f"{WORKSPACES}?q={quote(sign)}")

        assert (found.status, json.loads(found.body)["data"]) == (200, []), sign
