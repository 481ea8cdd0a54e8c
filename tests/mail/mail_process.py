"""A process that sends mails, for the test that kills it: `python -m tests.mail.mail_process '[…]'`."""

import asyncio
import json
import sys
from pathlib import Path

from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.outbound.mail import MailOptions, SmtpServer
from colonnade.outbound.mail.jobs import send_due
from tests.conftest import PEPPER


async def send(folder: str, name: str, mails: str, port: int) -> None:
    """Send what is due."""
    server = embedded.locate(Path(folder))
    database = Database(Address(server.host, server.port, name, server.passwords), "colonnade_worker", PEPPER)
    await database.open()
    taker = SmtpServer.parse(f"smtp://localhost:{port}?starttls=never")
    await send_due(database, MailOptions(Path(mails), server=taker), "a process that is killed")


if __name__ == "__main__":
    asyncio.run(send(*json.loads(sys.argv[1])))
