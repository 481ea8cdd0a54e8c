"""The second factor over HTTP: setting it up, signing in with it, taking it away; no code counts twice."""

import asyncio
from typing import Any

import httpx2
import pytest

from colonnade.ground.db.database import Database
from tests.factories import a_signed_in, an_agency
from tests.sessions.signing import Human, a_human, at_the_door, code_of, enrol, log_in

SETTINGS = "/v1/agency/settings"


def refused(answer: httpx2.Response, status: int, reason: str) -> None:
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text


async def test_a_secret_is_shown_once_with_a_picture_and_counts_from_its_first_code_on(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        made = (await client.post("/v1/me/totp")).json()
        shown = await client.get("/v1/me/totp")

        assert made["otpauthUri"].startswith("otpauth://totp/Northlight:")
        assert made["secret"] in made["otpauthUri"]
        assert made["qrCode"].startswith("data:image/svg+xml")
        assert shown.json() == {"enrolled": False, "confirmedAt": None, "recoveryCodesLeft": 0}
        assert made["secret"] not in shown.text
        assert (await log_in(client, human)).json()["twoFactor"] == "off"


async def test_who_has_a_second_factor_signs_in_with_it(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        totp, codes = await enrol(client)
        assert len(set(codes)) == 10
        assert (await client.get("/v1/me")).json()["twoFactor"] == "enrolled"

        refused(await log_in(client, human), 401, "auth.code_needed")
        refused(
            await log_in(client, Human("", "", human.email, "not the password"), code=code_of(totp)),
            401,
            "auth.wrong_credentials",
        )
        refused(await log_in(client, human, code="000000"), 401, "auth.code_refused")
        assert (await log_in(client, human, code=code_of(totp))).json()["twoFactor"] == "enrolled"


async def test_a_code_counts_once_and_none_of_before_it(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        totp, _ = await enrol(client)
        earlier, code = code_of(totp, -1), code_of(totp)

        refused(await log_in(client, human, code=earlier), 401, "auth.code_refused")
        assert (await log_in(client, human, code=code)).status_code == 200
        refused(await log_in(client, human, code=code), 401, "auth.code_refused")


async def test_of_many_who_show_one_code_at_once_one_gets_in(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        totp, _ = await enrol(client)
        code = code_of(totp)
        answers = await asyncio.gather(*(log_in(client, human, code=code) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


async def test_a_recovery_code_counts_once_however_it_is_typed(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        _, codes = await enrol(client)

        typed = codes[0].upper().replace("-", " ")
        assert (await log_in(client, human, recoveryCode=typed)).status_code == 200
        refused(await log_in(client, human, recoveryCode=codes[0]), 401, "auth.code_refused")
        assert (await client.get("/v1/me/totp")).json()["recoveryCodesLeft"] == 9


async def test_fresh_recovery_codes_void_the_old_ones(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        totp, old = await enrol(client)
        refused(await client.post("/v1/me/totp/recovery-codes", json={"code": "000000"}), 401, "auth.code_refused")
        fresh = (await client.post("/v1/me/totp/recovery-codes", json={"code": code_of(totp)})).json()["recoveryCodes"]

        assert not set(fresh) & set(old)
        refused(await log_in(client, human, recoveryCode=old[0]), 401, "auth.code_refused")
        assert (await log_in(client, human, recoveryCode=fresh[0])).status_code == 200


async def test_a_second_factor_ends_every_session_without_one_and_renews_its_own(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client, at_the_door(database) as elsewhere:
        await log_in(elsewhere, human)
        await log_in(client, human)
        before = client.cookies["colonnade_session"]
        await enrol(client)

        assert client.cookies["colonnade_session"] != before
        refused(await elsewhere.get("/v1/me"), 401, "auth.session_ended")
        client.cookies.clear()
        refused(
            await client.get("/v1/me", headers={"cookie": f"colonnade_session={before}"}), 401, "auth.session_ended"
        )


async def test_a_second_factor_goes_with_one_of_its_codes(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        refused(await client.request("DELETE", "/v1/me/totp", json={"code": "000000"}), 409, "auth.two_factor_absent")
        _, codes = await enrol(client)
        refused(await client.post("/v1/me/totp"), 409, "auth.two_factor_enrolled")
        refused(await client.request("DELETE", "/v1/me/totp", json={}), 401, "auth.code_refused")
        gone = await client.request("DELETE", "/v1/me/totp", json={"recoveryCode": codes[3]})

        assert gone.json()["twoFactor"] == "off"
        assert (await log_in(client, human)).status_code == 200
        assert (await client.get("/v1/me/totp")).json()["recoveryCodesLeft"] == 0


async def test_confirming_needs_a_beginning_and_a_right_code(database: Database) -> None:
    headers = await a_signed_in(database, await an_agency(database))
    async with at_the_door(database) as client:
        client.headers.update(headers)
        nothing = await client.post("/v1/me/totp/confirm", json={"code": "123456"})
        await client.post("/v1/me/totp")
        wrong = await client.post("/v1/me/totp/confirm", json={"code": "not a code"})

    refused(nothing, 409, "auth.two_factor_absent")
    refused(wrong, 401, "auth.code_refused")


async def test_codes_are_tried_six_times_in_a_minute(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        await enrol(client)
        answers = [await client.post("/v1/me/totp/recovery-codes", json={"code": "000000"}) for _ in range(6)]
    # Confirming was the first of the six.
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[-1].json()["reason"] == "auth.too_many_attempts"


async def test_an_agency_that_asks_for_a_second_factor_lets_others_only_set_one_up(database: Database) -> None:
    home = await an_agency(database)
    human = await a_human(database, home, "admin")
    async with at_the_door(database) as owner, at_the_door(database) as client:
        owner.headers.update(await a_signed_in(database, home, second_factor=True))
        began = (await log_in(client, human)).json()
        assert began["twoFactor"] == "off"
        asked = await owner.patch(SETTINGS, json={"requireTwoFactor": True})
        assert asked.status_code == 200, asked.text

        answer = await _until_refused(client)
        refused(answer, 403, "auth.two_factor_required")
        refused(await client.get("/v1/whoami"), 403, "auth.two_factor_required")
        assert (await client.get("/v1/me")).json()["twoFactor"] == "required"
        assert (await log_in(client, human)).json()["twoFactor"] == "required"
        await enrol(client)
        assert (await client.get("/v1/agency")).status_code == 200


async def _until_refused(client: Any) -> httpx2.Response:
    async with asyncio.timeout(1):
        while (answer := await client.get("/v1/agency")).status_code == 200:
            await asyncio.sleep(0.01)
    return answer  # type: ignore[no-any-return]


@pytest.mark.parametrize("second_factor", [False, True], ids=["without", "with"])
async def test_nobody_asks_everybody_for_a_second_factor_without_one(database: Database, second_factor: bool) -> None:
    home = await an_agency(database)
    async with at_the_door(database) as client:
        client.headers.update(await a_signed_in(database, home, second_factor=second_factor))
        answer = await client.patch(SETTINGS, json={"requireTwoFactor": True})

    if second_factor:
        assert answer.status_code == 200, answer.text
    else:
        refused(answer, 422, "settings.locks_out")
