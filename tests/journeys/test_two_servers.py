"""What two processes promise together: one limit, and changes of keys seen by the other within a second."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.journeys.servers import ELSEWHERE, Servers, two_servers

CALLS, CALLERS, LIMIT = 1000, 32, 100

unlimited_and_limited = pytest.mark.parametrize(
    "rate", [None, {"requests": 100_000, "windowSeconds": 3600}], ids=["without a limit", "with a limit"]
)


@pytest_asyncio.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    async with two_servers(tmp_path_factory.mktemp("two") / "data") as servers:
        yield servers


async def flooded(servers: Servers) -> list[httpx2.Response]:
    """What a thousand calls were told, made by 32 callers in turn at both servers."""
    _, key = await servers.a_key(rateLimit={"requests": LIMIT, "windowSeconds": 60})
    numbers = iter(range(CALLS))
    answers: list[httpx2.Response] = []

    async def call() -> None:
        for number in numbers:
            client = servers.first if number % 2 else servers.other
            answers.append(await client.get("/v1/whoami", headers=key))

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return answers


def told(answer: httpx2.Response) -> tuple[int, int]:
    """What remains, and in how many seconds the window ends."""
    match = re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert match is not None, answer.headers["ratelimit"]
    return int(match[1]), int(match[2])


def assert_exact(answers: list[httpx2.Response]) -> None:
    admitted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(admitted), len(refused)) == (LIMIT, CALLS - LIMIT)
    assert sorted(told(answer)[0] for answer in admitted) == list(range(LIMIT))
    assert {told(answer)[0] for answer in refused} == {0}
    assert all(1 <= told(answer)[1] <= 60 for answer in answers)
    assert all(answer.headers["ratelimit-policy"] == '"default";q=100;w=60' for answer in answers)
    assert {answer.headers.get("retry-after") for answer in admitted} == {None}
    assert all(int(answer.headers["retry-after"]) == told(answer)[1] for answer in refused)


async def test_two_servers_admit_exactly_the_limit_and_tell_each_remainder_once(servers: Servers) -> None:
    assert_exact(await flooded(servers))


@pytest.mark.parametrize("ahead_seconds", [10.0, -10.0], ids=["ahead", "behind"])
async def test_a_server_with_a_wrong_clock_admits_no_more_and_no_fewer(tmp_path: Path, ahead_seconds: float) -> None:
    async with two_servers(tmp_path / "data", ahead_seconds=ahead_seconds) as servers:
        assert_exact(await flooded(servers))

        key_id, key = await servers.a_key(expiresAt=_later(5 + max(ahead_seconds, 0)))
        for client in (servers.other, servers.first):
            assert (await client.get("/v1/whoami", headers=key)).status_code == 200
        await servers.seconds_until(lambda: _is_used(servers, key_id), most=20)
        used = (await servers.first.get(f"/v1/api-keys/{key_id}", headers=servers.master)).json()["lastUsedAt"]
        assert abs((datetime.fromisoformat(used) - datetime.now(UTC)).total_seconds()) < 9


def _later(seconds: float) -> str:
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + seconds, UTC).isoformat()


async def _is_used(servers: Servers, key_id: str) -> bool:
    read = await servers.first.get(f"/v1/api-keys/{key_id}", headers=servers.master)
    return read.json()["lastUsedAt"] is not None


async def warmed(servers: Servers, key: dict[str, str]) -> None:
    """The other server knows the key by heart, from both addresses."""
    for client in (servers.other, servers.elsewhere):
        for _ in range(2):
            assert (await client.get("/v1/whoami", headers=key)).status_code == 200


async def at_first(servers: Servers, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
    answer = await servers.first.request(method, path, json=body, headers=servers.master)
    assert answer.status_code < 300, answer.text
    return answer


async def until_refused(servers: Servers, client: httpx2.AsyncClient, key: dict[str, str], reason: str) -> float:
    async def is_refused() -> bool:
        answer = await client.get("/v1/whoami", headers=key)
        assert answer.status_code in {200, 403}, answer.text
        return bool(answer.status_code == 403 and answer.json()["reason"] == reason)

    return await servers.seconds_until(is_refused)


async def revocation(servers: Servers, rate: Any) -> float:
    key_id, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    await at_first(servers, "DELETE", f"/v1/api-keys/{key_id}")
    return await until_refused(servers, servers.other, key, "keys.revoked")


async def report_of_a_leak(servers: Servers, rate: Any) -> float:
    _, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    await at_first(servers, "POST", "/v1/api-keys/report-leak", {"key": key["x-auth"]})
    return await until_refused(servers, servers.other, key, "keys.revoked")


async def roll(servers: Servers, rate: Any) -> float:
    key_id, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    rolled = await at_first(servers, "POST", f"/v1/api-keys/{key_id}/roll", {})
    new = {"x-auth": rolled.json()["key"]}
    assert (await servers.other.get("/v1/whoami", headers=new)).json()["keyId"] == key_id
    return await until_refused(servers, servers.other, key, "keys.expired")


async def roll_with_overlap(servers: Servers, rate: Any) -> float:
    """Both texts are good for the overlap; the seconds are those by which the old one outlived it."""
    key_id, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    rolled = await at_first(servers, "POST", f"/v1/api-keys/{key_id}/roll", {"overlapSeconds": 2})
    new = {"x-auth": rolled.json()["key"]}
    for one in (key, new):
        assert (await servers.other.get("/v1/whoami", headers=one)).status_code == 200
    await asyncio.sleep(2)
    took = await until_refused(servers, servers.other, key, "keys.expired")
    assert (await servers.other.get("/v1/whoami", headers=new)).status_code == 200
    return took


async def change_of_scopes(servers: Servers, rate: Any) -> float:
    key_id, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    await at_first(servers, "PATCH", f"/v1/api-keys/{key_id}", {"scopes": ["usage:read"]})

    async def is_narrow() -> bool:
        answer = await servers.other.get("/v1/whoami", headers=key)
        return bool(answer.status_code == 200 and answer.json()["scopes"] == ["usage:read"])

    return await servers.seconds_until(is_narrow)


async def allowlist_of_the_key(servers: Servers, rate: Any) -> float:
    key_id, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    await at_first(servers, "PATCH", f"/v1/api-keys/{key_id}", {"ipAllowlist": ["127.0.0.1"]})
    took = await until_refused(servers, servers.elsewhere, key, "keys.address_refused")
    assert (await servers.other.get("/v1/whoami", headers=key)).status_code == 200
    return took


async def allowlist_of_the_agency(servers: Servers, rate: Any) -> float:
    _, key = await servers.a_key(rateLimit=rate)
    await warmed(servers, key)
    await at_first(servers, "PATCH", "/v1/agency/settings", {"ipAllowlist": ["127.0.0.1", "203.0.113.0/24"]})
    try:
        took = await until_refused(servers, servers.elsewhere, key, "keys.address_refused")
        assert (await servers.other.get("/v1/whoami", headers=key)).status_code == 200
    finally:
        await at_first(servers, "PATCH", "/v1/agency/settings", {"ipAllowlist": None})
    return took


CHANGES = [
    revocation,
    report_of_a_leak,
    roll,
    roll_with_overlap,
    change_of_scopes,
    allowlist_of_the_key,
    allowlist_of_the_agency,
]


@unlimited_and_limited
@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
async def test_the_other_server_sees_a_change_within_a_second(servers: Servers, change: Any, rate: Any) -> None:
    for _ in range(3):
        assert await change(servers, rate) < 1


async def test_calls_from_another_address_are_told_apart(servers: Servers) -> None:
    _, key = await servers.a_key(ipAllowlist=[ELSEWHERE])
    assert (await servers.elsewhere.get("/v1/whoami", headers=key)).status_code == 200
    assert (await servers.other.get("/v1/whoami", headers=key)).status_code == 403
