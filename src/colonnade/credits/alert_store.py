"""How usage alerts are kept, and each of their firings."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from colonnade.credits.alerting import AlertNews, UsageAlert
from colonnade.credits.rules import Firing
from colonnade.credits.store import columns
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Record, Tx

_SHOWN: Final = """
u.id, u.workspace_id, u.threshold_percent, u.channels, u.is_active, u.created_at, u.updated_at, u.version,
(select f.at from usage_alert_firing f
 where f.agency_id = u.agency_id and f.alert_id = u.id and f.threshold_percent = u.threshold_percent
   and f.cycle = (select c.starts_on from credit_cycle c
                  where c.agency_id = $1 and c.starts_at <= now() and now() < c.ends_at)) as fired_at
"""
_WITHIN: Final = "u.agency_id = $1 and ($2::text[] is null or u.workspace_id = any ($2))"

ADD: Final = """
insert into usage_alert (agency_id, workspace_id, id, threshold_percent, channels, is_active, created_by, created_at,
                         updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
"""


async def add(tx: Tx, alert: UsageAlert, created_by: str) -> None:
    """Keep a fresh alert; another one at the same threshold is refused."""
    told = (alert.threshold_percent, list(alert.channels), alert.is_active, created_by, alert.created_at)
    try:
        await tx.execute(ADD, tx.agency_id, alert.workspace_id, alert.id, *told)
    except asyncpg.UniqueViolationError as error:
        raise exists(alert.threshold_percent) from error


def exists(threshold_percent: int) -> Refused:
    """The refusal of a second alert at the same threshold."""
    return Refused(
        "usage_alerts.exists",
        f"There is an alert at {threshold_percent} percent already; one fact is told once.",
        details={"thresholdPercent": threshold_percent},
    )


FIND: Final = f"select {_SHOWN} from usage_alert u where {_WITHIN} and u.id = $3"
LOCK: Final = f"{FIND} for no key update of u"


async def find(tx: Tx, alert_id: str, *, locking: bool = False) -> UsageAlert | None:
    """The alert within reach; locked, nobody else changes it until this transaction ends."""
    row = await tx.fetchrow(LOCK if locking else FIND, tx.agency_id, _reach(tx), alert_id)
    return None if row is None else _alert(row)


PAGE: Final = f"""
select {_SHOWN} from usage_alert u
where {_WITHIN} and ($3::text is null or u.workspace_id = $3) and ($4::text is null or u.id < $4)
order by u.id desc limit $5
"""
COUNT: Final = f"""
select count(*) from (
    select from usage_alert u where {_WITHIN} and ($3::text is null or u.workspace_id = $3) limit $4) as counted
"""
COUNT_LIKE: Final = """
select count(*) from usage_alert
where agency_id = $1 and (workspace_id = $2 or ($2::text is null and workspace_id is null))
"""


async def page(tx: Tx, workspace_id: str | None, *, after: str | None, limit: int) -> list[UsageAlert]:
    """Alerts within reach, the newest first, behind the given one."""
    return [_alert(row) for row in await tx.fetch(PAGE, tx.agency_id, _reach(tx), workspace_id, after, limit)]


async def count(tx: Tx, workspace_id: str | None, most: int | None) -> int:
    """How many there are, counted no further than `most`."""
    counted: int = await tx.fetchval(COUNT, tx.agency_id, _reach(tx), workspace_id, most)
    return counted


async def count_like(tx: Tx, workspace_id: str | None) -> int:
    """How many are about this workspace, or about the agency."""
    counted: int = await tx.fetchval(COUNT_LIKE, tx.agency_id, workspace_id)
    return counted


CHANGE: Final = """
update usage_alert set threshold_percent = $3, channels = $4, is_active = $5, updated_at = $6, version = version + 1
where agency_id = $1 and id = $2
"""


async def change(tx: Tx, alert: UsageAlert) -> None:
    """Keep what a locked alert says now."""
    told = (alert.threshold_percent, list(alert.channels), alert.is_active, alert.updated_at)
    try:
        await tx.execute(CHANGE, tx.agency_id, alert.id, *told)
    except asyncpg.UniqueViolationError as error:
        raise exists(alert.threshold_percent) from error


DELETE: Final = "delete from usage_alert where agency_id = $1 and id = $2"


async def delete(tx: Tx, alert_id: str) -> None:
    """The alert is gone, and its firings with it."""
    await tx.execute(DELETE, tx.agency_id, alert_id)


# Locked against being deleted, so that a firing never refers to what is gone when it commits.
FIRE: Final = """
with there as (
    select u.id from usage_alert u
    where u.agency_id = $1 and u.id = any ($2::text[]) and u.is_active order by u.id for key share)
insert into usage_alert_firing (agency_id, workspace_id, alert_id, cycle, threshold_percent, used, basis, at)
select $1, x.workspace_id, x.alert_id, x.cycle, x.threshold_percent, x.used, x.basis, $8
from unnest($2::text[], $3::text[], $4::date[], $5::integer[], $6::bigint[], $7::bigint[])
     as x (alert_id, workspace_id, cycle, threshold_percent, used, basis)
join there on there.id = x.alert_id
order by x.alert_id
on conflict (agency_id, alert_id, cycle, threshold_percent) do nothing
returning alert_id
"""


async def fire(tx: Tx, firings: Sequence[Firing], at: datetime) -> set[str]:
    """Note that these fired; those of them that nobody has noted before."""
    rows = [
        (one.alert.id, one.alert.workspace_id, one.cycle, one.alert.threshold_percent, one.used, one.basis)
        for one in firings
    ]
    return {row["alert_id"] for row in await tx.fetch(FIRE, tx.agency_id, *columns(rows), at)}


ELSEWHERE: Final = """
select coalesce(sum(remaining), 0)::bigint from credit_grant
where agency_id = $1 and not is_spent and pool_id <> all ($2::text[]) and (expires_at is null or expires_at > $3)
"""


async def elsewhere(tx: Tx, pools: Collection[str], at: datetime) -> MilliCredits:
    """What may be drawn from all pools but these; needs the whole agency."""
    return MilliCredits(await tx.fetchval(ELSEWHERE, tx.agency_id, list(pools), at))


NEWS: Final = """
select u.workspace_id, u.channels, f.threshold_percent, f.used, f.basis, f.at, c.ends_at as cycle_ends_at
from usage_alert u
join usage_alert_firing f on f.agency_id = u.agency_id and f.alert_id = u.id
join credit_cycle c on c.agency_id = f.agency_id and c.starts_on = f.cycle
where u.agency_id = $1 and u.id = $2 and ($3::text[] is null or u.workspace_id = any ($3))
order by f.at desc, f.threshold_percent desc limit 1
"""


async def news(tx: Tx, alert_id: str) -> AlertNews | None:
    """The last firing of an alert that is there."""
    row = await tx.fetchrow(NEWS, tx.agency_id, alert_id, _reach(tx))
    if row is None:
        return None
    return AlertNews(
        workspace_id=row["workspace_id"],
        channels=tuple(row["channels"]),
        threshold_percent=row["threshold_percent"],
        used=MilliCredits(row["used"]),
        basis=MilliCredits(row["basis"]),
        at=row["at"],
        cycle_ends_at=row["cycle_ends_at"],
    )


def _reach(tx: Tx) -> list[str] | None:
    within = tx.reach.workspace_ids
    return None if within is None else list(within)


def _alert(row: Record) -> UsageAlert:
    return UsageAlert(
        id=row["id"],
        workspace_id=row["workspace_id"],
        threshold_percent=row["threshold_percent"],
        channels=tuple(row["channels"]),
        is_active=row["is_active"],
        fired_at=row["fired_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )
