"""Secrets are shown once: afterwards no log, table, answer or output of a real installation holds one in clear."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pyotp
import pytest
import pytest_asyncio

from colonnade.ground.db import embedded
from tests.journeys.installation import Installation, installation

pytestmark = [pytest.mark.journey, pytest.mark.timeout(280)]

OWNER = "owner@demo-agency.example"
PASSWORD = "seven quiet rivers under one roof 4711"
PROVIDER_KEY = "sk-of-a-provider-0815-0815-0815"


@dataclass(slots=True)
class Told:
    """Everything that was made, and every answer that was not the one meant to show it."""

    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def leaked(self, text: str) -> list[str]:
        """The names of the secrets that stand in a text."""
        return [name for name, secret in self.secrets.items() if secret in text]


class Visitor:
    """Speaks to the installation, and keeps what it is told."""

    def __init__(self, client: httpx2.AsyncClient, told: Told) -> None:
        self._client = client
        self.told = told

    async def says(self, method: str, path: str, shows: dict[str, str] | None = None, **sent: Any) -> httpx2.Response:
        """One request; `shows` names the secrets that the answer shows for the only time, by their fields."""
        answer = await self._client.request(method, path, **sent)
        if shows is None:
            self.told.answers.append(answer.text + json.dumps(dict(answer.headers)))
        for name, place in (shows or {}).items():
            self.told.secrets[name] = answer.json()[place]
        return answer


async def make_keys(visitor: Visitor, first: dict[str, str]) -> None:
    wanted = {"name": "A key", "preset": "master"}
    made = await visitor.says("POST", "/v1/api-keys", {"live key": "key"}, headers=first, json=wanted)
    await visitor.says("POST", "/v1/api-keys", {"test key": "key"}, headers=first, json={**wanted, "mode": "test"})
    await visitor.says("POST", f"/v1/api-keys/{made.json()['id']}/roll", {"rolled key": "key"}, headers=first, json={})
    visitor.told.secrets["provider key"] = PROVIDER_KEY
    await visitor.says("PUT", "/v1/agency/provider-keys/openai", headers=first, json={"key": PROVIDER_KEY})


async def sign_in(visitor: Visitor, token: str) -> dict[str, str]:
    """Choose a password by the operator's link, sign in, enrol a second factor: the headers of the session."""
    secrets = visitor.told.secrets
    secrets |= {"reset token": token, "password": PASSWORD}
    await visitor.says("POST", "/v1/auth/password-reset/confirm", json={"token": token, "password": PASSWORD})
    signed_in = await visitor.says("POST", "/v1/auth/login", {}, json={"email": OWNER, "password": PASSWORD})
    headers = session_of(signed_in, signed_in.json()["csrfToken"], secrets, "session")
    begun = await visitor.says("POST", "/v1/me/totp", {"second factor": "secret"}, headers=headers, json={})
    code = pyotp.TOTP(begun.json()["secret"]).now()
    enrolled = await visitor.says("POST", "/v1/me/totp/confirm", {}, headers=headers, json={"code": code})
    for number, recovery_code in enumerate(enrolled.json()["recoveryCodes"]):
        secrets[f"recovery code {number}"] = recovery_code
    return session_of(enrolled, enrolled.json()["csrfToken"], secrets, "session with a second factor")


def session_of(answer: httpx2.Response, csrf_token: str, secrets: dict[str, str], name: str) -> dict[str, str]:
    cookie = answer.headers["set-cookie"].partition(";")[0]
    secrets[name] = cookie.partition("=")[2]
    return {"cookie": cookie, "x-csrf-token": csrf_token}


async def misuse(visitor: Visitor, first: dict[str, str]) -> None:
    """Each secret where it does not belong; only texts of ours can be recognised in an address."""
    for secret in list(visitor.told.secrets.values()):
        await visitor.says("PATCH", "/v1/agency", headers=first, json={"website": {secret: secret}})
        await visitor.says("GET", "/v1/posts", headers=first, params={"cursor": secret, "scope": "agency"})
        await visitor.says("GET", "/v1/posts", headers={**first, "x-workspace-id": secret})
        await visitor.says("GET", "/v1/agency", headers={"authorization": f"Basic {secret}"})
        await visitor.says("POST", "/v1/auth/login", json={"email": OWNER, "password": secret + "x"})
        if secret.startswith("col_"):
            await visitor.says("GET", f"/v1/posts/{secret}", headers=first)
            await visitor.says("GET", f"/v1/{secret}", headers=first)
            await visitor.says("GET", "/v1/agency", headers={**first, "x-request-id": secret})
            await visitor.says("GET", "/v1/agency", headers={"x-auth": secret + "0"})


@pytest_asyncio.fixture(scope="module")
async def lived(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Installation, Told]]:
    """An installation in which each kind of secret was made, used and misused."""
    told = Told()
    async with installation(tmp_path_factory.mktemp("secrets") / "data", log_level="debug") as made:
        await made.up()
        key = next(found[0] for line in made.printed if (found := re.search(r"col_agency_live_\w+", line)))
        code, link, wrong = await made.command("person", "invite-link", "--email", OWNER, "--json")
        assert code == 0, wrong
        async with httpx2.AsyncClient(base_url=made.url, timeout=60) as client:
            visitor, first = Visitor(client, told), {"x-auth": key}
            await make_keys(visitor, first)
            session = await sign_in(visitor, json.loads(link)["token"])
            told.secrets["first key"] = key
            invited = {"email": "new@demo-agency.example", "role": "viewer"}
            await visitor.says("POST", "/v1/members", headers=session, json=invited)
            await misuse(visitor, first)
            for path in ("/v1/api-keys", "/v1/audit-log", "/v1/request-log", "/v1/agency/provider-keys", "/v1/whoami"):
                await visitor.says("GET", path, headers=first, params={})
        yield made, told


def test_no_later_answer_shows_a_secret(lived: tuple[Installation, Told]) -> None:
    _, told = lived
    assert len(told.secrets) > 15
    assert sorted({name for answer in told.answers for name in told.leaked(answer)}) == []


def test_no_output_shows_a_secret_but_the_first_key_once(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    shown = [name for line in made.printed for name in told.leaked(line)]
    assert shown == ["first key"]


def test_no_file_of_the_logs_holds_a_secret(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    files = [path for path in made.data.rglob("*") if path.is_file() and "pg" not in path.relative_to(made.data).parts]
    kept = [path for path in files if "mail" not in path.relative_to(made.data).parts]
    assert kept
    assert {path.name: names for path in kept if (names := told.leaked(_text(path)))} == {}


async def test_no_table_holds_a_secret(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    owner = await asyncpg.connect(**embedded.locate(made.data).arguments("postgres"))
    try:
        tables = await owner.fetch(TABLES)
        assert len(tables) > 30
        found = {}
        for table in tables:
            text = "\n".join([row[0] for row in await owner.fetch(f"select to_jsonb(t)::text from {table['name']} t")])
            found[table["name"]] = told.leaked(text) + told.leaked(_decoded(text))
    finally:
        await owner.close()
    assert {name: names for name, names in found.items() if names} == {}


async def test_doctor_shows_no_secret(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    _, out, err = await made.command("doctor", "--json")
    assert told.leaked(out + err) == []
    assert made.data.joinpath("secret.key").read_text().strip() not in out + err


TABLES = """
select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
"""


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _decoded(text: str) -> str:
    """What stands in columns of bytes, which are written in hexadecimal digits."""
    digits = re.findall(r"\\\\x([0-9a-f]+)", text)
    return "\n".join(bytes.fromhex(one).decode("utf-8", "replace") for one in digits if len(one) % 2 == 0)
