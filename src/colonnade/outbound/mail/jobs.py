"""Mails from facts: what happened queues them, a worker sends them, and tries again where a server did not take one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog

from colonnade import credits
from colonnade.ground.core.callers import Reach
from colonnade.ground.db.database import Database, Tx
from colonnade.outbound.mail import store
from colonnade.outbound.mail.composing import compose
from colonnade.outbound.mail.model import Due, MailOptions, NotTaken
from colonnade.outbound.mail.posting import post
from colonnade.tenancy import people, workspaces
from colonnade.tenancy.audit import Announcement

_log = structlog.get_logger("colonnade.mail")

_BATCH: Final = 20
_AT_ONCE: Final = 4
_LEASE_SECONDS: Final = 600
"""Longer than a whole batch may take, so that nobody sends what another is about to."""

KEPT_FOR: Final = timedelta(days=90)

Recipients = Callable[[Tx, str], Awaitable[Sequence[str]]]
"""To whom a fact about this thing is told: ids of people or invitations."""


async def _the_invited(_tx: Tx, invitation_id: str) -> Sequence[str]:
    return [invitation_id]


async def _the_person(tx: Tx, identity: str) -> Sequence[str]:
    person = await people.addressee(tx, identity)
    return [] if person is None else [person.id]


async def _the_owners(tx: Tx, _identity: str) -> Sequence[str]:
    return [owner.person_id for owner in await people.owners(tx)]


async def _the_workspaces_owner(tx: Tx, workspace_id: str) -> Sequence[str]:
    there = await workspaces.known(tx, [workspace_id])
    owner_id = there[0].owner_id if there else None
    return [] if owner_id is None else await _the_person(tx, owner_id)


async def _who_is_alerted(tx: Tx, alert_id: str) -> Sequence[str]:
    """The owners; for an alert about a workspace its own owner besides."""
    news = await credits.alert_news(tx, alert_id)
    if news is None or "mail" not in news.channels:
        return []
    besides = [] if news.workspace_id is None else await _the_workspaces_owner(tx, news.workspace_id)
    return [*await _the_owners(tx, alert_id), *besides]


KINDS: Final[Mapping[str, tuple[str, Recipients]]] = {
    "members.invited": ("invitation", _the_invited),
    "members.invitation_resent": ("invitation", _the_invited),
    "members.removed": ("removed", _the_person),
    "agencies.transferred": ("agency_received", _the_person),
    "workspaces.transferred": ("workspace_received", _the_workspaces_owner),
    "people.reset_requested": ("password_reset", _the_person),
    "people.password_changed": ("password_changed", _the_person),
    "people.totp_disabled": ("two_factor_off", _the_person),
    "keys.leaked": ("key_leaked", _the_owners),
    "usage_alerts.fired": ("usage_alert", _who_is_alerted),
}
"""Which events are told by mail, as what, and to whom."""


async def queue(tx: Tx, announcement: Announcement) -> None:
    """Note that a mail is to be sent about this event; telling twice is one mail."""
    kind, recipients = KINDS[announcement.event]
    found = await recipients(tx, announcement.resource_id)
    await store.add(tx, announcement.id, kind, announcement.resource_id, list(dict.fromkeys(found)))


async def send_due(database: Database, options: MailOptions, worker_id: str) -> int:
    """Send a batch of the mails whose time has come, a few at once; how many were tried."""
    due = await store.claim(database, worker_id, _BATCH, _LEASE_SECONDS)
    places = asyncio.Semaphore(_AT_ONCE)

    async def send(one: Due) -> None:
        async with places:
            await _send(database, options, one)

    async with asyncio.TaskGroup() as group:
        for one in due:
            group.create_task(send(one))
    return len(due)


async def _send(database: Database, options: MailOptions, due: Due) -> None:
    """One mail: written in one transaction, sent in none, noted in another. A kill in between sends it once more."""
    try:
        async with database.transaction(Reach(due.agency_id)) as tx:
            letter = await compose(tx, due, options)
        if letter is not None:
            await post(options, letter, f"{due.id}-{due.recipient_id}")
    except NotTaken as refused:
        await _try_later(database, options, due, refused)
    except Exception as error:
        _log.exception("mail.not_made", mail=due.id, kind=due.kind)
        await _try_later(database, options, due, NotTaken(type(error).__name__, is_final=False))
    else:
        async with database.transaction(Reach(due.agency_id)) as tx:
            await store.end(tx, due, "dropped" if letter is None else "sent")


async def _try_later(database: Database, options: MailOptions, due: Due, refused: NotTaken) -> None:
    gives_up = refused.is_final or due.attempts > len(options.delays)
    _log.warning("mail.not_taken", mail=due.id, kind=due.kind, problem=refused.problem, attempts=due.attempts)
    async with database.transaction(Reach(due.agency_id)) as tx:
        if gives_up:
            await store.end(tx, due, "failed", refused.problem[:200])
        else:
            await store.delay(tx, due, options.delays[due.attempts - 1], refused.problem[:200])


async def forget(database: Database, most: int) -> int:
    """Delete what was sent or given up long ago; how many rows."""
    return await store.forget(database, KEPT_FOR, most)
