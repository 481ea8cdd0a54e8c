"""People with passwords and second factors, and how they sign in over HTTP."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pyotp

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.tenancy import people, sessions
from colonnade.tenancy.agencies import routes as agencies_routes
from colonnade.tenancy.keys import routes as keys_routes
from colonnade.tenancy.sessions import me_routes
from colonnade.tenancy.sessions import routes as sessions_routes
from tests.factories import Home
from tests.serving import served

ROUTERS = [sessions_routes.routes, me_routes.routes, keys_routes.routes, agencies_routes.routes]
PASSWORD = "nine green herons wade at dusk"
OTHER = "a lantern under the old pier"


@dataclass(frozen=True, slots=True)
class Human:
    """Somebody with a password."""

    person_id: str
    member_id: str
    email: str
    password: str = PASSWORD


async def a_human(database: Database, home: Home, role: str = "owner", email: str | None = None) -> Human:
    """A member with a password, chosen by a link."""
    email = email or f"{role}.{new_id('person')[-12:]}@people.example"
    async with database.transaction(home.reach) as tx:
        person_id = await people.ensure_person(tx, email=email)
        member = await people.add_member(tx, home.caller, person_id=person_id, role=role)
        token = await sessions.mint_reset(tx, person_id)
    async with at_the_door(database) as client:
        body = {"token": token.reveal(), "password": PASSWORD}
        answer = await client.post("/v1/auth/password-reset/confirm", json=body)
    assert answer.status_code == 204, answer.text
    return Human(person_id, member.id, email)


@contextlib.asynccontextmanager
async def at_the_door(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser that keeps cookies, in front of the routes for people."""
    async with served(database, ROUTERS) as client:
        yield client


async def log_in(client: httpx2.AsyncClient, human: Human, **more: Any) -> httpx2.Response:
    """Sign in; from now on the client brings the session's token along."""
    answer = await client.post("/v1/auth/login", json={"email": human.email, "password": human.password, **more})
    if answer.status_code == 200:
        client.headers["x-csrf-token"] = answer.json()["csrfToken"]
    return answer


async def enrol(client: httpx2.AsyncClient) -> tuple[pyotp.TOTP, list[str]]:
    """Set up a second factor with the code of the step before, so that the code of now is still good."""
    made = (await client.post("/v1/me/totp")).json()
    totp = pyotp.TOTP(made["secret"])
    sent = code_of(totp, -1)
    answer = await client.post("/v1/me/totp/confirm", json={"code": sent})
    if answer.status_code == 401 and sent != code_of(totp, -1):  # a step ended on the way
        answer = await client.post("/v1/me/totp/confirm", json={"code": code_of(totp, -1)})
    assert answer.status_code == 200, answer.text
    client.headers["x-csrf-token"] = answer.json()["csrfToken"]
    return totp, answer.json()["recoveryCodes"]


def code_of(totp: pyotp.TOTP, steps: int = 0) -> str:
    """The code of now, or of some steps away."""
    return totp.at(int(time.time()) + 30 * steps)
