"""Somebody is invited by mail and signs in; what ends or changes at one server counts at the other within a second."""

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.journeys.servers import Servers, two_servers

PASSWORD = "nine green herons wade at dusk"
EMAIL = "ana@people.example"


@dataclass(frozen=True, slots=True)
class Ana:
    """Somebody who has accepted an invitation, at two servers."""

    servers: Servers
    member_id: str

    async def signed_in(self) -> dict[str, str]:
        """The headers of a new session, begun at the first server and known by heart at the other."""
        body = {"email": EMAIL, "password": PASSWORD}
        async with httpx2.AsyncClient(base_url=self.servers.first.base_url) as browser:
            answer = await browser.post("/v1/auth/login", json=body)
            assert answer.status_code == 200, answer.text
            cookie = f"colonnade_session={browser.cookies['colonnade_session']}"
        headers = {"cookie": cookie, "x-csrf-token": answer.json()["csrfToken"]}
        for _ in range(2):
            assert (await self.servers.other.get("/v1/whoami", headers=headers)).status_code == 200
        return headers

    async def becomes(self, role: str) -> None:
        """Another role, given at the first server."""
        path = f"/v1/members/{self.member_id}"
        answer = await self.servers.first.patch(path, json={"role": role}, headers=self.servers.master)
        assert answer.status_code == 200, answer.text


async def _token(folder: Path) -> str:
    """What the link in the one mail carries, once a worker has written it."""
    async with asyncio.timeout(30):
        while not (mails := sorted(folder.glob("*.eml"))):
            await asyncio.sleep(0.05)
    mail = email.message_from_bytes(mails[0].read_bytes(), policy=email.policy.default)
    text = mail.get_body(("plain",))
    assert text is not None
    match = re.search(r"col_invite_[0-9A-Za-z]{38}", text.get_content())
    assert match is not None
    return match[0]


@pytest_asyncio.fixture(scope="module")
async def ana(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ana]:
    data = tmp_path_factory.mktemp("people") / "data"
    async with two_servers(data) as servers:
        invited = {"email": EMAIL, "role": "viewer", "name": "Ana"}
        answer = await servers.first.post("/v1/members", json=invited, headers=servers.master)
        assert answer.status_code == 201, answer.text
        body = {"token": await _token(data / "mail"), "password": PASSWORD}
        accepted = await servers.other.post("/v1/auth/accept-invitation", json=body)
        assert accepted.status_code == 200, accepted.text
        servers.other.cookies.clear()
        yield Ana(servers, accepted.json()["member"]["id"])


async def _seconds_until(ana: Ana, headers: dict[str, str], expected: Any) -> float:
    async def holds() -> bool:
        return bool(expected(await ana.servers.other.get("/v1/whoami", headers=headers)))

    return await ana.servers.seconds_until(holds)


async def test_what_happens_to_a_session_at_one_server_counts_at_the_other_within_a_second(
    ana: Ana, record_property: Any
) -> None:
    took: dict[str, float] = {}
    headers = await ana.signed_in()
    for role in ("admin", "viewer", "manager"):
        await ana.becomes(role)
        may = role == "admin"
        seconds = await _seconds_until(
            ana, headers, lambda answer, may=may: ("keys:write" in answer.json()["scopes"]) is may
        )
        took["role"] = max(took.get("role", 0), seconds)
    for _ in range(3):
        headers = await ana.signed_in()
        assert (await ana.servers.first.post("/v1/auth/logout", headers=headers)).status_code == 204
        seconds = await _seconds_until(ana, headers, lambda answer: answer.status_code == 401)
        took["end"] = max(took.get("end", 0), seconds)
    headers = await ana.signed_in()
    settings = {"requireTwoFactor": True}
    asked = await ana.servers.first.patch("/v1/agency/settings", json=settings, headers=ana.servers.master)
    assert asked.status_code == 200, asked.text
    took["factor"] = await _seconds_until(ana, headers, lambda answer: answer.status_code == 403)
    record_property("seconds", took)

    answer = await ana.servers.first.delete(f"/v1/members/{ana.member_id}", headers=ana.servers.master)
    assert answer.status_code in {200, 204}, answer.text
    await _seconds_until(ana, headers, lambda answer: answer.status_code == 401)
