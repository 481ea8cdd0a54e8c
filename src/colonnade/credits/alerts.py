"""Usage alerts: set, looked at, and fired in the transaction of the usage that reaches them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from colonnade.credits import alert_store
from colonnade.credits.alerting import MOST_OF_A_KIND, AlertNews, UsageAlert, crossings, needs_the_rest
from colonnade.credits.rules import Firing, Standing
from colonnade.credits.standing import Wanted, open_standing
from colonnade.ground.core.amounts import MilliCredits, to_number
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import is_id, new_id
from colonnade.ground.core.merging import changes
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Tx
from colonnade.tenancy import audit, workspaces

_COUNTED_MOST: Final = 1000


async def create_alert(
    tx: Tx,
    caller: Caller,
    *,
    threshold_percent: int,
    channels: Sequence[str],
    workspace_id: str | None = None,
    is_active: bool = True,
) -> UsageAlert:
    """Set an alert on the usage of a workspace, or on all of the agency's. It fires once in each cycle.

    A key that reaches one workspace alone sets that one's. One threshold is told once: a second alert is refused.
    """
    caller.require("usage:write")
    about = workspace_id or caller.workspace_id
    await _require_place(tx, about)
    if await alert_store.count_like(tx, about) >= MOST_OF_A_KIND:
        raise Refused(
            "usage_alerts.too_many",
            f"There are {MOST_OF_A_KIND} alerts about this already. Change one of them, or delete one first.",
        )
    at = await tx.now()
    alert = UsageAlert(new_id("alert"), about, threshold_percent, _told_once(channels), is_active, None, at, at)
    await alert_store.add(tx, alert, caller.actor_id)
    await audit.record(tx, caller, "usage_alerts.created", alert.id, workspace_id=about, after=_told(alert))
    return alert


async def get_alert(tx: Tx, caller: Caller, alert_id: str) -> UsageAlert:
    """One alert."""
    caller.require("usage:read")
    return await _found(tx, alert_id)


async def page_alerts(
    tx: Tx, caller: Caller, workspace_id: str | None, *, after: str | None, limit: int, counts_all: bool = False
) -> tuple[Sequence[UsageAlert], bool, int | None]:
    """Alerts within reach, perhaps those about one workspace: the newest first, whether there are more, how many."""
    caller.require("usage:read")
    some = await alert_store.page(tx, workspace_id, after=after, limit=limit + 1)
    counted = await alert_store.count(tx, workspace_id, None if counts_all else _COUNTED_MOST + 1)
    return some[:limit], len(some) > limit, counted if counts_all or counted <= _COUNTED_MOST else None


async def change_alert(
    tx: Tx, caller: Caller, alert_id: str, *, patch: Mapping[str, Any], expected_version: int | None = None
) -> UsageAlert:
    """Change threshold, channels or whether it is active; what it is about stays.

    For a threshold that it has fired for in this cycle it does not fire again, also when it was moved in between.
    """
    caller.require("usage:write")
    alert = await _opened(tx, alert_id, expected_version)
    fields = {**patch, **({"channels": _told_once(patch["channels"])} if "channels" in patch else {})}
    wanted = replace(alert, **fields)
    if wanted == alert:
        return alert
    await alert_store.change(tx, replace(wanted, updated_at=await tx.now()))
    before, after = changes(_told(alert), _told(wanted))
    where = alert.workspace_id
    await audit.record(tx, caller, "usage_alerts.updated", alert.id, workspace_id=where, before=before, after=after)
    return await _found(tx, alert_id)


async def delete_alert(tx: Tx, caller: Caller, alert_id: str, *, expected_version: int | None = None) -> None:
    """Delete an alert; what it has fired is told no more."""
    caller.require("usage:write")
    alert = await _opened(tx, alert_id, expected_version)
    await alert_store.delete(tx, alert.id)
    where = alert.workspace_id
    await audit.record(tx, caller, "usage_alerts.deleted", alert.id, workspace_id=where, before=_told(alert))


async def alert_news(tx: Tx, alert_id: str) -> AlertNews | None:
    """What there is to tell of an alert that fired; none when it is gone. For those who carry the news."""
    return await alert_store.news(tx, alert_id)


async def look(whole: Tx, standing: Standing, tallied: Iterable[tuple[date, str, int, int]]) -> None:
    """Fire the alerts that are reached by what was written just now, in the same transaction and once in the cycle.

    `tallied` is how tallies stand behind the writing, where others may have counted meanwhile: cycle, subject, taken
    and used.
    """
    if not standing.alerts or not any(count.used > 0 for count in standing.counts.values()):
        return
    for cycle, subject, _, used in tallied:
        if cycle == standing.cycle.starts_on:
            standing.tally(subject).used = MilliCredits(used)
    reached = await _reached(whole, standing)
    if not reached:
        return
    # What was opened without locks may have changed behind its back: before anybody is told it is read anew.
    about = {one.alert.workspace_id for one in reached if one.alert.workspace_id is not None}
    await _fire(whole, await open_standing(whole, Wanted(about), locking=False))


async def _reached(whole: Tx, standing: Standing) -> list[Firing]:
    reached = crossings(standing)
    if needs_the_rest(standing, reached):
        return crossings(standing, await alert_store.elsewhere(whole, standing.pools, standing.at))
    return reached


async def _fire(whole: Tx, standing: Standing) -> None:
    reached = await _reached(whole, standing)
    if not reached:
        return
    fired = await alert_store.fire(whole, reached, standing.at)
    house = audit.house(whole.agency_id)
    await audit.record_all(whole, [(house, _fired(one)) for one in reached if one.alert.id in fired])


def _fired(firing: Firing) -> audit.Fact:
    after = {
        "thresholdPercent": firing.alert.threshold_percent,
        "used": to_number(firing.used),
        "of": to_number(firing.basis),
        "cycle": firing.cycle.isoformat(),
    }
    return audit.Fact("usage_alerts.fired", firing.alert.id, firing.alert.workspace_id, after=after)


async def _require_place(tx: Tx, workspace_id: str | None) -> None:
    """An alert about the agency takes the whole agency in reach; one about a workspace takes that workspace."""
    if workspace_id is not None:
        if not await workspaces.exists(tx, workspace_id):
            raise BadField("/workspaceId", "is not a workspace within this key's reach")
        await workspaces.ensure_open(tx, workspace_id)
    else:
        _require_whole(tx)


def _require_whole(tx: Tx) -> None:
    if tx.reach.workspace_ids is not None:
        raise Refused(
            "keys.wrong_kind",
            "Alerts about the agency are set by keys that reach all workspaces, this one does not. Name a workspace.",
        )


async def _found(tx: Tx, alert_id: str, *, locking: bool = False) -> UsageAlert:
    alert = await alert_store.find(tx, alert_id, locking=locking) if is_id("alert", alert_id) else None
    if alert is None:
        raise NotFound("alert")
    return alert


async def _opened(tx: Tx, alert_id: str, expected_version: int | None) -> UsageAlert:
    alert = await _found(tx, alert_id, locking=True)
    if expected_version is not None and alert.version != expected_version:
        raise Refused("request.precondition_failed", "The alert has changed since the version in `If-Match`.")
    if alert.workspace_id is not None:
        await workspaces.ensure_open(tx, alert.workspace_id)
    return alert


def _told_once(channels: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(channels))


def _told(alert: UsageAlert) -> dict[str, Any]:
    return {
        "workspaceId": alert.workspace_id,
        "thresholdPercent": alert.threshold_percent,
        "channels": list(alert.channels),
        "isActive": alert.is_active,
    }
