"""Leaked keys: whoever holds a text ends it; a partner's signed list is believed, an unsigned one is not."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import new_key_text
from colonnade.ground.db.database import Database
from colonnade.ground.outgoing import AllowList, OutgoingClient
from colonnade.tenancy import keys
from colonnade.tenancy.keys import Draft, PartnerKeys
from colonnade.tenancy.keys import routes as keys_routes
from colonnade.tenancy.keys.partner import read_keys
from tests.factories import a_workspace, an_agency
from tests.fakes.receiver import Receiver
from tests.serving import served
from tests.tenancy.keys_calls import facts, mint, revoke, roll

PATH = "/v1/api-keys/report-leak"


@dataclass(frozen=True, slots=True)
class Partner:
    """Somebody who scans for keys, publishes public keys and signs reports."""

    published: Receiver
    key: ec.EllipticCurvePrivateKey
    identifier: str = "partner-1"

    def publish(self, **others: Any) -> None:
        told = {self.identifier: self.key.public_key(), **others}
        listed = [
            {
                "key_identifier": name,
                "key": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
                "is_current": True,
            }
            for name, key in told.items()
        ]
        self.published.answer(200, body=json.dumps({"public_keys": listed}))

    def headers(self, body: bytes, *, identifier: str | None = None) -> dict[str, str]:
        signature = base64.b64encode(self.key.sign(body, ec.ECDSA(SHA256()))).decode()
        return {
            "Github-Public-Key-Identifier": identifier or self.identifier,
            "Github-Public-Key-Signature": signature,
        }


@pytest_asyncio.fixture
async def partner() -> AsyncIterator[Partner]:
    async with Receiver() as published:
        partner = Partner(published, ec.generate_private_key(ec.SECP256R1()))
        partner.publish()
        yield partner


@pytest_asyncio.fixture
async def client(database: Database, partner: Partner) -> AsyncIterator[httpx2.AsyncClient]:
    port = partner.published.port
    async with OutgoingClient(AllowList.parse(f"127.0.0.1/32:{port}")) as outgoing:
        known = PartnerKeys(outgoing, f"http://127.0.0.1:{port}/keys")
        async with served(database, [keys_routes.routes], {keys_routes.PARTNER: known}) as client:
            yield client


async def is_revoked(database: Database, text: str) -> bool:
    try:
        await keys.KeyRing(database).verify(text, None)
    except Refused as refused:
        return refused.reason == "keys.revoked"
    return False


async def test_a_reported_key_ends_and_the_agency_is_told_where_it_was_found(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("leaky", preset="master"))
    text = minted.secret.reveal()
    body = {"key": text, "source": "a colleague", "url": f"https://code.example/?q={text}"}
    assert (await client.get("/v1/whoami", headers={"X-Auth": text})).status_code == 200

    answer = await client.post(PATH, json=body)

    assert (answer.status_code, answer.json()) == (202, {"status": "received"})
    gone = await client.get("/v1/whoami", headers={"X-Auth": text})
    assert gone.json()["reason"] == "keys.revoked"
    assert await facts(database, home, minted.key) == ["keys.minted", "keys.leaked"]
    async with database.transaction(home.reach) as tx:
        [row] = await tx.fetch(
            "select actor_kind, after, address from audit_entry where agency_id = $1 and event = 'keys.leaked'",
            tx.agency_id,
        )
    assert row["actor_kind"] == "nobody"
    assert row["after"]["source"] == "a colleague"
    assert row["after"]["url"] == "https://code.example/?q=col_…"
    assert row["address"] is not None


async def test_what_was_no_key_is_answered_alike_and_changes_nothing(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    ended = await mint(database, home.caller, Draft("ended", preset="master"))
    await revoke(database, home.caller, ended.key)
    told = []
    for text in (new_key_text("agency", "live").reveal(), "col_agency_live_x", "", "\u2603", ended.secret.reveal()):
        answer = await client.post(PATH, json={"key": text})
        told.append((answer.status_code, answer.content, sorted(answer.headers)))

    assert len({(status, body) for status, body, _ in told}) == 1
    assert len({tuple(names) for *_, names in told}) == 1
    assert told[0][0] == 202
    assert await facts(database, home, ended.key) == ["keys.minted", "keys.revoked"]


async def test_an_old_text_ends_alone_while_it_is_good_and_harms_nobody_afterwards(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    first = await mint(database, home.caller, Draft("rolled", preset="master"))
    second = await roll(database, home.caller, first.key, 3600)
    old, new = first.secret.reveal(), second.secret.reveal()
    for text in (old, new):
        assert (await client.get("/v1/whoami", headers={"X-Auth": text})).status_code == 200

    for _ in range(2):
        assert (await client.post(PATH, json={"key": old})).status_code == 202

    assert (await client.get("/v1/whoami", headers={"X-Auth": old})).json()["reason"] == "keys.expired"
    assert (await client.get("/v1/whoami", headers={"X-Auth": new})).status_code == 200
    assert await facts(database, home, first.key) == ["keys.minted", "keys.rolled", "keys.leaked"]
    await client.post(PATH, json={"key": new})
    assert await is_revoked(database, new)


async def test_an_expired_key_is_ended_for_good(database: Database, client: httpx2.AsyncClient) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("short", preset="master"))
    async with database.transaction(home.reach) as tx:
        await tx.execute("update api_key set expires_at = now() where agency_id = $1", tx.agency_id)

    await client.post(PATH, json={"key": minted.secret.reveal()})

    assert await is_revoked(database, minted.secret.reveal())


async def test_a_workspaces_key_and_a_test_key_are_reported_like_any_other(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    inside = await mint(database, home.caller, Draft("inside"), workspace.id)
    master = await mint(database, home.caller, Draft("master", preset="master"))
    headers = {"X-Auth": master.secret.reveal()}
    body = {"name": "test", "preset": "master", "mode": "test"}
    test = (await client.post("/v1/api-keys", json=body, headers=headers)).json()["key"]

    for text in (inside.secret.reveal(), test):
        await client.post(PATH, json={"key": text})
        assert await is_revoked(database, text)


async def test_reports_count_for_their_address_whoever_sends_them(
    database: Database, client: httpx2.AsyncClient
) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("x", preset="master", rate_limit=None))

    answers = [
        await client.post(PATH, json={"key": None}, headers={"X-Auth": minted.secret.reveal()}) for _ in range(32)
    ]

    assert [answer.status_code for answer in answers] == [400] * 30 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"default";q=30;w=60'
    assert int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize("body", [{}, {"key": 7}, {"key": "x", "more": 1}, {"source": "x"}, {"key": "x" * 5000}])
async def test_a_report_that_cannot_be_read_is_a_bad_request(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post(PATH, json=body)).status_code == 400


def match(text: str) -> dict[str, str]:
    return {"token": text, "type": "colonnade_key", "url": "https://code.example/blob/1", "source": "content", "x": "y"}


async def test_a_signed_list_ends_what_are_keys_and_labels_each(
    database: Database, client: httpx2.AsyncClient, partner: Partner
) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("leaky", preset="master"))
    texts = [minted.secret.reveal(), new_key_text("agency", "live").reveal(), "nonsense"]
    body = json.dumps([match(text) for text in texts], indent=1).encode()

    for _ in range(2):
        answer = await client.post(PATH, content=body, headers=partner.headers(body))

    assert answer.status_code == 200
    assert answer.json() == [
        {
            "token_hash": hashlib.sha256(text.encode()).hexdigest(),
            "token_type": "colonnade_key",
            "label": "true_positive" if text == texts[0] else "false_positive",
        }
        for text in texts
    ]
    assert texts[0] not in answer.text
    assert await is_revoked(database, texts[0])
    assert await facts(database, home, minted.key) == ["keys.minted", "keys.leaked"]
    assert len(partner.published.requests) == 1, "published keys are remembered"


async def test_an_unsigned_or_wrongly_signed_list_changes_nothing(
    database: Database, client: httpx2.AsyncClient, partner: Partner
) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("kept", preset="master"))
    body = json.dumps([match(minted.secret.reveal())]).encode()
    stranger = Partner(partner.published, ec.generate_private_key(ec.SECP256R1()))
    good = partner.headers(body)
    wrong: list[dict[str, str]] = [
        {},
        {**good, "Github-Public-Key-Signature": ""},
        {**good, "Github-Public-Key-Signature": "not base 64"},
        {**good, "Github-Public-Key-Signature": base64.b64encode(b"nothing").decode()},
        {**good, "Github-Public-Key-Identifier": "unknown"},
        partner.headers(body + b" "),
        stranger.headers(body),
    ]

    for headers in wrong:
        answer = await client.post(PATH, content=body, headers=headers)
        assert answer.status_code == 400
        assert [error["pointer"] for error in answer.json()["errors"]] == ["Github-Public-Key-Signature"]
    named = {"matches": json.loads(body)}
    assert (await client.post(PATH, json=named, headers=good)).status_code == 400

    assert await facts(database, home, minted.key) == ["keys.minted"]


async def test_keys_of_another_kind_and_lists_that_cannot_be_read_are_no_partners(
    client: httpx2.AsyncClient, partner: Partner
) -> None:
    body = json.dumps([match("x")]).encode()
    for told in (
        "no JSON",
        "[]",
        '{"public_keys": 7}',
        '{"public_keys": [{"key_identifier": "partner-1", "key": "x"}]}',
    ):
        partner.published.answer(200, body=told)
        assert read_keys(told.encode()) == {}
    others = {
        "rsa": rsa.generate_private_key(65537, 2048).public_key(),
        "p384": ec.generate_private_key(ec.SECP384R1()).public_key(),
    }
    partner.publish(**others)

    answer = await client.post(PATH, content=body, headers=partner.headers(body))
    assert answer.status_code == 200
    for name in others:
        answer = await client.post(PATH, content=body, headers=partner.headers(body, identifier=name))
        assert answer.status_code == 400


async def test_a_partner_that_does_not_answer_is_asked_again_later_and_not_for_each_report(
    client: httpx2.AsyncClient, partner: Partner
) -> None:
    partner.published.answer(503)
    body = json.dumps([match("x")]).encode()

    for number in range(5):
        headers = partner.headers(body, identifier=f"invented-{number}")
        assert (await client.post(PATH, content=body, headers=headers)).status_code == 400

    assert len(partner.published.requests) == 1


async def test_without_a_partner_no_list_is_taken(partner: Partner) -> None:
    body = b"[]"
    async with OutgoingClient(AllowList.parse("")) as outgoing:
        known = PartnerKeys(outgoing, None)
        headers = partner.headers(body)
        assert not await known.has_signed(body, partner.identifier, headers["Github-Public-Key-Signature"])
