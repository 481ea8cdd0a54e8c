"""Somebody is invited, finds the mail, follows what it says, works where they may, and is removed again."""

import json
import time
from pathlib import Path

import pytest

from tests.journeys.installation import Installation, installation
from tests.journeys.mails import command_in, mail_to

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]


async def test_an_invitation_leads_from_a_mail_to_work(tmp_path: Path) -> None:
    async with installation(tmp_path / "data") as house:
        await _invited_and_removed(house)


async def _invited_and_removed(house: Installation) -> None:
    await house.up()
    key = next(line.partition("COLONNADE_KEY=")[2] for line in house.printed if "COLONNADE_KEY=" in line)
    workspaces = (await house.curl(key, "/v1/workspaces")).json()["data"]
    wish = {
        "email": "Ana@north.example",
        "role": "viewer",
        "workspaces": [{"workspaceId": workspaces[0]["id"], "role": "manager"}],
    }
    invited = (await house.curl(key, "-X", "POST", "/v1/members", "-d", json.dumps(wish))).json()
    first = await mail_to(house.data, "ana@north.example")

    await house.kill()
    await house.up()
    await house.curl(key, "-X", "POST", f"/v1/members/{invited['id']}/resend")
    second = await mail_to(house.data, "ana@north.example", besides=1)

    _, dead = command_in(first)
    url, body = command_in(second)
    assert url == f"{house.url}/v1/auth/accept-invitation"
    refused = await house.curl("", "-X", "POST", "/v1/auth/accept-invitation", "-d", json.dumps(dead))
    signed_in = await house.curl("", "-X", "POST", "/v1/auth/accept-invitation", "-d", json.dumps(body))
    again = await house.curl("", "-X", "POST", "/v1/auth/accept-invitation", "-d", json.dumps(body))

    assert signed_in.status == 200, signed_in.body
    for answer in (refused, again):
        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (400, "/token"), answer.body
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    csrf = signed_in.json()["csrfToken"]
    seen = await house.curl("", "-H", f"Cookie: {cookie}", "/v1/workspaces")
    assert [one["id"] for one in seen.json()["data"]] == [workspaces[0]["id"]]
    member = (await house.curl(key, "/v1/members?q=ana@")).json()["data"][0]
    assert (member["status"], member["workspaces"], member["role"]) == ("active", "assigned", "viewer")

    removed = await house.curl(key, "-X", "DELETE", f"/v1/members/{member['id']}")
    assert removed.status == 204
    deadline = time.monotonic() + 1
    while (await house.curl("", "-H", f"Cookie: {cookie}", "-H", f"X-CSRF-Token: {csrf}", "/v1/me")).status != 401:
        assert time.monotonic() < deadline, "the session of who was removed still works"
    farewell = await mail_to(house.data, "ana@north.example", besides=2)
    assert "no longer a member" in farewell["Subject"]
    logged = "\n".join(house.printed)
    assert body["token"] not in logged
    assert "ana@north.example" not in logged
