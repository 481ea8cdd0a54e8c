"""What strangers send to the way in: nothing of it is a failure of ours, and nothing of it opens anything."""

from typing import Any

import pytest

from colonnade.ground.db.database import Database
from colonnade.tenancy.sessions import Cookie
from tests.factories import a_signed_in, an_agency
from tests.sessions.signing import at_the_door

BODIES: list[dict[str, Any]] = [
    {},
    {"email": "a@b.example"},
    {"email": "a@b.example", "password": ""},
    {"email": "a@b.example", "password": "x" * 5000},
    {"email": "x" * 400, "password": "x"},
    {"email": ["a@b.example"], "password": {"$ne": ""}},
    {"email": "a@b.example' or 1=1 --", "password": "' or 1=1 --"},
    {"email": "ÄÖÜ@ümlaut.example", "password": "\u202e\ufdfa" * 200},
    {"email": "a@b.example", "password": "x", "code": "1" * 65},
    {"email": "a@b.example", "password": "x", "agencyId": "agency_'"},
    {"email": "a@b.example", "password": "x", "role": "owner"},
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_no_body_opens_the_door_or_breaks_it(database: Database, body: dict[str, Any]) -> None:
    async with at_the_door(database) as client:
        answer = await client.post("/v1/auth/login", json=body)
    assert answer.status_code in {400, 401}, answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "cookie",
    [
        *("colonnade_session", "colonnade_session=", "colonnade_session=;;;=", "colonnade_session=col_session_"),
        *("colonnade_session=\xff\xfe", "colonnade_session=" + "x" * 8000, "__Host-colonnade=col_session_" + "0" * 38),
    ],
    ids=range(7),
)
async def test_a_cookie_that_is_none_is_nobody(database: Database, cookie: str) -> None:
    async with at_the_door(database) as client:
        answer = await client.get("/v1/me", headers={b"cookie": cookie.encode("latin-1")})
    assert answer.status_code == 401, answer.text


async def test_a_sessions_text_is_no_key_and_a_key_is_no_session(database: Database) -> None:
    headers = await a_signed_in(database, await an_agency(database))
    text = headers["cookie"].partition("=")[2]
    async with at_the_door(database) as client:
        as_key = await client.get("/v1/whoami", headers={"authorization": f"Bearer {text}"})
    assert (as_key.status_code, as_key.json()["reason"]) == (401, "auth.invalid")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://app.example", "__Host-colonnade"),
        ("http://app.example", "colonnade_session"),
        (None, "colonnade_session"),
    ],
    ids=["https", "http", "none"],
)
def test_the_cookie_is_bound_to_its_host_behind_https(url: str | None, name: str) -> None:
    assert Cookie.of(url) == Cookie(name, is_secure=name.startswith("__Host-"))
