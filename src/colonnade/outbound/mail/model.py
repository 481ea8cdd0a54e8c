"""What mails there are, how they are sent, and when a mail that could not be sent is tried again. No I/O here."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from colonnade.ground.core.secrets import Secret

State = Literal["waiting", "sent", "failed", "dropped"]

DELAYS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 120, 240, 360))
"""How long after each failed try the next one comes; there is one try more than delays."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The server that takes mails for sending."""

    host: str
    port: int
    tls: Literal["at once", "by starttls", "none"]
    user: str | None = None
    password: Secret | None = None
    authorities: str | None = None
    """A file of certificates that are trusted instead of the machine's own."""

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """From `smtp://user:password@host:port?starttls=required` or `smtps://…`; says what is wrong, never the URL."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"}:
            raise ValueError("must be smtp://user:password@host:port or smtps://…")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        starttls = options.pop("starttls", "required")
        authorities = options.pop("ca", None)
        if options or starttls not in {"required", "never"}:
            raise ValueError("takes ?starttls=required, ?starttls=never and &ca=FILE, nothing else")
        user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
        if starttls == "never" and parts.scheme == "smtp" and password and parts.hostname not in _LOOPBACK:
            raise ValueError("would send the password in clear; leave starttls=never out")
        tls: Literal["at once", "by starttls", "none"] = "by starttls" if starttls == "required" else "none"
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            tls="at once" if parts.scheme == "smtps" else tls,
            user=user,
            password=None if password is None else Secret(password),
            authorities=authorities,
        )


@dataclass(frozen=True, slots=True)
class MailOptions:
    """What a background process is told about mail."""

    folder: Path
    """Where mails lie that no server takes: all of them without one, and those of test mode always."""
    public_url: str = "http://127.0.0.1:8080"
    sender: str = "colonnade@localhost"
    server: SmtpServer | None = None
    timeout_seconds: float = 30.0
    delays: tuple[timedelta, ...] = field(default=DELAYS)


@dataclass(frozen=True, slots=True)
class Due:
    """A mail whose time has come."""

    agency_id: str
    id: str
    recipient_id: str
    kind: str
    resource_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is ready, with the one address that it goes to."""

    to: str
    message: EmailMessage
    is_test: bool = False
    """Of an agency in test mode: it never leaves the machine."""


class NotTaken(Exception):
    """A server did not take the mail; `is_final` when trying again would change nothing."""

    def __init__(self, problem: str, *, is_final: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.is_final = is_final


def sender_address(text: str) -> str:
    """The bare address of a sender such as `Colonnade <no-reply@agency.example>`; refuses what has none."""
    address = parseaddr(text)[1]
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        raise ValueError("must be an e-mail address, alone or as in `Name <name@host>`")
    return address
