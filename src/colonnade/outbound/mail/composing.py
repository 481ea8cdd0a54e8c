"""Making the mail that is due: reads what is true by now, and mints the token that it carries."""

import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from colonnade import credits
from colonnade.ground.core.amounts import to_text
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Tx
from colonnade.outbound.mail import store
from colonnade.outbound.mail.model import Due, Letter, MailOptions, sender_address
from colonnade.outbound.mail.rendering import Heading, in_ascii_host, render
from colonnade.tenancy import agencies, people, sessions, workspaces

_WHEN: Final = "%-d %B %Y at %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Written:
    """To whom a mail goes, and what its text is made of."""

    email: str
    facts: Mapping[str, Any]


async def compose(tx: Tx, due: Due, options: MailOptions) -> Letter | None:
    """The mail that is due; none when there is nothing to tell any more."""
    written = await WRITERS[due.kind](tx, due, options)
    if written is None:
        return None
    agency, now = await agencies.in_force(tx), await tx.now()
    to = in_ascii_host(written.email)
    host = sender_address(options.sender).rpartition("@")[2]
    # Never the same name twice: what is sent anew carries another link, and must not be taken for the mail before.
    heading = Heading(options.sender, to, now, f"<{due.id}.{secrets.token_hex(8)}@{host}>")
    facts = {"happened": now.strftime(_WHEN), "name": None, **written.facts}
    return Letter(to, render(due.kind, agency, heading, facts), is_test=agency.mode == "test")


def _link(options: MailOptions, page: str, token: Secret) -> str:
    """The token stands behind `#`, which no browser sends to a server."""
    return f"{options.public_url.rstrip('/')}/{page}#token={token.reveal()}"


def _command(options: MailOptions, path: str, token: Secret) -> str:
    body = f'{{"token": "{token.reveal()}", "password": "a long password of yours"}}'
    return f"curl {shlex.quote(options.public_url.rstrip('/') + path)} -d {shlex.quote(body)}"


async def _invitation(tx: Tx, due: Due, options: MailOptions) -> Written | None:
    if await store.is_superseded(tx, due):
        return None
    minted = await people.mint_invitation(tx, due.resource_id)
    if minted is None:
        return None
    invitation, token = minted.invitation, minted.token
    facts = {
        "inviter": invitation.invited_by_name,
        "name": invitation.name,
        "role": invitation.role,
        "until": invitation.expires_at.strftime(_WHEN),
        "link": _link(options, "accept-invitation", token),
        "command": _command(options, "/v1/auth/accept-invitation", token),
    }
    return Written(invitation.email, facts)


async def _password_reset(tx: Tx, due: Due, options: MailOptions) -> Written | None:
    person = await people.addressee(tx, due.recipient_id)
    if person is None or await store.is_superseded(tx, due):
        return None
    token = await sessions.mint_reset(tx, person.id)
    facts = {
        "name": person.name,
        "link": _link(options, "reset-password", token),
        "command": _command(options, "/v1/auth/password-reset/confirm", token),
    }
    return Written(person.email, facts)


async def _notice(tx: Tx, due: Due, _options: MailOptions) -> Written | None:
    person = await people.addressee(tx, due.recipient_id)
    return None if person is None else Written(person.email, {"name": person.name})


async def _key_leaked(tx: Tx, due: Due, options: MailOptions) -> Written | None:
    notice = await _notice(tx, due, options)
    return None if notice is None else Written(notice.email, {**notice.facts, "key": due.resource_id})


async def _workspace_received(tx: Tx, due: Due, options: MailOptions) -> Written | None:
    notice = await _notice(tx, due, options)
    there = await workspaces.known(tx, [due.resource_id])
    if notice is None or not there:
        return None
    return Written(notice.email, {**notice.facts, "workspace": there[0].name})


async def _usage_alert(tx: Tx, due: Due, options: MailOptions) -> Written | None:
    notice = await _notice(tx, due, options)
    news = await credits.alert_news(tx, due.resource_id)
    if notice is None or news is None:
        return None
    there = [] if news.workspace_id is None else await workspaces.known(tx, [news.workspace_id])
    facts = {
        "workspace": there[0].name if there else None,
        "threshold": str(news.threshold_percent),
        "percent": str(news.percent),
        "used": to_text(news.used),
        "of": to_text(news.basis),
        "happened": news.at.strftime(_WHEN),
        "ends": news.cycle_ends_at.strftime(_WHEN),
    }
    return Written(notice.email, {**notice.facts, **facts})


WRITERS: Final[Mapping[str, Callable[[Tx, Due, MailOptions], Awaitable[Written | None]]]] = {
    "invitation": _invitation,
    "password_reset": _password_reset,
    "password_changed": _notice,
    "two_factor_off": _notice,
    "key_leaked": _key_leaked,
    "usage_alert": _usage_alert,
    "removed": _notice,
    "agency_received": _notice,
    "workspace_received": _workspace_received,
}
"""What each kind of mail is made of; a template of the same name says it."""
