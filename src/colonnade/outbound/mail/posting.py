"""Handing a mail over: to a server by SMTP (RFC 5321), or to a folder where there is none."""

import asyncio
import os
import re
from email.policy import SMTP, SMTPUTF8
from pathlib import Path
from typing import Final

import aiosmtplib

from colonnade.outbound.mail.model import Letter, MailOptions, NotTaken, SmtpServer, sender_address

_STATUS: Final = re.compile(r"\d\.\d{1,3}\.\d{1,3}")


async def post(options: MailOptions, letter: Letter, name: str) -> None:
    """Send it, or lay it into the folder under this name; raises `NotTaken` with what a list may show of the reason."""
    if options.server is None or letter.is_test:
        folder = options.folder / "test" if letter.is_test else options.folder
        await asyncio.to_thread(_lay, folder, name, _as_bytes(letter))
        return
    try:
        async with asyncio.timeout(2 * options.timeout_seconds):
            await _send(options.server, options, letter)
    except TimeoutError as error:
        raise NotTaken("the server takes too long", is_final=False) from error
    except aiosmtplib.SMTPException as error:
        raise _not_taken(error) from error
    except OSError as error:
        raise NotTaken(f"the server cannot be reached: {type(error).__name__}", is_final=False) from error


async def _send(server: SmtpServer, options: MailOptions, letter: Letter) -> None:
    sender = sender_address(options.sender)
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.user,
        password=None if server.password is None else server.password.reveal(),
        local_hostname=sender.rpartition("@")[2],
        timeout=options.timeout_seconds,
        use_tls=server.tls == "at once",
        start_tls=server.tls == "by starttls",
        cert_bundle=server.authorities,
    )
    async with client:
        asks: list[str] = []
        if not letter.to.isascii():
            await client.ehlo()
            if not client.supports_extension("smtputf8"):
                raise NotTaken("the server takes no addresses beyond ASCII", is_final=True)
            asks = ["SMTPUTF8"]
        await client.sendmail(sender, [letter.to], _as_bytes(letter), mail_options=asks)


def _as_bytes(letter: Letter) -> bytes:
    return letter.message.as_bytes(policy=SMTP if letter.to.isascii() else SMTPUTF8)


def _not_taken(error: aiosmtplib.SMTPException) -> NotTaken:
    """What went wrong, without a word that a server said: it might repeat what the mail holds.

    A refusal of the receiver or of the text for good (5xx) is final; everything else may be mended meanwhile.
    """
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return NotTaken(type(error).__name__, is_final=False)
    enhanced = _STATUS.match(error.message)
    is_final = isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError) and error.code >= 500
    return NotTaken(f"{error.code} {enhanced[0] if enhanced else ''}".strip(), is_final=is_final)


def _lay(folder: Path, name: str, message: bytes) -> None:
    """Whole or not at all, for the eyes of the owner alone: it may hold a link that opens something."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".{name}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(message)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / f"{name}.eml")
