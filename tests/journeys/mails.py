"""Mails as their receivers find them: in the folder of an installation without a mail server."""

import asyncio
import json
import re
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


def mails(data: Path) -> list[Path]:
    """The files of all mails, in the order in which they were written."""
    return sorted((data / "mail").rglob("*.eml"), key=lambda file: file.stat().st_mtime_ns)


def read(file: Path) -> EmailMessage:
    """One mail."""
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def mail_to(data: Path, address: str, *, besides: int = 0) -> EmailMessage:
    """The newest mail to this address, once there are more of them than `besides`."""
    deadline = time.monotonic() + 60
    while True:
        ours = [message for message in map(read, mails(data)) if message["To"] == address]
        if len(ours) > besides:
            return ours[-1]
        assert time.monotonic() < deadline, f"no mail to {address} came"
        await asyncio.sleep(0.1)


def command_in(message: EmailMessage) -> tuple[str, dict[str, Any]]:
    """The address and the body of the command that a mail tells."""
    part = message.get_body(("plain",))
    assert part is not None
    found = re.search(r"^curl (\S+) -d '(.*)'\r?$", part.get_content(), re.MULTILINE)
    assert found is not None
    return found[1], json.loads(found[2])


def texts_of(file: Path) -> str:
    """All that a mail says, to readers and to servers: its bytes, its headers and its parts, decoded."""
    message = read(file)
    parts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    headers = [f"{name}: {value}" for name, value in message.items()]
    return "\n".join([file.read_bytes().decode("utf-8", "replace"), *headers, *parts])
