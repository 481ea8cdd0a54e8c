"""Telling of events over HTTP, and looking whether all that counts them agrees."""

from collections.abc import Sequence
from typing import Any, Final

import httpx2

from colonnade.ground.core.ids import new_id
from tests.credits.homes import Home

PATH: Final = "/v1/usage/events"

_BROKEN: Final = """
with account as (select id, kind, workspace_id, balance from credit_account where agency_id = $1),
     event as (select workspace_id, sum(credits) as used from usage_event where agency_id = $1 group by 1),
     daily as (select workspace_id, sum(credits) as used from usage_daily where agency_id = $1 group by 1)
select 'balances do not sum to zero' as broken from account having sum(balance) <> 0
union all select id || ' differs from the usage' from account left join event using (workspace_id)
    left join daily using (workspace_id)
    where kind = 'used' and (balance <> coalesce(event.used, 0) or balance <> coalesce(daily.used, 0))
union all select 'tallies differ from the usage' where (select sum(used) from event) <>
    (select sum(used) from credit_tally where agency_id = $1 and subject = 'agency')
union all select transfer_id || ' differs from its lines' from usage_event e
    join credit_transfer t on t.agency_id = e.agency_id and t.id = e.transfer_id
    where e.agency_id = $1 group by transfer_id, t.amount having sum(e.credits) <> t.amount
"""


def an_event(workspace_id: str, **fields: Any) -> dict[str, Any]:
    """An event of one credit, unless it says otherwise."""
    event = {"id": new_id("evt"), "source": "tests", "workspaceId": workspace_id, "feature": "image", **fields}
    return event if "quantity" in event or "credits" in event else {**event, "credits": 1}


async def tell(
    http: httpx2.AsyncClient, key: dict[str, str], events: Sequence[Any], **headers: str
) -> list[dict[str, Any]]:
    answer = await http.post(PATH, headers={**key, **headers}, json={"events": list(events)})
    assert answer.status_code == 200, answer.text
    outcomes: list[dict[str, Any]] = answer.json()["data"]
    return outcomes


def statuses(outcomes: Sequence[dict[str, Any]]) -> list[str]:
    return [one["status"] for one in outcomes]


async def broken(home: Home) -> list[str]:
    """Where ledger, events, days and tallies do not agree."""
    return [row[0] for row in await rows(home, _BROKEN)]


async def rows(home: Home, sql: str) -> list[Any]:
    async with home.database.transaction(home.caller.reach) as tx:
        return [tuple(row) for row in await tx.fetch(sql, home.agency_id)]
