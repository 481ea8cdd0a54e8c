"""An external database: another PostgreSQL over TCP, whose administrator gives us a database and an owner."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from pydantic import ValidationError

from colonnade.ground.db import embedded, external
from colonnade.settings import Settings
from tests.ops.commands import Up, answer, apart, get, run

SECRET = "a secret of the tests that two machines have in common"
PASSWORD = "p@ss/word"


@dataclass(frozen=True)
class Elsewhere:
    """A server that listens on an address of this machine, with its administrator's way in."""

    folder: Path
    host: str

    def administer(self, *statements: str, database: str = "postgres") -> None:
        """What an administrator does there."""
        apart(self._administer(statements, database))

    async def _administer(self, statements: tuple[str, ...], database: str) -> None:
        connection = await asyncpg.connect(**embedded.locate(self.folder).arguments("postgres", database=database))
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    def settings(self, owner: str = "tenant", secret: str = SECRET) -> dict[str, str]:
        """What an installation is told that uses it."""
        url = f"postgresql://{owner}:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@{self.host}/app?sslmode=disable"
        return {"COLONNADE_DATABASE_URL": url, "COLONNADE_SECRET_KEY": secret}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    """Such a server, with nothing of ours in it: what the launcher makes besides is taken away again."""
    host = f"127.{os.getpid() % 250 + 2}.{secrets.randbelow(250) + 2}.{secrets.randbelow(250) + 2}"
    folder = tmp_path / "server"
    cluster = embedded.start(folder, settings={"fsync": "off", "listen_addresses": host})
    server = Elsewhere(folder, host)
    try:
        with (folder / "pg" / "pg_hba.conf").open("a") as admission:
            admission.write("host all all 127.0.0.0/8 scram-sha-256\n")
        roles = ("colonnade_owner", "colonnade_app", "colonnade_worker", "colonnade_lookup")
        server.administer(
            "drop database colonnade",
            *(f"drop role {role}" for role in roles),
            f"create role tenant login createrole password '{PASSWORD}'",
            f"create role modest login password '{PASSWORD}'",
            "create database app owner tenant",
            "select pg_reload_conf()",
        )
        yield server
    finally:
        cluster.stop()


def test_two_machines_with_one_secret_share_an_external_database(elsewhere: Elsewhere, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert answer(one, "migrate", **elsewhere.settings())["applied"]
    made = answer(one, "agency", "create", "--name", "N", "--owner-email", "o@n.example", **elsewhere.settings())
    assert answer(two, "migrate", **elsewhere.settings()) == {"applied": []}
    listed = answer(two, "agency", "list", **elsewhere.settings())["agencies"]
    assert [one["agencyId"] for one in listed] == [made["agencyId"]]
    states = {f["what"]: f["state"] for f in answer(two, "doctor", **elsewhere.settings())["findings"]}
    assert states["row security"] == states["rights"] == states["roles"] == "ok"
    assert not (one / "pg").exists()


def test_another_installation_does_not_take_over_its_roles_unasked(elsewhere: Elsewhere, tmp_path: Path) -> None:
    answer(tmp_path, "migrate", **elsewhere.settings())
    other = elsewhere.settings(secret="another secret, just as long as the first one")
    refused = run(tmp_path, "migrate", **other)
    assert refused.returncode == 1
    assert "--adopt-roles" in refused.stderr
    assert run(tmp_path, "migrate", "--adopt-roles", **other).returncode == 0
    assert answer(tmp_path, "agency", "list", **other) == {"agencies": []}


def test_an_owner_who_may_not_make_roles_is_told_what_to_ask_for(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.administer("alter database app owner to modest")
    refused = run(tmp_path, "migrate", **elsewhere.settings("modest"))
    assert refused.returncode == 1
    assert "createrole" in refused.stderr


def test_an_external_database_is_backed_up_by_whoever_runs_it(elsewhere: Elsewhere, tmp_path: Path) -> None:
    refused = run(tmp_path, "backup", tmp_path / "all.tar", **elsewhere.settings())
    assert refused.returncode == 1
    assert "external" in refused.stderr


def test_a_wrong_password_is_one_sentence_without_it(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.administer("alter role tenant password 'changed'")
    refused = run(tmp_path, "migrate", **elsewhere.settings())
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (1, 1)
    assert PASSWORD not in refused.stderr


@pytest.mark.journey
@pytest.mark.timeout(300)
def test_up_serves_from_an_external_database(elsewhere: Elsewhere, tmp_path: Path) -> None:
    with Up(tmp_path / "data", more=elsewhere.settings()) as up:
        made = answer(
            tmp_path / "data", "agency", "create", "--name", "N", "--owner-email", "o@n.example", **elsewhere.settings()
        )
        assert get(f"{up.url}/v1/whoami", made["apiKey"])[0] == 200


def test_a_url_is_read_as_libpq_reads_it_and_never_told(tmp_path: Path) -> None:
    address, owner = external.read_url(
        "postgresql://me%40corp:p%2Fw@db.example:6432/app?sslmode=verify-full", {"colonnade_app": "x"}
    )
    assert (address.host, address.port, address.database, owner) == ("db.example", 6432, "app", "me@corp")
    assert address.arguments("me@corp")["password"] == "p/w"
    assert address.arguments("colonnade_app")["ssl"].check_hostname
    assert "p/w" not in repr(address)
    for bad in ("mysql://a:secret@h/d", "postgresql://h/d", "postgresql://a:secret@h/d?sslmode=maybe"):
        with pytest.raises(ValidationError) as refused:
            Settings(database_url=bad)
        assert "secret@" not in str(refused.value)
