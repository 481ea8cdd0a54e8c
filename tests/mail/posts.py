"""For tests about mail: what happened is told, mails that are due are sent, and what came of them is looked at."""

import re
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Tx
from colonnade.outbound.mail import MailOptions, SmtpServer
from colonnade.outbound.mail.jobs import KINDS, queue, send_due
from colonnade.tenancy.audit import Announcement
from colonnade.tenancy.audit.jobs import announce
from tests.fakes.mail_server import PASSWORD, USER, MailServer

SOON = (timedelta(0),) * 7
TOKEN = re.compile(r"#token=(col_[a-z]+_[0-9A-Za-z]{38})")


def options(folder: Path, server: MailServer | None = None, query: str = "?starttls=never", **more: Any) -> MailOptions:
    """Mail by this server, or into the folder; what fails is tried again at once."""
    given = {"public_url": "https://work.north.example", "sender": "no-reply@north.example", "delays": SOON, **more}
    url = None if server is None else f"smtp://{USER}:{quote(PASSWORD, safe='')}@localhost:{server.port}{query}"
    if server is not None and not server.with_password:
        url = f"smtp://localhost:{server.port}{query}"
    return MailOptions(folder, server=None if url is None else SmtpServer.parse(url), **given)


async def told(worker: Database, agency_id: str) -> None:
    """Everything that happened in this agency is queued as mail where it is to be; others are left alone."""

    async def of_ours(tx: Tx, announcement: Announcement) -> None:
        if announcement.agency_id == agency_id:
            await queue(tx, announcement)

    reactions = {event: [of_ours] for event in KINDS}
    while await announce(worker, "worker of the tests", reactions):
        continue


async def send_all(worker: Database, wanted: MailOptions) -> int:
    """Send until nothing is due; how many tries it took."""
    tries = 0
    while done := await send_due(worker, wanted, "worker of the tests"):
        tries += done
    return tries


async def rows(worker: Database, agency_id: str) -> list[dict[str, Any]]:
    """The mails of the agency as they are kept, the oldest first."""
    async with worker.transaction(Reach(agency_id)) as tx:
        return [dict(row) for row in await tx.fetch("select * from mail where agency_id = $1 order by id", agency_id)]


def text_of(message: EmailMessage) -> str:
    """The plain part."""
    part = message.get_body(("plain",))
    assert part is not None
    text: str = part.get_content()
    return text


def html_of(message: EmailMessage) -> str:
    """The HTML part."""
    part = message.get_body(("html",))
    assert part is not None
    text: str = part.get_content()
    return text


def token_of(message: EmailMessage) -> str:
    """The token in the link of the plain part."""
    found = TOKEN.search(text_of(message))
    assert found is not None, text_of(message)
    return found[1]
