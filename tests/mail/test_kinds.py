"""What mails say: to whom, in whose name, and that nothing that somebody calls themselves changes what a mail is."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from colonnade import credits
from colonnade.credits import HoldRequest, UsageLine
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.outbound.mail.composing import WRITERS
from colonnade.outbound.mail.jobs import KINDS
from colonnade.outbound.mail.rendering import Heading, plain, render
from colonnade.tenancy import agencies, audit, people, workspaces
from colonnade.tenancy.agencies import Agency
from tests.factories import Home, a_workspace, an_agency
from tests.fakes.mail_server import MailServer
from tests.mail.posts import html_of, options, rows, send_all, text_of, token_of, told
from tests.tenancy.membership import a_member, an_email, an_invitation, estate, the_owner


@pytest_asyncio.fixture(autouse=True)
async def nothing_is_due(worker_database: Database) -> None:
    """Mails of tests before are given up, so that each test sees its own alone."""
    await worker_database.pool.execute("select claim_mail('nobody', 100000, 86400)")


async def sent(worker: Database, home: Home, folder: Path, **more: Any) -> list[EmailMessage]:
    """The mails about everything that has happened in the agency."""
    await told(worker, home.agency_id)
    async with MailServer() as server:
        await send_all(worker, options(folder, server, **more))
    return server.taken


async def branded(database: Database, home: Home, **profile: Any) -> None:
    async with database.transaction(home.reach) as tx:
        await agencies.update(tx, home.caller, patch=profile)


async def happened(database: Database, home: Home, event: str, resource_id: str, by: Caller | None = None) -> None:
    async with database.transaction(home.reach) as tx:
        await audit.record(tx, by or home.caller, event, resource_id)


def test_every_event_that_is_told_has_its_text() -> None:
    kinds = {kind for kind, _ in KINDS.values()}
    assert kinds == set(WRITERS)


async def test_a_mail_goes_out_in_the_agencys_name_and_look(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database, name="Nörth & Söhne, <Agentur>")
    branding = {
        "logoUrl": "https://n.example/l.png?a=1&b=2",
        "primaryColor": "#ffee00",
        "supportEmail": "help@n.example",
    }
    await branded(database, home, branding=branding)
    await an_invitation(database, home)

    (message,) = await sent(worker_database, home, tmp_path)

    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Nörth & Söhne, <Agentur>", "no-reply@north.example")
    assert message["Reply-To"] == "help@n.example"
    assert 'src="https://n.example/l.png?a=1&amp;b=2"' in html_of(message)
    assert "background:#ffee00;color:#111111" in html_of(message)
    assert "Nörth &amp; Söhne, &lt;Agentur&gt;" in html_of(message)
    assert "Nörth & Söhne, <Agentur>" in text_of(message)


NOW = datetime(2026, 2, 1, tzinfo=UTC)
HOSTILE = "Eve\r\nBcc: all@victims.example\r\n\r\n<script>alert(1)</script>\u202egnp.exe {{ 7*7 }}"


async def test_nothing_that_somebody_calls_themselves_begins_a_header_or_a_tag(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    caller = replace(the_owner(home), actor_name=HOSTILE)
    await an_invitation(database, home, caller, name="<b>Ana</b>\n.\nQUIT")

    (message,) = await sent(worker_database, home, tmp_path)

    assert message["Bcc"] is None
    assert message["Subject"].startswith("Eve Bcc: all@victims.example")
    assert "\n" not in message["Subject"]
    assert "<script>" not in html_of(message)
    assert "<b>Ana" not in html_of(message)
    assert "{{ 7*7 }}" in text_of(message)
    assert "\u202e" not in text_of(message) + html_of(message) + message["Subject"]


@pytest.mark.parametrize("name", ["", "a" * 255, '"', "\\", "=?utf-8?q?x?=", "@", "<>", ",;:", "名古屋 🏯", "a\u2028b"])
def test_an_agency_may_be_called_anything(name: str) -> None:
    agency = Agency("agency_x", None, name, None, {}, {}, 1, NOW, NOW)
    heading = Heading("no-reply@north.example", "ana@n.example", NOW, "<1@north.example>")

    message = render("removed", agency, heading, {"name": None, "happened": "today"})

    parsed = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert parsed["From"].addresses[0].addr_spec == "no-reply@north.example"
    assert parsed["From"].addresses[0].display_name == plain(name)


async def test_a_receiver_with_an_international_host_is_reached(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home, email="ana@" + an_email().partition("@")[2] + ".müller.example")
    await told(worker_database, home.agency_id)
    async with MailServer(takes_utf8=False) as server:
        await send_all(worker_database, options(tmp_path, server))

    assert invitation.email.endswith(".müller.example")
    assert server.receivers[0].endswith(".xn--mller-kva.example")


@pytest.mark.parametrize(("takes_utf8", "state"), [(True, "sent"), (False, "failed")])
async def test_a_name_beyond_ascii_needs_a_server_that_takes_it(
    database: Database, worker_database: Database, tmp_path: Path, takes_utf8: bool, state: str
) -> None:
    home = await an_agency(database)
    await an_invitation(database, home, email=an_email("jörg"))
    await told(worker_database, home.agency_id)
    async with MailServer(takes_utf8=takes_utf8) as server:
        await send_all(worker_database, options(tmp_path, server))

    (row,) = await rows(worker_database, home.agency_id)
    assert row["state"] == state
    assert [one.partition("@")[0] for one in server.receivers] == (["jörg"] if takes_utf8 else [])


async def test_who_was_removed_is_told_and_who_left_is_not(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    email = an_email()
    member, leaver = await a_member(database, home, email=email), await a_member(database, home)
    async with database.transaction(home.reach) as tx:
        await people.remove(tx, the_owner(home), member.id, estate())
    async with database.transaction(home.reach) as tx:
        await people.leave(tx, replace(the_owner(home), actor_id=leaver.id), estate())

    (message,) = await sent(worker_database, home, tmp_path)

    assert (message["To"], message["Subject"]) == (email, "You are no longer a member of Northlight")


async def test_who_gets_the_agency_or_a_workspace_is_told(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home, name="Patagonia")
    email = an_email()
    heir = await a_member(database, home, email=email)
    async with database.transaction(home.reach) as tx:
        await workspaces.transfer(tx, home.caller, workspace.id, heir.id)
    async with database.transaction(home.reach) as tx:
        await people.hand_over(tx, the_owner(home), heir.id, estate())

    messages = await sent(worker_database, home, tmp_path)

    assert {message["To"] for message in messages} == {email}
    subjects = {"The workspace Patagonia is yours now", "You are an owner of Northlight now"}
    assert {message["Subject"] for message in messages} == subjects


async def test_a_link_for_a_new_password_arrives_and_is_good(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    email = an_email()
    member = await a_member(database, home, email=email)
    await happened(database, home, "people.reset_requested", member.person_id)

    (message,) = await sent(worker_database, home, tmp_path)

    token = token_of(message)
    assert message["To"] == email
    assert token not in message["Subject"]
    assert f"https://work.north.example/reset-password#token={token}" in html_of(message)
    found = await database.lookup("select person_id from door_reset($1)", database.pepper.digests(token))
    assert [row["person_id"] for row in found] == [member.person_id]


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        ("people.password_changed", "Your password has changed"),
        ("people.totp_disabled", "Your second factor is switched off"),
    ],
)
async def test_a_person_is_told_when_what_they_prove_themselves_with_changes(
    database: Database, worker_database: Database, tmp_path: Path, event: str, subject: str
) -> None:
    home = await an_agency(database)
    email = an_email()
    member = await a_member(database, home, email=email)
    await happened(database, home, event, member.person_id)

    (message,) = await sent(worker_database, home, tmp_path)

    assert (message["To"], message["Subject"]) == (email, subject)


async def test_every_owner_is_told_of_a_key_that_was_found(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    second = an_email()
    await a_member(database, home, "owner", email=second)
    await a_member(database, home, "admin")
    await happened(database, home, "keys.leaked", home.caller.actor_id)

    messages = await sent(worker_database, home, tmp_path)

    assert len(messages) == 2
    assert second in {message["To"] for message in messages}
    assert all(home.caller.actor_id in text_of(message) for message in messages)


async def an_alert(database: Database, home: Home, percent: int, *channels: str, workspace_id: str | None) -> None:
    async with database.transaction(home.reach) as tx:
        await credits.create_alert(
            tx, home.caller, threshold_percent=percent, channels=channels, workspace_id=workspace_id
        )


async def use(database: Database, home: Home, workspace_id: str, amount: int) -> None:
    """A piece of work of so many milli-credits, of two credits that are there."""
    request = HoldRequest(workspace_id, MilliCredits(amount), "generation", new_id("inv"))
    async with database.transaction(home.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(2_000))
        hold = await credits.hold(tx, home.caller, request)
        await credits.settle(tx, home.caller, hold.id, [UsageLine("generation", MilliCredits(amount))])


async def test_owners_are_told_of_usage_that_reaches_an_alert_and_of_a_workspace_its_owner_besides(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database, name="Northlight")
    workspace = await a_workspace(database, home, name="<Patagonia>")
    email = an_email()
    keeper = await a_member(database, home, email=email)
    async with database.transaction(home.reach) as tx:
        await workspaces.transfer(tx, home.caller, workspace.id, keeper.id)
    await sent(worker_database, home, tmp_path)
    await an_alert(database, home, 50, "mail", "webhook", workspace_id=None)
    await an_alert(database, home, 75, "mail", workspace_id=workspace.id)
    await an_alert(database, home, 60, "webhook", workspace_id=workspace.id)

    await use(database, home, workspace.id, 1_500)
    messages = await sent(worker_database, home, tmp_path)

    told = sorted((message["Subject"], message["To"] == email) for message in messages)
    assert told == [
        ("<Patagonia> has used 75 % of its credits", False),
        ("<Patagonia> has used 75 % of its credits", True),
        ("Northlight has used 75 % of its credits", False),
    ]
    (ours,) = [message for message in messages if message["To"] == email]
    assert "the workspace <Patagonia> of Northlight had used 1.5 of 2 credits of this cycle" in text_of(ours)
    assert "This alert is set at 75 %." in text_of(ours)
    assert "the workspace &lt;Patagonia&gt; of Northlight" in html_of(ours)


async def test_an_alert_that_is_deleted_before_its_mail_is_written_is_not_told(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    await an_alert(database, home, 50, "mail", workspace_id=workspace.id)
    await use(database, home, workspace.id, 1_500)
    await told(worker_database, home.agency_id)
    async with database.transaction(home.reach) as tx:
        (alert,), _, _ = await credits.page_alerts(tx, home.caller, None, after=None, limit=1)
        await credits.delete_alert(tx, home.caller, alert.id)

    assert await sent(worker_database, home, tmp_path) == []
    assert [row["state"] for row in await rows(worker_database, home.agency_id)] == ["dropped"]


async def test_a_person_of_another_agency_is_never_written_to(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    home, other = await an_agency(database), await an_agency(database)
    stranger = await a_member(database, other)
    for identity in (stranger.id, stranger.person_id):
        await happened(database, home, "people.password_changed", identity)

    assert await sent(worker_database, home, tmp_path) == []
    assert await rows(worker_database, home.agency_id) == []


async def test_mails_of_test_mode_never_leave_the_machine(
    database: Database, worker_database: Database, tmp_path: Path
) -> None:
    live = await an_agency(database)
    twin = await agencies.ensure_test_twin(database, live.caller)
    home = Home(twin, replace(live.caller, reach=Reach(twin), mode="test"), live.owner_id)
    await an_invitation(database, home, home.caller)

    assert await sent(worker_database, home, tmp_path) == []
    assert len(list((tmp_path / "test").glob("*.eml"))) == 1
