"""Links that replace a password, invitations, and changing the password: what they open, once, and what they end."""

import asyncio
from typing import Any

import httpx2
import pytest

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import people, sessions
from tests.factories import Home, a_signed_in, an_agency
from tests.sessions.signing import OTHER, PASSWORD, Human, a_human, at_the_door, log_in

CONFIRM = "/v1/auth/password-reset/confirm"
ACCEPT = "/v1/auth/accept-invitation"


async def a_link(database: Database, home: Home, human: Human) -> str:
    async with database.transaction(home.reach) as tx:
        return (await sessions.mint_reset(tx, human.person_id)).reveal()


async def an_invitation(database: Database, home: Home, email: str, role: Any = "viewer") -> str:
    async with database.transaction(home.reach) as tx:
        invitation = await people.invite(tx, home.caller, people.Draft(email, role))
        mailed = await people.mint_invitation(tx, invitation.id)
    assert mailed is not None
    return mailed.token.reveal()


def dead(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.json()["reason"]) == (400, "request.invalid"), answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/token"]


async def test_a_link_replaces_the_password_once_and_ends_every_session(database: Database) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    token = await a_link(database, home, human)
    async with at_the_door(database) as client:
        await log_in(client, human)
        assert (await client.post(CONFIRM, json={"token": token, "password": OTHER})).status_code == 204

        assert (await client.get("/v1/me")).json()["reason"] == "auth.session_ended"
        assert (await log_in(client, human)).json()["reason"] == "auth.wrong_credentials"
        assert (await log_in(client, Human("", "", human.email, OTHER))).status_code == 200
        dead(await client.post(CONFIRM, json={"token": token, "password": PASSWORD}))


async def test_of_two_who_use_a_link_at_once_one_is_refused(database: Database) -> None:
    home = await an_agency(database)
    token = await a_link(database, home, await a_human(database, home))
    async with at_the_door(database) as client:
        bodies = [{"token": token, "password": password} for password in (PASSWORD, OTHER)]
        answers = await asyncio.gather(*(client.post(CONFIRM, json=body) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [204, 400]


async def test_a_newer_link_kills_the_one_before(database: Database) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    old, new = await a_link(database, home, human), await a_link(database, home, human)
    async with at_the_door(database) as client:
        dead(await client.post(CONFIRM, json={"token": old, "password": OTHER}))
        assert (await client.post(CONFIRM, json={"token": new, "password": OTHER})).status_code == 204


async def test_a_link_is_dead_after_an_hour(database: Database, owner: Any) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    token = await a_link(database, home, human)
    await owner.execute(
        "update password_reset set expires_at = now() - interval '1 second' where person_id = $1", human.person_id
    )
    async with at_the_door(database) as client:
        dead(await client.post(CONFIRM, json={"token": token, "password": OTHER}))
        assert (await log_in(client, human)).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "col_reset_" + "0" * 38, "col_invite_" + "0" * 38, "col_reset_" + "é" * 38])
async def test_a_text_that_is_no_link_opens_nothing(database: Database, token: str) -> None:
    async with at_the_door(database) as client:
        for path in (CONFIRM, ACCEPT):
            answer = await client.post(path, json={"token": token, "password": OTHER})
            assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "password",
    ["short", "x" * 257, "aaaaaaaaaaaaaaaa", "password123456", "Qwertyuiop123!", "123456789012", "abababababab"],
)
async def test_a_password_that_is_guessed_first_is_refused_and_the_link_stays_good(
    database: Database, password: str
) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    token = await a_link(database, home, human)
    async with at_the_door(database) as client:
        answer = await client.post(CONFIRM, json={"token": token, "password": password})
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/password"], answer.text
        mine = await client.post(CONFIRM, json={"token": token, "password": human.email.upper()})
        assert [error["pointer"] for error in mine.json()["errors"]] == ["/password"]
        assert (await client.post(CONFIRM, json={"token": token, "password": OTHER})).status_code == 204


async def test_asking_for_a_link_is_answered_alike_for_everybody_and_written_down_for_the_known(
    database: Database, owner: Any
) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    async with at_the_door(database) as client:
        answers = [
            await client.post("/v1/auth/password-reset", json={"email": email})
            for email in (human.email.upper(), "nobody@people.example")
        ]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(202, {"status": "accepted"})] * 2
    async with database.transaction(home.reach) as tx:
        rows = await tx.fetch(
            "select resource_id, actor_kind from audit_entry where agency_id = $1 and event = 'people.reset_requested'",
            tx.agency_id,
        )
    assert [tuple(row) for row in rows] == [(human.person_id, "nobody")]


async def test_a_changed_password_ends_all_other_sessions_in_every_agency(database: Database) -> None:
    home, second = await an_agency(database), await an_agency(database)
    human = await a_human(database, home, "admin")
    await a_human(database, second, "viewer", email=human.email)
    async with at_the_door(database) as client, at_the_door(database) as elsewhere:
        await log_in(elsewhere, human, agencyId=second.agency_id)
        await log_in(client, human, agencyId=home.agency_id)
        body = {"current": OTHER, "new": "three otters on a raft"}
        wrong = await client.post("/v1/me/password", json=body)
        assert (wrong.status_code, wrong.json()["reason"]) == (401, "auth.wrong_credentials")
        changed = await client.post("/v1/me/password", json={**body, "current": PASSWORD})

        assert changed.status_code == 200, changed.text
        client.headers["x-csrf-token"] = changed.json()["csrfToken"]
        assert (await client.patch("/v1/me", json={"name": "Ada"})).json()["member"]["name"] == "Ada"
        assert (await elsewhere.get("/v1/me")).json()["reason"] == "auth.session_ended"
        assert (await log_in(elsewhere, human)).status_code == 401
        assert (await log_in(elsewhere, Human("", "", human.email, "three otters on a raft"))).status_code == 200


async def test_an_invitation_makes_a_member_who_is_signed_in(database: Database) -> None:
    home, email = await an_agency(database), f"{new_id('person')[7:]}@people.example"
    token = await an_invitation(database, home, email)
    async with at_the_door(database) as client:
        without = await client.post(ACCEPT, json={"token": token})
        assert [error["pointer"] for error in without.json()["errors"]] == ["/password"]
        answer = await client.post(ACCEPT, json={"token": token, "name": "Ada", "password": PASSWORD})

        assert answer.status_code == 200, answer.text
        assert (answer.json()["member"]["name"], answer.json()["agency"]["role"]) == ("Ada", "viewer")
        assert (await client.get("/v1/me")).json()["member"]["email"] == email
        dead(await client.post(ACCEPT, json={"token": token, "password": PASSWORD}))
        assert (await log_in(client, Human("", "", email))).status_code == 200


async def test_who_has_a_password_accepts_an_invitation_with_it_and_keeps_it(database: Database) -> None:
    home, second = await an_agency(database), await an_agency(database, name="Second")
    human = await a_human(database, home)
    token = await an_invitation(database, second, human.email)
    async with at_the_door(database) as client:
        wrong = await client.post(ACCEPT, json={"token": token, "password": OTHER})
        assert (wrong.status_code, wrong.json()["reason"]) == (401, "auth.wrong_credentials")
        answer = await client.post(ACCEPT, json={"token": token, "password": PASSWORD})

    assert answer.status_code == 200, answer.text
    assert answer.json()["agency"]["name"] == "Second"
    assert len(answer.json()["agencies"]) == 2


async def test_an_invitation_is_not_accepted_while_signed_in_as_somebody_else(database: Database) -> None:
    home = await an_agency(database)
    token = await an_invitation(database, home, f"{new_id('person')[7:]}@people.example")
    async with at_the_door(database) as client:
        headers = await a_signed_in(database, home)
        answer = await client.post(ACCEPT, json={"token": token, "password": PASSWORD}, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "invitations.other_person")
        assert (await client.post(ACCEPT, json={"token": token, "password": PASSWORD})).status_code == 200
