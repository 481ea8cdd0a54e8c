"""The ten risks of the OWASP API Security Top 10 (2023), each with a small test that points at its control.

What is proven at length elsewhere (every route, every kind of key, fuzzing) is not repeated here.
"""

import asyncio
import json
from typing import Any, Final

import pytest
from starlette.routing import Route

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.secrets import new_key_text
from colonnade.ground.outgoing import AllowList, OutgoingClient, OutgoingRefused
from colonnade.settings import Settings
from colonnade.tenancy.keys import PartnerKeys
from tests.fakes.receiver import Receiver
from tests.house.installed import Installed, photograph
from tests.house.operations import application, described, document
from tests.house.world import World, installed, ours, theirs

__all__ = ["installed", "ours", "theirs"]

EDGES: Final = ("workspace", "read_only", "management")


async def test_api1_object_authorisation_a_foreign_id_is_not_found_by_any_verb(
    installed: Installed, ours: World, theirs: World, owner: Any
) -> None:
    before = await photograph(owner, theirs.home.agency_id)
    for method, path in (
        ("GET", f"/v1/workspaces/{theirs.first.id}"),
        ("PATCH", f"/v1/posts/{theirs.ids['post_id']}"),
        ("DELETE", f"/v1/api-keys/{theirs.ids['key_id of the agency']}"),
        ("POST", f"/v1/agent/invocations/{theirs.ids['invocation_id']}/cancel"),
    ):
        body = {"title": "Taken"} if method == "PATCH" else {}
        answer = await installed.call(ours.keys["master"], method, path, **({} if method == "GET" else {"json": body}))
        assert (answer.status_code, answer.json()["reason"]) == (404, "resource.not_found"), answer.text
    assert await photograph(owner, theirs.home.agency_id) == before


async def test_api2_authentication_what_is_not_exactly_a_key_of_this_installation_opens_nothing(
    installed: Installed, ours: World
) -> None:
    text = ours.keys["master"].headers["authorization"].removeprefix("Bearer ")
    forged = [text[:-1], text + "A", text.swapcase(), text[:20] + text[21] + text[20] + text[22:]]
    for wrong in (*forged, new_key_text("agency", "live").reveal(), "' or 1=1 --", "null", "\u0000"):
        sent = {b"authorization": f"Bearer {wrong}".encode("latin-1", "replace")}
        answer = await installed.client.get("/v1/whoami", headers=sent)
        assert (answer.status_code, wrong == text) == (401, False), wrong


async def test_api2_authentication_guessing_is_limited_by_address(installed: Installed) -> None:
    told = [(await installed.client.get("/v1/whoami", headers={"x-auth": "guess"})).status_code for _ in range(32)]
    assert told[-1] == 429
    assert set(told) <= {401, 429}


@pytest.mark.parametrize(
    "extra",
    [
        *({"agencyId": new_id("agency")}, {"id": new_id("ws")}, {"workspaceId": new_id("ws")}, {"role": "owner"}),
        *({"balance": 1e9}, {"createdAt": "2020-01-01T00:00:00Z"}, {"mode": "live"}, {"__proto__": {"role": "owner"}}),
    ],
    ids=lambda extra: next(iter(extra)),
)
async def test_api3_property_authorisation_a_field_that_is_not_the_senders_is_refused_by_name(
    installed: Installed, ours: World, extra: dict[str, Any]
) -> None:
    key, name = ours.keys["master"], next(iter(extra))
    for method, path, body in (
        ("POST", "/v1/workspaces", {"name": "N"}),
        ("PATCH", f"/v1/workspaces/{ours.first.id}", {"name": "N"}),
        ("PATCH", f"/v1/api-keys/{ours.ids['key_id of the agency']}", {"name": "N"}),
    ):
        answer = await installed.call(key, method, path, json={**body, **extra})
        assert answer.status_code == 400, answer.text
        assert f"/{name}" in {error["pointer"] for error in answer.json()["errors"]}


async def test_api4_resource_use_size_page_and_rate_have_limits(installed: Installed, ours: World) -> None:
    key = ours.keys["master"]
    large = await installed.call(key, "POST", "/v1/workspaces", json={"name": "x" * (1024 * 1024)})
    assert large.status_code == 413
    assert (await installed.call(key, "GET", "/v1/workspaces?limit=101")).status_code == 400
    deep = "[" * 5000 + "]" * 5000
    answer = await installed.call(key, "POST", "/v1/workspaces", content=deep)
    assert answer.status_code == 400
    body = {"name": "slow", "preset": "read_only", "rateLimit": {"requests": 1, "windowSeconds": 60}}
    made = (await installed.call(key, "POST", "/v1/api-keys", json=body)).json()
    told = [await installed.client.get("/v1/whoami", headers={"x-auth": made["key"]}) for _ in range(3)]
    assert [one.status_code for one in told] == [200, 429, 429]


@pytest.mark.parametrize("name", EDGES)
async def test_api5_function_authorisation_a_key_does_no_more_than_its_kind_and_scopes(
    installed: Installed, ours: World, name: str
) -> None:
    key = ours.keys[name]
    wider = {"name": "wider", "preset": "master"}
    for path in ("/v1/api-keys", f"/v1/workspaces/{ours.first.id}/api-keys"):
        answer = await installed.call(key, "POST", path, json=wider)
        if answer.status_code == 201:
            assert set(answer.json()["scopes"]) <= key.scopes
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN"), answer.text
    if name == "workspace":
        assert (await installed.call(key, "GET", "/v1/agency")).status_code == 403


async def test_api6_sensitive_flows_what_comes_many_times_at_once_happens_once(
    installed: Installed, ours: World
) -> None:
    """A script that presses the button twenty times: one grant for one idempotency key, and the others are told."""
    key = ours.keys["master"]
    headers = {"idempotency-key": new_id("grant")}
    before = (await installed.call(key, "GET", "/v1/credits")).json()["agency"]["granted"]
    answers = await asyncio.gather(
        *(installed.call(key, "POST", "/v1/credits/grants", json={"amount": 7}, headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    after = (await installed.call(key, "GET", "/v1/credits")).json()["agency"]["granted"]
    assert after - before == 7


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0177.0.0.1"),
        *("169.254.169.254", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[64:ff9b::7f00:1]"),
    ],
)
async def test_api7_ssrf_no_way_of_writing_a_private_address_is_called(host: str) -> None:
    async with Receiver() as receiver, OutgoingClient(AllowList.parse("")) as client:
        with pytest.raises(OutgoingRefused):
            await client.request("GET", f"http://{host}:{receiver.port}/")
        assert receiver.connections == 0


async def test_api8_configuration_the_defaults_are_the_safe_ones(installed: Installed) -> None:
    fields = {name: field.default for name, field in Settings.model_fields.items()}
    assert (fields["host"], fields["trusted_proxies"], fields["outbound_allow"]) == ("127.0.0.1", 0, "")
    assert fields["leak_keys_url"] is None
    answer = await installed.client.get("/v1/whoami", headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


async def test_api8_configuration_an_error_tells_nothing_of_the_inside(installed: Installed, ours: World) -> None:
    for path in ("/v1/workspaces/%00", "/v1/workspaces?cursor=%27", "/v1/nowhere", "/v1/api-keys/..%2f..%2fetc"):
        answer = await installed.call(ours.keys["master"], "GET", path)
        assert 400 <= answer.status_code < 500, path
        for inside in ("Traceback", "asyncpg", "postgres", "site-packages", "select "):
            assert inside not in answer.text


def test_api9_inventory_every_route_that_is_served_stands_in_the_document() -> None:
    served = {
        (method, route.path)
        for route in application().routes
        if isinstance(route, Route) and route.path.startswith(("/v1/", "/api/", "/company/"))
        for method in route.methods or ()
    }
    told = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert served == told == {(one.method, one.path) for one in described()}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff\xfe", b'{"public_keys": [{}]}', json.dumps({"public_keys": "x" * 300_000}).encode()],
    ids=["nothing", "no keys", "no text", "half a key", "too much"],
)
async def test_api10_third_parties_a_broken_answer_of_theirs_is_no_crash_of_ours(body: bytes) -> None:
    """The one that is asked while a request waits: who publishes keys for signed reports of leaks."""
    async with Receiver() as receiver:
        receiver.answer(200, body=body)
        async with OutgoingClient(AllowList.parse(f"127.0.0.1/32:{receiver.port}")) as client:
            assert not await PartnerKeys(client, receiver.url).has_signed(b"[]", "any", "c2ln")
