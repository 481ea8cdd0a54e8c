"""What is looked for is found: every kind of secret, in every kind of column, once it stands somewhere."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from colonnade.ground.core.secrets import new_key_text, new_token
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy.sessions import Hasher, codes
from tests.factories import a_signed_in, a_workspace, an_agency
from tests.serving import a_key
from tests.sweep.known import Known
from tests.sweep.places import Connection, in_tables
from tests.sweep.watching import Sweep

TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
KINDS = {
    "agency_live": "col_agency_live_" + 38 * "a",
    "ws_test": "col_ws_test_" + 38 * "b",
    "invite": "col_invite_" + 38 * "c",
    "recovery code": "abcde-fghjk",
    "TOTP secret": TOTP,
    "TOTP URI": f"otpauth://totp/somebody?secret={TOTP}&issuer=somebody",
    "TOTP picture": "data:image/svg+xml;base64,AAAA",
    "csrf token": "0123456789abcdef01234567",
    "credential": "sk-of-a-provider: ümlaut",
}


@pytest_asyncio.fixture
async def superuser(address: Address) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(**address.arguments("postgres"))
    await connection.execute("create table planted (t text, j jsonb, b bytea, a text[], n int)")
    yield connection
    await connection.execute("drop table planted")
    await connection.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["t", "j", "b", "a"])
async def test_a_secret_is_found_in_every_kind_of_column(superuser: Connection, kind: str, column: str) -> None:
    known, secret = Known(), KINDS[kind]
    known.note(secret)
    values = {"t": f"so: {secret}.", "j": f'{{"a": ["{secret}"]}}', "b": secret.encode(), "a": [secret]}
    await superuser.execute(f"insert into planted ({column}) values ($1)", values[column])
    await superuser.execute("insert into planted select 'nothing' from generate_series(1, 1000)")

    leaks = await in_tables(superuser, known)

    assert leaks == {(f"planted.{column}", kind): 1}


async def test_a_token_that_another_process_made_is_found_by_its_checksum(superuser: Connection) -> None:
    made = new_token("invite").reveal()
    await superuser.execute("insert into planted (t) values ($1), ($2)", made, made[:-1] + "!")

    assert await in_tables(superuser, Known()) == {("planted.t", "invite of another process"): 1}


async def test_whatever_the_house_makes_is_remembered(database: Database, sweep: Sweep) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    keys = [await a_key(database, home), await a_key(database, home, workspace.id)]
    made = [*(str(key) for key in keys), str(await a_signed_in(database, home))]
    enrolment = codes.enrolment("somebody@people.example", "Northlight")
    shown = [enrolment.secret, enrolment.uri, enrolment.picture, codes.new_recovery_codes()[0]]
    password = f"nine slow trains {workspace.id}"
    await Hasher().hash(password)

    text = "\n".join([*made, password, *(secret.reveal() for secret in shown)])

    kinds = sorted(sweep.known.found(text.encode()).values())
    ours = ["TOTP URI", "TOTP picture", "TOTP secret", "agency_live", "csrf token"]
    assert kinds == [*ours, "password", "recovery code", "session", "ws_live"]


def test_blanks_that_somebody_sends_as_a_secret_are_none() -> None:
    known = Known()
    for text in (" " * 20, "x" * 5000):
        known.note(text)

    assert len(known) == 0


async def test_a_text_that_is_shown_a_second_time_is_a_leak_where_it_was_allowed_once() -> None:
    apart, key = Sweep(), new_key_text("agency", "live").reveal()
    apart.known.note(key)

    apart.answered("POST /v1/api-keys", b"", f'{{"key": "{key}"}}'.encode())
    assert not apart.leaks
    apart.answered("POST /v1/api-keys", b"", f'{{"key": "{key}"}}'.encode())
    assert [kind for _, kind in apart.leaks] == ["agency_live"]
