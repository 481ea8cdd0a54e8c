"""What is kept of passwords, codes and cookies: never themselves, and the same work for who is unknown."""

import asyncio
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher

from colonnade.ground.core.envelope import MasterKeys
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys, sessions
from colonnade.tenancy.sessions import Attempt, Entrance, Hasher, Visitor
from colonnade.tenancy.sessions.hashing import AT_ONCE, Verdict
from tests.factories import an_agency
from tests.sessions.signing import OTHER, PASSWORD, Human, a_human, at_the_door, code_of, enrol, log_in

VISITOR = Visitor("req_of_the_tests", "192.0.2.77", "tests")


class Counting(PasswordHasher):
    """The real one, which also counts, and knows how many compute at once."""

    def __init__(self, passes: int = 1, memory: int = 64) -> None:
        super().__init__(time_cost=passes, memory_cost=memory, parallelism=1)
        self.verified = self.hashed = self.now = self.most = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002 (as the library names it)
        self.verified += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return super().verify(hash, password)
        finally:
            self.now -= 1

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.hashed += 1
        return super().hash(password, salt=salt)


def cheap() -> Counting:
    return Counting()


def an_entrance(database: Database, argon2: PasswordHasher) -> Entrance:
    return Entrance(database, keys.Limiter(database), MasterKeys.single(bytes(32)), Hasher(argon2))


@pytest.mark.parametrize("who", ["known", "unknown", "without a password"])
async def test_an_attempt_costs_one_hash_whoever_it_is_about(database: Database, who: str) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    async with database.transaction(home.reach) as tx:
        fresh = await tx.fetchval(
            "select p.email from people_of_agency(array(select person_id from member where agency_id = $1)) p "
            "where p.email like 'owner@%'",
            tx.agency_id,
        )
    email = {"known": human.email, "unknown": "nobody@people.example", "without a password": fresh}[who]
    counting = cheap()
    entrance = an_entrance(database, counting)
    with pytest.raises(Exception, match=r"auth\.wrong_credentials"):
        await entrance.log_in(Attempt(email, OTHER), VISITOR)
    await entrance.close()

    assert (counting.verified, counting.hashed) == (1, 0)


async def test_a_password_kept_with_other_costs_is_kept_anew_at_the_next_sign_in(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    counting = cheap()
    entrance = an_entrance(database, counting)
    await entrance.log_in(Attempt(human.email, PASSWORD), VISITOR)
    await entrance.log_in(Attempt(human.email, PASSWORD), VISITOR)
    await entrance.close()

    assert (counting.verified, counting.hashed) == (2, 1)
    person = await sessions.person_by_email(database, human.email)
    assert person is not None
    assert "m=64,t=1,p=1" in str(person.password)


async def test_no_more_than_two_passwords_are_hashed_at_once_and_the_rest_wait() -> None:
    counting = cheap()
    hasher = Hasher(counting)
    kept = await hasher.hash(PASSWORD)
    verdicts = await asyncio.gather(*(hasher.verify(kept, PASSWORD) for _ in range(40)))
    hasher.close()

    assert verdicts == [Verdict(fits=True)] * 40
    assert counting.most <= AT_ONCE


async def test_beyond_a_full_queue_nobody_waits() -> None:
    hasher = Hasher(Counting(passes=2, memory=16 * 1024))
    answers = await asyncio.gather(*(hasher.verify(None, PASSWORD) for _ in range(80)), return_exceptions=True)
    hasher.close()

    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(refused) == 16
    assert "service.unavailable" in str(refused[0])


async def test_one_spelling_of_a_password_opens_what_another_closed() -> None:
    hasher = Hasher(cheap())
    kept = await hasher.hash("cafe\u0301 au lait \ufb01ve")
    assert (await hasher.verify(kept, "caf\u00e9 au lait five")).fits
    hasher.close()


async def test_a_log_in_that_overlaps_a_new_password_begins_nothing(database: Database) -> None:
    """The password is replaced between its check and the session's beginning."""
    home = await an_agency(database)
    human = await a_human(database, home)

    class Replacing(Hasher):
        async def verify(self, kept: str | None, password: str) -> Verdict:
            verdict = await super().verify(kept, password)
            async with database.transaction(home.reach) as tx:
                await tx.execute("select keep_password($1, $2)", human.person_id, await self.hash(OTHER))
            return verdict

    entrance = Entrance(database, keys.Limiter(database), MasterKeys.single(bytes(32)), Replacing())
    with pytest.raises(Exception, match=r"auth\.wrong_credentials"):
        await entrance.log_in(Attempt(human.email, PASSWORD), VISITOR)
    await entrance.close()


async def test_nothing_that_proves_anything_is_kept_in_clear_or_told_twice(database: Database, owner: Any) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    once = {"idempotency-key": "once"}
    async with at_the_door(database) as client:
        cookies = [(await log_in(client, human)).headers["set-cookie"]]
        begun = await client.post("/v1/me/totp", headers=once)
        again = await client.post("/v1/me/totp", headers=once)
        totp = pyotp.TOTP(begun.json()["secret"])
        confirmed = await client.post(
            "/v1/me/totp/confirm", json={"code": code_of(totp, -1)}, headers={"idempotency-key": "two"}
        )
        cookies.append(confirmed.headers["set-cookie"])
        client.headers["x-csrf-token"] = confirmed.json()["csrfToken"]
        body = {"current": PASSWORD, "new": OTHER}
        changed = await client.post("/v1/me/password", json=body, headers={"idempotency-key": "three"})
        cookies.append(changed.headers["set-cookie"])
        wrong = await log_in(client, Human("", "", human.email, "a wrong and secret guess"))

    texts = [cookie.split("=")[1].split(";")[0] for cookie in cookies]
    tokens = [answer.json()["csrfToken"] for answer in (confirmed, changed)]
    secrets = [*texts, totp.secret, *confirmed.json()["recoveryCodes"], PASSWORD, OTHER, "a wrong and secret guess"]
    assert len(texts[0]) > 40
    assert again.json() == {"secret": None, "otpauthUri": None, "qrCode": None}
    assert again.headers["idempotent-replayed"] == "true"
    told = "".join(answer.text for answer in (again, wrong, changed))
    kept = "\n".join(await _everything(owner, home.agency_id))
    assert "sessions.refused" in kept
    assert not [token for token in tokens if token in kept]
    for secret in secrets:
        assert secret not in told
        assert secret not in kept
        assert secret.encode().hex() not in kept


async def _everything(owner: Any, agency_id: str) -> list[str]:
    """Every row of every table, as text."""
    names = await owner.fetch(
        "select c.oid::regclass::text as name from pg_class c where c.relnamespace = 'public'::regnamespace "
        "and c.relkind = 'r'"
    )
    lines: list[str] = []
    async with owner.transaction(readonly=True):
        await owner.execute(f"set local app.agency_id = '{agency_id}'; set local app.workspace_ids = '*'")
        for row in names:
            lines += [line["line"] for line in await owner.fetch(f"select t::text as line from {row['name']} t")]
    return lines


async def test_a_recovery_code_and_a_secret_do_not_show_when_printed(database: Database) -> None:
    human = await a_human(database, await an_agency(database))
    async with at_the_door(database) as client:
        await log_in(client, human)
        await enrol(client)
    person = await sessions.person_by_email(database, human.email)
    assert person is not None
    assert "argon2" not in repr(person)
    assert "totp=" not in repr(person)
    assert PASSWORD not in repr(Attempt(human.email, PASSWORD))
