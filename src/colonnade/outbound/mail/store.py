"""How mails that are to be sent are kept: ids alone, no texts and no tokens."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from colonnade.ground.db.database import Database, Tx
from colonnade.outbound.mail.model import Due, State

ADD: Final = """
insert into mail (agency_id, id, recipient_id, kind, resource_id, created_at)
select $1, $2, r.id, $4, $5, $6 from unnest($3::text[]) as r (id) order by r.id
on conflict (agency_id, id, recipient_id) do nothing
"""
CLAIM: Final = "select * from claim_mail($1, $2, $3)"
IS_SUPERSEDED: Final = """
select exists (select from mail where agency_id = $1 and recipient_id = $3 and kind = $4 and id > $2)
"""
END: Final = """
update mail set state = $4, problem = $5, ended_at = $6, claimed_by = null
where agency_id = $1 and id = $2 and recipient_id = $3 and state = 'waiting'
"""
DELAY: Final = """
update mail set available_at = clock_timestamp() + $4::interval, problem = $5, claimed_by = null
where agency_id = $1 and id = $2 and recipient_id = $3 and state = 'waiting'
"""
STATES: Final = """
select distinct on (resource_id) resource_id, state from mail
where agency_id = $1 and resource_id = any ($2) and state <> 'dropped' order by resource_id, id desc
"""
FORGET: Final = "select forget_mail($1, $2)"


async def add(tx: Tx, identity: str, kind: str, resource_id: str, recipient_ids: Sequence[str]) -> None:
    """A mail to each of them about one event; those that there are already stay as they are."""
    await tx.execute(ADD, tx.agency_id, identity, list(recipient_ids), kind, resource_id, await tx.now())


async def claim(database: Database, worker_id: str, most: int, lease_seconds: int) -> list[Due]:
    """Mails of all agencies whose time has come; nobody else takes them for so long."""
    return [Due(**dict(row)) for row in await database.lookup(CLAIM, worker_id, most, lease_seconds)]


async def is_superseded(tx: Tx, due: Due) -> bool:
    """Whether a later event has made another mail of this kind to the same receiver."""
    superseded: bool = await tx.fetchval(IS_SUPERSEDED, tx.agency_id, due.id, due.recipient_id, due.kind)
    return superseded


async def end(tx: Tx, due: Due, state: State, problem: str | None = None) -> None:
    """It is sent, given up, or needless."""
    await tx.execute(END, tx.agency_id, due.id, due.recipient_id, state, problem, await tx.now())


async def delay(tx: Tx, due: Due, by: timedelta, problem: str) -> None:
    """It is tried again after so long."""
    await tx.execute(DELAY, tx.agency_id, due.id, due.recipient_id, by, problem)


async def states(tx: Tx, resource_ids: Sequence[str]) -> dict[str, str]:
    """What became of the latest mail about each of these things."""
    return {row["resource_id"]: row["state"] for row in await tx.fetch(STATES, tx.agency_id, list(resource_ids))}


async def forget(database: Database, kept_for: timedelta, most: int) -> int:
    """Delete what ended longer ago; how many were deleted."""
    gone: int = (await database.lookup(FORGET, kept_for, most))[0]["forget_mail"]
    return gone
