"""Secrets are shown once: afterwards no log, table, file, mail or answer of a real installation holds one in clear."""

import asyncio
import contextlib
import json
import re
import time
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
from tests.journeys.mails import command_in, mail_to, mails, read, texts_of

pytestmark = [pytest.mark.journey, pytest.mark.timeout(280)]

OWNER = "owner@demo-agency.example"
PASSWORD = "seven quiet rivers under one roof 4711"
INVITED = "new@demo-agency.example"
LATER = "later@demo-agency.example"
CHOSEN = "nine slow trains through the fog 0815"
PROVIDER_KEY = "sk-of-a-provider-0815-0815-0815"


@dataclass(slots=True)
class Told:
    """Everything that was made, and every answer that was not the one meant to show it."""

    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    mailed: dict[str, str] = field(default_factory=dict)
    """To whom each of those that are sent by mail went."""

    def leaked(self, text: str) -> list[str]:
        """The names of the secrets that stand in a text."""
        return [name for name, secret in self.secrets.items() if secret in text]


class Visitor:
    """Speaks to the installation, and keeps what it is told."""

    def __init__(self, client: httpx2.AsyncClient, told: Told) -> None:
        self._client = client
        self.told = told

    @contextlib.asynccontextmanager
    async def elsewhere(self, number: int) -> AsyncIterator["Visitor"]:
        """The same from another address, which has called nothing so far."""
        transport = httpx2.AsyncHTTPTransport(local_address=f"127.0.1.{number + 1}")
        async with httpx2.AsyncClient(base_url=self._client.base_url, transport=transport, timeout=60) as client:
            yield Visitor(client, self.told)

    async def says(self, method: str, path: str, shows: dict[str, str] | None = None, **sent: Any) -> httpx2.Response:
        """One request; `shows` names the secrets that the answer shows for the only time, by their fields."""
        answer = await self._client.request(method, path, **sent)
        self._client.cookies.clear()  # who is signed in says so each time
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


async def be_mailed(made: Installation, visitor: Visitor, session: dict[str, str]) -> None:
    """Invitations and links for a new password: each as a used one, a replaced one and one that is still good."""
    told, letters = visitor.told, Letters(made, visitor.told)
    wish = {"email": INVITED, "role": "viewer"}
    invited = (await visitor.says("POST", "/v1/members", headers=session, json=wish)).json()["id"]
    await letters.next(INVITED, "replaced invitation")
    await visitor.says("POST", f"/v1/members/{invited}/resend", headers=session)
    used = await letters.next(INVITED, "used invitation")
    told.secrets["password of the invited"] = CHOSEN
    accepted = {"token": used, "password": CHOSEN}
    entered = await visitor.says("POST", "/v1/auth/accept-invitation", {}, json=accepted)
    session_of(entered, entered.json()["csrfToken"], told.secrets, "session of the invited")
    await visitor.says("POST", "/v1/members", headers=session, json={**wish, "email": LATER})
    await letters.next(LATER, "open invitation")
    for name in ("replaced reset", "used reset", "open reset"):
        await visitor.says("POST", "/v1/auth/password-reset", json={"email": INVITED})
        token = await letters.next(INVITED, name)
        if name == "used reset":
            chosen = {"token": token, "password": CHOSEN}
            await visitor.says("POST", "/v1/auth/password-reset/confirm", json=chosen)
            await mail_to(made.data, INVITED, besides=letters.read[INVITED])
            letters.read[INVITED] += 1


class Letters:
    """What comes by mail, letter after letter."""

    def __init__(self, made: Installation, told: Told) -> None:
        self._made = made
        self._told = told
        self.read = {INVITED: 0, LATER: 0}

    async def next(self, address: str, name: str) -> str:
        """The token in the next mail to this address, kept under this name."""
        message = await mail_to(self._made.data, address, besides=self.read[address])
        self.read[address] += 1
        token: str = command_in(message)[1]["token"]
        self._told.secrets[name] = token
        self._told.mailed[name] = address
        return token


async def misuse(visitor: Visitor, first: dict[str, str]) -> None:
    """Each secret where it does not belong; only texts of ours can be recognised in an address."""
    for number, secret in enumerate(list(visitor.told.secrets.values())):
        async with visitor.elsewhere(number) as stranger:
            await misuse_one(stranger, first, secret)


async def misuse_one(visitor: Visitor, first: dict[str, str], secret: str) -> None:
    await visitor.says("PATCH", "/v1/agency", headers=first, json={"website": {secret: secret}})
    await visitor.says("GET", "/v1/posts", headers=first, params={"cursor": secret, "scope": "agency"})
    await visitor.says("GET", "/v1/posts", headers={**first, "x-workspace-id": secret})
    await visitor.says("GET", "/v1/agency", headers={"authorization": f"Basic {secret}"})
    await visitor.says("GET", "/v1/agency", headers={"cookie": f"colonnade_session={secret}0"})
    await visitor.says("POST", "/v1/auth/login", json={"email": OWNER, "password": secret + "x"})
    await visitor.says("POST", "/v1/auth/login", json={"email": secret, "password": "not this one either"})
    await visitor.says("POST", "/v1/auth/password-reset", json={"email": f"{secret}@nobody.example"})
    for path in ("/v1/auth/accept-invitation", "/v1/auth/password-reset/confirm"):
        await visitor.says("POST", path, params={"token": secret}, json={"token": f"{secret}0"})
        await visitor.says("POST", path, json={"token": secret, "password": "short"})
        await visitor.says("POST", path, content=f'{{"token": "{secret}", ')
    if secret.startswith("col_"):
        await misuse_in_addresses(visitor, first, secret)


async def misuse_in_addresses(visitor: Visitor, first: dict[str, str], secret: str) -> None:
    await visitor.says("GET", f"/v1/posts/{secret}", headers=first)
    await visitor.says("GET", f"/v1/{secret}", headers=first)
    await visitor.says("GET", f"/accept-invitation/{secret}")
    await visitor.says("GET", "/reset-password", params={"token": secret})
    await visitor.says("DELETE", f"/v1/members/{secret}", headers=first)
    await visitor.says("PATCH", "/v1/agency", headers=first, json={secret: {"branding": secret}})
    await visitor.says("POST", "/v1/auth/login", json={secret: secret})
    await visitor.says("GET", "/v1/agency", headers={**first, "x-request-id": secret})
    await visitor.says("GET", "/v1/agency", headers={"x-auth": secret + "0"})
    await visitor.says("GET", "/v1/agency", headers={"authorization": f"Bearer {secret[:-1]}"})


async def quiet(made: Installation) -> None:
    """Until every mail that is due was sent, and every call is in the log of calls."""
    deadline = time.monotonic() + 60
    owner = await asyncpg.connect(**embedded.locate(made.data).arguments("postgres"))
    try:
        while await owner.fetchval(UNSENT) or not await owner.fetchval(LOGGED):
            assert time.monotonic() < deadline, "mails or calls are not written"
            await asyncio.sleep(0.1)
    finally:
        await owner.close()


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
            await be_mailed(made, visitor, session)
            unlimited = {"name": "Without a limit", "preset": "master", "rateLimit": None}
            minted = await visitor.says("POST", "/v1/api-keys", {"unlimited key": "key"}, headers=first, json=unlimited)
            await misuse(visitor, {"x-auth": minted.json()["key"]})
            for path in ("/v1/api-keys", "/v1/audit-log", "/v1/request-log", "/v1/agency/provider-keys", "/v1/whoami"):
                await visitor.says("GET", path, headers=first, params={})
            await visitor.says("GET", "/v1/posts/the-last-one", headers=first)
        await quiet(made)
        yield made, told


def test_no_later_answer_shows_a_secret(lived: tuple[Installation, Told]) -> None:
    _, told = lived
    assert len(told.secrets) > 25
    assert not any('"request.too_many"' in answer for answer in told.answers), "not everything was looked at"
    assert sorted({name for answer in told.answers for name in told.leaked(answer)}) == []


def test_no_output_shows_a_secret_but_the_first_key_once(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    shown = [name for line in made.printed for name in told.leaked(line)]
    assert shown == ["first key"]


def test_no_file_of_the_logs_holds_a_secret(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    files = [path for path in made.data.rglob("*") if path.is_file() and "pg" not in path.relative_to(made.data).parts]
    kept = [path for path in files if "mail" not in path.relative_to(made.data).parts]
    assert made.data / "log" / "postgresql.log" in kept
    assert {path.name: names for path in kept if (names := told.leaked(_text(path)))} == {}


def test_no_byte_that_the_database_keeps_on_the_disk_is_of_a_secret(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    files = [path for path in made.data.joinpath("pg").rglob("*") if path.is_file()]
    wal = [path for path in files if path.parent.name == "pg_wal"]
    assert wal
    assert {path.name: names for path in files if (names := _leaked_bytes(told, path))} == {}


def test_a_token_stands_in_its_own_mail_and_no_mail_holds_another_secret(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    held = {file: told.leaked(texts_of(file)) for file in mails(made.data)}
    assert [names for names in held.values() if len(names) > 1] == []
    assert {names[0]: read(file)["To"] for file, names in held.items() if names} == told.mailed
    assert sum(bool(names) for names in held.values()) == len(told.mailed)
    assert any(not names for names in held.values())


def test_no_mail_shows_a_secret_in_its_headers_or_its_name(lived: tuple[Installation, Told]) -> None:
    made, told = lived
    shown = [f"{file.name} {read(file).items()}" for file in mails(made.data)]
    assert told.leaked("\n".join(shown)) == []


async def test_tokens_in_addresses_are_cut_to_their_kind_in_the_log_of_calls(
    lived: tuple[Installation, Told],
) -> None:
    made, _ = lived
    owner = await asyncpg.connect(**embedded.locate(made.data).arguments("postgres"))
    try:
        paths = {row["path"] for row in await owner.fetch("select distinct path from request_log")}
    finally:
        await owner.close()
    kinds = ("col_invite_…", "col_reset_…", "col_session_…", "col_agency_live_…", "col_agency_test_…")
    assert {f"/v1/posts/{kind}" for kind in kinds} <= paths
    assert {f"/v1/members/{kind}" for kind in kinds} <= paths


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


UNSENT = "select count(*) from mail where state = 'waiting'"
LOGGED = "select count(*) from request_log where path = '/v1/posts/the-last-one'"


def _leaked_bytes(told: Told, path: Path) -> list[str]:
    content = path.read_bytes()
    return [name for name, secret in told.secrets.items() if secret.encode() in content]


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _decoded(text: str) -> str:
    """What stands in columns of bytes, which are written in hexadecimal digits."""
    digits = re.findall(r"\\\\x([0-9a-f]+)", text)
    return "\n".join(bytes.fromhex(one).decode("utf-8", "replace") for one in digits if len(one) % 2 == 0)
