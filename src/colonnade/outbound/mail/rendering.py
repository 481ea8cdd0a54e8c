"""From facts to a message: one text for each kind of mail, written twice, as plain text and as HTML."""

import functools
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Any, Final

import idna
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from colonnade.tenancy.agencies import Agency

_INK: Final = "#1f2937"
_DARK_BELOW: Final = 0.6


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a mail: from whom, to whom, when, and under which name."""

    sender: str
    to: str
    at: datetime
    message_id: str


def plain(text: str) -> str:
    """One line of it without anything that does not show: nothing in a name begins a header or turns the writing.

    Nor is it taken for an encoded word (RFC 2047), which a reader would show as something else.
    """
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown = "".join(" " if unicodedata.category(character) in hidden else character for character in text)
    return " ".join(shown.split()).replace("=?", "= ?")


@functools.cache
def _environment(name: str) -> Environment:
    is_html = name == "html"
    environment = Environment(
        loader=PackageLoader("colonnade.outbound.mail"),
        autoescape=select_autoescape((), default=is_html),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["flat"] = lambda text: " ".join(str(text).split())
    environment.globals["parts"] = f"parts.{name}.j2"
    environment.globals["layout"] = f"layout.{name}.j2"
    return environment


def render(kind: str, agency: Agency, heading: Heading, facts: Mapping[str, Any]) -> EmailMessage:
    """The message of this kind, as text and as HTML, in the agency's name and colour."""
    shown = {name: plain(value) if isinstance(value, str) else value for name, value in facts.items()}
    values = {**shown, **_look(agency)}
    text = _environment("text").get_template(f"{kind}.j2")
    html = _environment("html").get_template(f"{kind}.j2")
    subject = plain("".join(text.blocks["subject"](text.new_context(values))))
    message = EmailMessage(policy=SMTP if heading.to.isascii() else SMTPUTF8)
    message["Subject"] = subject
    message["From"] = _from(agency, heading.sender)
    message["To"] = heading.to
    message["Date"] = format_datetime(heading.at)
    message["Message-ID"] = heading.message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    reply_to = agency.branding.get("supportEmail")
    if reply_to:
        message["Reply-To"] = in_ascii_host(reply_to)
    message.set_content(text.render(values), cte="quoted-printable")
    message.add_alternative(html.render({**values, "subject": subject}), subtype="html", cte="quoted-printable")
    return message


def in_ascii_host(address: str) -> str:
    """The address with its host in the spelling of mail servers (IDNA 2008); one without it stays as it is."""
    name, _, host = address.rpartition("@")
    try:
        return f"{name}@{idna.encode(host, uts46=True).decode()}"
    except idna.IDNAError:
        return address


def _from(agency: Agency, sender: str) -> Address:
    return Address(plain(agency.name), addr_spec=parseaddr(sender)[1])


def _look(agency: Agency) -> dict[str, Any]:
    """Name, logo and colours; writing on the agency's own colour is black or white, whichever can be read."""
    color = agency.branding.get("primaryColor") or _INK
    logo = agency.branding.get("logoUrl") or ""
    return {
        "agency": plain(agency.name),
        "support": agency.branding.get("supportEmail"),
        "logo": logo if logo.startswith(("https://", "http://")) else None,
        "color": color,
        "on_color": "#ffffff" if _brightness(color) < _DARK_BELOW else "#111111",
    }


def _brightness(color: str) -> float:
    digits = color.removeprefix("#")
    wide = digits if len(digits) >= 6 else "".join(digit * 2 for digit in digits)
    red, green, blue = (int(wide[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return 0.299 * red + 0.587 * green + 0.114 * blue
