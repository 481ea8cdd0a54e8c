"""Signing in and out over HTTP, as a browser does it."""

from typing import Any

import pytest

from colonnade.ground.db.database import Database
from tests.factories import a_signed_in, an_agency
from tests.serving import a_key
from tests.sessions.signing import OTHER, PASSWORD, Human, a_human, at_the_door, log_in


async def test_who_signs_in_is_a_caller_on_every_route(database: Database) -> None:
    home = await an_agency(database)
    human = await a_human(database, home, "admin")
    async with at_the_door(database) as client:
        answer = await log_in(client, human)

        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert shown["member"] == {
            "id": human.member_id,
            "personId": human.person_id,
            "email": human.email,
            "name": None,
            "role": "admin",
        }
        assert shown["agency"] == {"id": home.agency_id, "name": "Northlight", "role": "admin"}
        assert shown["agencies"] == [shown["agency"]]
        assert shown["twoFactor"] == "off"
        who = (await client.get("/v1/whoami")).json()
        assert (who["kind"], who["agencyId"], who["workspaces"], who["keyId"]) == (
            "member",
            home.agency_id,
            "all",
            None,
        )
        renamed = await client.patch("/v1/agency", json={"website": "https://northlight.example"})
        assert renamed.status_code == 200, renamed.text
        assert renamed.headers["ratelimit-policy"] == '"default";q=300;w=60'


async def test_a_wrong_password_reads_like_an_address_that_nobody_has(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        wrong = await log_in(client, Human("", "", human.email, OTHER))
        unknown = await log_in(client, Human("", "", "nobody@people.example"))

    bodies = [answer.json() for answer in (wrong, unknown)]
    assert [answer.status_code for answer in (wrong, unknown)] == [401, 401]
    assert all(body.pop("requestId") for body in bodies)
    assert bodies[0] == bodies[1]
    assert bodies[0]["reason"] == "auth.wrong_credentials"
    assert "set-cookie" not in wrong.headers


async def test_the_cookie_is_for_the_browser_alone(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        answer = await log_in(client, human)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("colonnade_session=col_session_")
    for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=1209600"):
        assert part in cookie
    assert "Secure" not in cookie
    assert cookie.split("=")[1].split(";")[0] not in answer.text


async def test_a_session_that_has_ended_opens_nothing_and_lets_its_browser_sign_in_again(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        stale = {"cookie": f"colonnade_session={client.cookies['colonnade_session']}"}

        assert (await client.post("/v1/auth/logout")).status_code == 204
        assert "colonnade_session" not in dict(client.cookies)
        refused = await client.get("/v1/me", headers=stale)
        body = {"email": human.email, "password": human.password}
        again = await client.post("/v1/auth/login", json=body, headers=stale)

        assert (refused.status_code, refused.json()["reason"]) == (401, "auth.session_ended")
        assert again.status_code == 200
        assert (await client.get("/v1/me")).status_code == 200


async def test_signing_in_anew_ends_what_the_browser_had_before(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        before = client.cookies["colonnade_session"]
        await log_in(client, human)

        assert client.cookies["colonnade_session"] != before
        client.cookies.clear()
        answer = await client.get("/v1/me", headers={"cookie": f"colonnade_session={before}"})
    assert answer.status_code == 401


async def test_a_text_that_a_browser_was_given_beforehand_never_becomes_a_session(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    planted = "col_session_" + "0" * 38
    async with at_the_door(database) as client:
        client.cookies.set("colonnade_session", planted)
        answer = await log_in(client, human)

        assert planted not in answer.headers["set-cookie"]
        client.cookies.clear()
        refused = await client.get("/v1/me", headers={"cookie": f"colonnade_session={planted}"})
    assert refused.status_code == 401


@pytest.mark.parametrize("token", [None, "", "0" * 24, "another's"], ids=["none", "empty", "wrong", "of another"])
async def test_a_write_without_the_sessions_own_token_is_refused(database: Database, token: str | None) -> None:
    home = await an_agency(database)
    mine, other = await a_signed_in(database, home), await a_signed_in(database, home, "admin")
    headers = {"cookie": mine["cookie"]}
    if token is not None:
        headers["x-csrf-token"] = other["x-csrf-token"] if token == "another's" else token
    async with at_the_door(database) as client:
        read = await client.get("/v1/me", headers=headers)
        written = await client.patch("/v1/agency", json={"website": "https://taken.example"}, headers=headers)

    assert read.status_code == 200
    assert (written.status_code, written.json()["reason"]) == (403, "auth.csrf")


@pytest.mark.parametrize("path", ["/v1/me/totp", "/v1/auth/login"])
async def test_a_write_that_another_sites_page_sends_is_refused(database: Database, path: str) -> None:
    headers = await a_signed_in(database, await an_agency(database))
    async with at_the_door(database) as client:
        answer = await client.post(path, headers={**headers, "sec-fetch-site": "cross-site"}, json={})

    assert (answer.status_code, answer.json()["reason"]) == (403, "auth.csrf")


async def test_a_session_and_a_key_together_are_refused(database: Database) -> None:
    home = await an_agency(database)
    headers = {**await a_signed_in(database, home), **await a_key(database, home)}
    async with at_the_door(database) as client:
        answer = await client.get("/v1/whoami", headers=headers)
        stale = {**headers, "cookie": "colonnade_session=col_session_" + "0" * 38}
        with_an_old_cookie = await client.get("/v1/whoami", headers=stale)

    assert (answer.status_code, answer.json()["reason"]) == (401, "auth.invalid")
    assert with_an_old_cookie.status_code == 200


async def test_a_key_is_no_person(database: Database) -> None:
    home = await an_agency(database)
    headers = await a_key(database, home)
    async with at_the_door(database) as client:
        answers = [await client.get(path, headers=headers) for path in ("/v1/me", "/v1/me/sessions", "/v1/me/totp")]
    assert {(answer.status_code, answer.json()["reason"]) for answer in answers} == {(403, "keys.wrong_kind")}


async def test_two_cookies_of_one_name_are_none(database: Database) -> None:
    home = await an_agency(database)
    one, other = await a_signed_in(database, home), await a_signed_in(database, home, "admin")
    async with at_the_door(database) as client:
        answer = await client.get("/v1/me", headers={"cookie": f"{one['cookie']}; {other['cookie']}"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "auth.session_ended")


async def _me(client: Any) -> dict[str, Any]:
    shown: dict[str, Any] = (await client.get("/v1/me")).json()
    return shown


async def test_a_person_of_two_agencies_goes_on_in_the_other(database: Database) -> None:
    first, second = await an_agency(database, name="First"), await an_agency(database, name="Second")
    human = await a_human(database, first, "admin")
    await a_human(database, second, "viewer", email=human.email)
    async with at_the_door(database) as client:
        began = (await log_in(client, human, agencyId=second.agency_id)).json()
        assert (began["agency"]["name"], began["agency"]["role"]) == ("Second", "viewer")
        assert {one["name"] for one in began["agencies"]} == {"First", "Second"}
        old = client.cookies["colonnade_session"]

        moved = await client.post("/v1/auth/switch", json={"agencyId": first.agency_id})

        assert moved.status_code == 200, moved.text
        assert moved.json()["expiresAt"] == began["expiresAt"]
        client.headers["x-csrf-token"] = moved.json()["csrfToken"]
        me = await _me(client)
        assert (me["agency"]["name"], me["member"]["role"]) == ("First", "admin")
        nowhere = await client.post("/v1/auth/switch", json={"agencyId": (await an_agency(database)).agency_id})
        assert (nowhere.status_code, nowhere.json()["reason"]) == (403, "auth.no_agency")
        client.cookies.clear()
        assert (await client.get("/v1/me", headers={"cookie": f"colonnade_session={old}"})).status_code == 401


async def test_attempts_on_one_address_end_after_six_in_a_minute_wherever_they_come_from(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    answers = []
    for _ in range(4):
        async with at_the_door(database) as client:
            answers += [await log_in(client, Human("", "", human.email, OTHER)) for _ in range(2)]
    async with at_the_door(database) as client:
        right = await log_in(client, Human("", "", human.email, PASSWORD))

    assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 2
    assert (right.status_code, right.json()["reason"]) == (429, "auth.too_many_attempts")
    assert 0 < int(right.headers["retry-after"]) <= 60
