"""Tests that leak, for `test_whole`; nothing collects them by itself. What they leak they note in a file besides."""

import os
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import structlog
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from colonnade.ground.core.secrets import Secret, _checksum, new_key_text, new_token
from colonnade.ground.db.database import Database
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.outbound.mail import MailOptions
from colonnade.outbound.mail.model import Letter
from colonnade.outbound.mail.posting import post
from colonnade.tenancy.sessions import Hasher
from tests.factories import a_workspace, an_agency

_HERE = "first in tests/sweep/leaking.py"
PLACES = {
    "workspace.name: 1 × agency_live",
    "planted.sealed: 1 × TOTP secret",
    "planted.note: 1 × reset of another process",
    "postgresql.log: 1 × credential",
    f"Captured stdout call: 1 × password, {_HERE}::test_a_log",
    f"body of the answer to GET (no route): 1 × ws_live, {_HERE}::test_an_answer",
    f"head of the answer to GET (no route): 1 × ws_live, {_HERE}::test_an_answer",
    f"text of a mail: 1 × session, {_HERE}::test_a_mail",
    f"text of a mail: 1 × invite, {_HERE}::test_a_mail",
    f"head of a mail: 1 × invite, {_HERE}::test_a_mail",
}
"""Where they leak, as the run has to tell it."""


def leaked(text: str) -> str:
    with Path(os.environ["LEAKED"]).open("a") as file:
        file.write(f"{text}\n")
    return text


async def test_a_table(database: Database) -> None:
    home = await an_agency(database)
    await a_workspace(database, home, name=leaked(new_key_text("agency", "live").reveal()))


async def test_bytes_and_tokens_of_others(owner: Any) -> None:
    text = leaked(Secret(pyotp.random_base32()).reveal())
    nobody_heard_of = "col_reset_" + 32 * "7"
    stranger = leaked(nobody_heard_of + _checksum(nobody_heard_of))
    await owner.execute("create table planted (sealed bytea, note jsonb)")
    await owner.execute("insert into planted values ($1, $2)", text.encode(), f'{{"a": ["{stranger}"]}}')


async def test_a_log() -> None:
    password = leaked("seven quiet rivers under one roof")
    await Hasher().hash(password)
    structlog.get_logger("planted").warning("planted.told", said=password)


async def test_the_log_of_the_database(owner: Any) -> None:
    text = leaked(Secret("sk-of-some-provider-0815").reveal())
    await owner.execute(f"do $$ begin raise log 'planted %', '{text}'; end $$")


async def test_an_answer() -> None:
    text = leaked(new_key_text("workspace", "live").reveal())

    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(text, headers={"x-planted": text})(scope, receive, send)

    layers = Envelope(tell, EnvelopeOptions(), lambda _visit: None)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(layers), base_url="http://planted.example") as client:
        assert (await client.get("/")).text == text


async def test_a_mail(tmp_path: Path) -> None:
    invitation, session = (leaked(new_token(kind).reveal()) for kind in ("invite", "session"))
    message = EmailMessage()
    message["Subject"] = invitation
    message.set_content(f"{invitation} and {session}")
    await post(MailOptions(tmp_path), Letter("somebody@planted.example", message), "planted")
