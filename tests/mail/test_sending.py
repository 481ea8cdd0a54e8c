"""Mails on their way: every server's mood, every kill, and what comes of it."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.secrets import is_token
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.outbound.mail import SmtpServer, states
from colonnade.outbound.mail.jobs import send_due
from colonnade.outbound.mail.model import DELAYS
from colonnade.tenancy import people
from tests.factories import Home, an_agency
from tests.fakes.mail_server import MailServer
from tests.mail.posts import html_of, options, rows, send_all, text_of, token_of, told
from tests.tenancy.membership import accepted, an_invitation, the_owner


@pytest_asyncio.fixture(autouse=True)
async def nothing_is_due(worker_database: Database) -> None:
    """Mails of tests before are given up, so that each test sees its own alone."""
    await worker_database.pool.execute("select claim_mail('nobody', 100000, 86400)")


async def invited(database: Database, worker: Database, **draft: Any) -> tuple[Home, people.Invitation]:
    """An agency that has just invited somebody, and the mail about it waits."""
    home = await an_agency(database)
    invitation = await an_invitation(database, home, **draft)
    await told(worker, home.agency_id)
    return home, invitation


async def test_an_invitation_arrives_and_its_link_opens_once(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database, name="Ana Lopes")
    async with MailServer() as server:
        assert await send_all(worker_database, options(tmp_path, server)) == 1

    message = server.taken[0]
    token = token_of(message)
    assert server.receivers == [invitation.email]
    assert (message["To"], message["From"]) == (invitation.email, "Northlight <no-reply@north.example>")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.utcoffset() is not None
    assert message["Message-ID"].endswith("@north.example>")
    assert "Ana Lopes" in text_of(message)
    assert f"https://work.north.example/accept-invitation#token={token}" in html_of(message)
    assert "curl https://work.north.example/v1/auth/accept-invitation" in text_of(message)
    assert is_token("invite", token)
    assert not any(token in str(value) for value in message.values())
    found = await people.find_invitation(database, token)
    assert found is not None
    assert found.id == invitation.id
    await accepted(database, home, invitation)
    assert await people.find_invitation(database, token) is None
    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], row["attempts"], row["problem"]) == ("sent", 1, None)


async def test_one_event_is_one_mail_however_often_it_is_told(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database)
    async with worker_database.transaction(Reach(home.agency_id)) as tx:
        await tx.execute(
            """insert into outbox (agency_id, id, event, resource_id, audit_id, at)
               select agency_id, id, 'members.invited', resource_id, 'aud_again', now()
               from mail where agency_id = $1""",
            home.agency_id,
        )

    await told(worker_database, home.agency_id)
    async with MailServer() as server:
        await send_all(worker_database, options(tmp_path, server))

    assert server.receivers == [invitation.email]


async def test_a_server_that_is_busy_is_asked_again(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database)
    async with MailServer() as server:
        server.moods_rcpt = ["451 4.3.0 busy, come again"]
        server.moods_data = ["452 4.2.2 full for now"]
        assert await send_all(worker_database, options(tmp_path, server)) == 3

    assert server.receivers == [invitation.email]
    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], row["attempts"]) == ("sent", 3)
    assert await people.find_invitation(database, token_of(server.taken[0])) is not None


async def test_after_eight_tries_a_mail_is_given_up(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database)
    async with MailServer() as server:
        server.moods_rcpt = ["451 4.3.0 never"] * 20
        assert await send_all(worker_database, options(tmp_path, server)) == 8

    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], row["attempts"], row["problem"]) == ("failed", 8, "451 4.3.0")
    async with database.transaction(home.reach) as tx:
        assert await states(tx, [invitation.id]) == {invitation.id: "failed"}


@pytest.mark.parametrize("where", ["rcpt", "data"])
async def test_a_receiver_who_is_refused_for_good_is_not_tried_again(
    database: Database, worker_database: Database, tmp_path: Path, where: str
) -> None:
    home, _ = await invited(database, worker_database)
    async with MailServer() as server:
        setattr(server, f"moods_{where}", ["550 5.1.1 nobody here, see #token=col_invite_secret"])
        assert await send_all(worker_database, options(tmp_path, server)) == 1

    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], row["problem"]) == ("failed", "550 5.1.1")


async def test_a_mail_waits_longer_after_each_failure(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, _ = await invited(database, worker_database)
    waits = []
    async with MailServer() as server:
        server.moods_rcpt = ["451 busy"] * 8
        usual = options(tmp_path, server, delays=DELAYS)
        for _ in DELAYS:
            assert await send_due(worker_database, usual, "worker of the tests") == 1
            assert await send_due(worker_database, usual, "worker of the tests") == 0
            waits.append(await _wait_of(worker_database, home.agency_id))

    assert [round(seconds / 60) for seconds in waits] == [1, 5, 15, 60, 120, 240, 360]


async def _wait_of(worker: Database, agency_id: str) -> float:
    """How long the agency's mail waits; it is made due at once."""
    async with worker.transaction(Reach(agency_id)) as tx:
        seconds: float = await tx.fetchval(
            "select extract(epoch from available_at - clock_timestamp())::float from mail where agency_id = $1",
            agency_id,
        )
        await tx.execute("update mail set available_at = now() where agency_id = $1", agency_id)
    return seconds


async def test_a_server_that_hangs_holds_nobody_else_up(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, _ = await invited(database, worker_database)
    async with MailServer() as server:
        server.hangs = True
        await send_due(worker_database, options(tmp_path, server, timeout_seconds=0.2), "worker of the tests")

    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert row["problem"]


async def test_a_server_that_is_not_there_is_asked_again(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, _ = await invited(database, worker_database)
    async with MailServer() as server:
        gone = options(tmp_path, server)
    await send_due(worker_database, gone, "worker of the tests")

    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], row["problem"]) == ("waiting", "SMTPConnectError")


async def test_password_and_text_travel_encrypted_and_to_a_known_server_alone(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database)
    async with MailServer(folder=tmp_path, with_password=True) as server:
        await send_due(worker_database, options(tmp_path, server, ""), "worker of the tests")
        (row,) = await rows(worker_database, home.agency_id)
        assert (row["state"], server.receivers) == ("waiting", [])

        await send_all(worker_database, options(tmp_path, server, f"?ca={server.certificate}"))

    assert server.receivers == [invitation.email]


async def test_a_server_without_encryption_gets_nothing_unless_that_is_said(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, _ = await invited(database, worker_database)
    async with MailServer() as server:
        await send_due(worker_database, options(tmp_path, server, ""), "worker of the tests")

    (row,) = await rows(worker_database, home.agency_id)
    assert (row["state"], server.receivers) == ("waiting", [])


async def test_without_a_server_mails_lie_in_a_folder_for_the_owner_alone(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    _, invitation = await invited(database, worker_database)
    folder = tmp_path / "mail"

    await send_all(worker_database, options(folder))

    (file,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert message["To"] == invitation.email
    assert await people.find_invitation(database, token_of(message)) is not None


async def test_a_worker_that_is_killed_while_it_sends_leaves_a_mail_that_is_sent_again(
    database: Database, worker_database: Database, address: Address, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database)
    async with MailServer() as server:
        told_to_it = json.dumps([os.environ["COLONNADE_TEST_FOLDER"], address.database, str(tmp_path), server.port])
        doomed = subprocess.Popen([sys.executable, "-m", "tests.mail.mail_process", told_to_it])
        server.on_data = doomed.kill
        assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
        (row,) = await rows(worker_database, home.agency_id)
        assert (row["state"], row["attempts"]) == ("waiting", 1)

        async with worker_database.transaction(Reach(home.agency_id)) as tx:
            await tx.execute("update mail set available_at = now() where agency_id = $1", home.agency_id)
        server.on_data = None
        await send_all(worker_database, options(tmp_path, server))

    first, second = (token_of(message) for message in server.taken)
    assert server.receivers == [invitation.email] * 2
    assert server.taken[0]["Message-ID"] != server.taken[1]["Message-ID"]
    assert await people.find_invitation(database, first) is None
    assert await people.find_invitation(database, second) is not None


async def test_a_later_mail_takes_the_place_of_one_that_waits(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, invitation = await invited(database, worker_database)
    async with database.transaction(home.reach) as tx:
        await people.resend(tx, the_owner(home), invitation.id)
    await told(worker_database, home.agency_id)

    async with MailServer() as server:
        await send_all(worker_database, options(tmp_path, server))

    assert server.receivers == [invitation.email]
    assert await people.find_invitation(database, token_of(server.taken[0])) is not None
    assert [row["state"] for row in await rows(worker_database, home.agency_id)] == ["dropped", "sent"]


async def test_what_was_withdrawn_is_not_mailed(database: Database, worker_database: Database, tmp_path: Path) -> None:
    home, invitation = await invited(database, worker_database)
    async with database.transaction(home.reach) as tx:
        await people.withdraw(tx, the_owner(home), invitation.id)

    await send_all(worker_database, options(tmp_path))

    assert [row["state"] for row in await rows(worker_database, home.agency_id)] == ["dropped"]
    assert list(tmp_path.iterdir()) == []


async def test_several_workers_send_each_mail_once(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    homes = [await invited(database, worker_database) for _ in range(12)]

    async with MailServer() as server:
        wanted = options(tmp_path, server)
        await asyncio.gather(*(send_due(worker_database, wanted, f"worker {number}") for number in range(4)))

    assert sorted(server.receivers) == sorted(invitation.email for _, invitation in homes)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp://user:secret@mail.example/path",
        "smtp://user:secret@mail.example?starttls=never",
        "smtp://mail.example?starttls=maybe",
        "smtp://mail.example?verify=no",
    ],
)
def test_a_bad_server_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be|takes|would send") as bad:
        SmtpServer.parse(url)
    assert "secret" not in str(bad.value)
