"""Usage alerts: reached, told once for each threshold and cycle, and never of what did not happen."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest

from colonnade import credits
from colonnade.credits import UsageAlert, charging
from colonnade.credits.charge_model import ChargeWish, Priced
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.tenancy import workspaces
from tests.credits.counters import a_till
from tests.credits.homes import Home, a_home, a_request, let_cycles_end, let_grants_expire, used, work


async def an_alert(home: Home, percent: int, workspace_id: str | None = None, **fields: Any) -> UsageAlert:
    channels = fields.pop("channels", ["mail"])
    async with home.database.transaction(home.caller.reach) as tx:
        return await credits.create_alert(
            tx, home.caller, threshold_percent=percent, channels=channels, workspace_id=workspace_id, **fields
        )


async def a_grant(home: Home, amount: int, workspace_id: str | None = None, **fields: Any) -> None:
    async with home.database.transaction(home.caller.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(amount), workspace_id=workspace_id, **fields)


async def a_cap(home: Home, amount: int, **holder: Any) -> None:
    async with home.database.transaction(home.caller.reach) as tx:
        await credits.set_cap(tx, home.caller, MilliCredits(amount), **holder)


async def in_force(home: Home, workspace_id: str, **settings: Any) -> None:
    async with home.database.transaction(home.caller.reach) as tx:
        await workspaces.update(tx, home.caller, workspace_id, patch={"settings": settings})


async def fired(home: Home) -> list[tuple[str | None, int, float, float]]:
    """What the log tells of alerts: the workspace, the threshold, what was used, and of how much."""
    async with home.database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch(
            """select workspace_id, after from audit_entry
               where agency_id = $1 and event = 'usage_alerts.fired' order by id""",
            home.agency_id,
        )
        kept = await tx.fetchval("select count(*) from usage_alert_firing where agency_id = $1", home.agency_id)
    assert kept == len(rows)
    told = [(row["workspace_id"], row["after"]) for row in rows]
    return [(where, after["thresholdPercent"], after["used"], after["of"]) for where, after in told]


async def test_an_alert_fires_once_when_its_share_of_the_grants_is_used(database: Database) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    alert = await an_alert(home, 50)

    await work(home, first, used(49_999))
    assert await fired(home) == []
    await work(home, second, used(1))
    await work(home, second, used(10_000))

    assert await fired(home) == [(None, 50, 50, 100)]
    async with database.transaction(home.caller.reach) as tx:
        assert (await credits.get_alert(tx, home.caller, alert.id)).fired_at is not None


async def test_what_is_only_held_fires_nothing(database: Database) -> None:
    home = await a_home(database, granted=100_000)
    await an_alert(home, 50)

    async with database.transaction(home.caller.reach) as tx:
        hold = await credits.hold(tx, home.caller, a_request(home.workspaces[0], 90_000))
    async with database.transaction(home.caller.reach) as tx:
        await credits.settle(tx, home.caller, hold.id, [used(1_000)])

    assert await fired(home) == []


async def test_where_there_is_a_cap_on_all_features_the_share_is_of_the_cap(database: Database) -> None:
    home = await a_home(database, granted=1_000_000)
    first, _ = home.workspaces
    await a_cap(home, 10_000, workspace_id=first)
    await a_cap(home, 1_000, workspace_id=first, feature="publish")
    await a_cap(home, 500_000)
    await an_alert(home, 80, first)
    await an_alert(home, 2)

    await work(home, first, used(7_999))
    assert await fired(home) == []
    await work(home, first, used(1_000, "publish"))
    assert await fired(home) == [(first, 80, 8.999, 10)]
    await work(home, first, used(1_001))

    assert await fired(home) == [(first, 80, 8.999, 10), (None, 2, 10, 500)]


async def test_all_that_a_single_piece_of_work_reaches_fires_together(database: Database) -> None:
    home = await a_home(database, granted=1_000)
    first, _ = home.workspaces
    for percent in (50, 80, 100):
        await an_alert(home, percent, first)

    await work(home, first, used(900))

    assert await fired(home) == [(first, 50, 0.9, 1), (first, 80, 0.9, 1)]


@pytest.mark.parametrize(("limit", "tells"), [(None, (0.5, 1)), (4, (2.5, 5))])
async def test_what_a_workspace_may_borrow_belongs_to_what_it_can_use(
    database: Database, limit: int | None, tells: tuple[float, float]
) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    await in_force(home, first, creditPool="workspace", **({} if limit is None else {"borrowLimit": limit}))
    await a_grant(home, 1_000, first)
    await an_alert(home, 50, first)

    await work(home, first, used(500))
    if limit is not None:
        assert await fired(home) == []
        await work(home, first, used(1_999))
        assert await fired(home) == []
        await work(home, first, used(1))

    assert await fired(home) == [(first, 50, *tells)]


async def test_grants_in_all_pools_belong_to_what_the_agency_can_use(database: Database) -> None:
    home = await a_home(database)
    first, second = home.workspaces
    for name in (first, second):
        await in_force(home, name, creditPool="workspace")
    await a_grant(home, 1_000, first)
    await a_grant(home, 9_000, second)
    await an_alert(home, 50)

    await work(home, first, used(1_000))
    assert await fired(home) == []
    await work(home, second, used(4_000))

    assert await fired(home) == [(None, 50, 5, 10)]


async def test_grants_whose_time_is_over_are_no_part_of_it(database: Database, address: Address) -> None:
    home = await a_home(database, granted=1_000)
    _, second = home.workspaces
    await a_grant(home, 9_000, second, expires_at=(await _soon(database)))
    await an_alert(home, 50)
    await let_grants_expire(address, home)

    await work(home, home.workspaces[0], used(500))

    assert await fired(home) == [(None, 50, 0.5, 1)]


async def _soon(database: Database) -> Any:
    return (await database.lookup("select now() as at"))[0]["at"] + timedelta(hours=1)


async def test_usage_that_is_rolled_back_fires_nothing(database: Database) -> None:
    home = await a_home(database, granted=1_000)
    first, _ = home.workspaces
    await an_alert(home, 50, first)

    async with database.transaction(home.caller.reach) as tx:
        hold = await credits.hold(tx, home.caller, a_request(first, 900))

    async def work_in_vain() -> None:
        async with database.transaction(home.caller.reach) as tx:
            await credits.settle(tx, home.caller, hold.id, [used(900)])
            assert await tx.fetchval("select count(*) from usage_alert_firing where agency_id = $1", home.agency_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work_in_vain()
    assert await fired(home) == []
    async with database.transaction(home.caller.reach) as tx:
        await credits.settle(tx, home.caller, hold.id, [used(900)])

    assert await fired(home) == [(first, 50, 0.9, 1)]


async def test_a_run_of_one_workspace_fires_the_agencys_alerts_too(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database, granted=1_000)
    first, _ = home.workspaces
    await an_alert(home, 50)
    run = home.run_in(first)
    async with database.transaction(run.reach) as tx:
        hold = await credits.hold(tx, run, a_request(first, 600))
    async with worker_database.transaction(run.reach) as tx:
        await credits.settle(tx, run, hold.id, [used(600)])

    assert await fired(home) == [(None, 50, 0.6, 1)]


async def test_runs_that_end_at_once_fire_an_alert_once(database: Database, worker_database: Database) -> None:
    home = await a_home(database, granted=1_000)
    first, second = home.workspaces
    await an_alert(home, 50)
    async with database.transaction(home.caller.reach) as tx:
        outcomes = await credits.hold_many(
            tx, home.caller, [a_request(name, 100) for name in (first, second) for _ in range(5)]
        )

    async def end(hold_id: str) -> None:
        async with worker_database.transaction(home.caller.reach) as tx:
            await credits.settle(tx, home.caller, hold_id, [used(100)])

    await asyncio.gather(*(end(one.id) for one in outcomes if not isinstance(one, Refused)))

    assert [told[:2] for told in await fired(home)] == [(None, 50)]


async def test_the_next_cycle_counts_anew_and_fires_anew(database: Database, address: Address) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    alert = await an_alert(home, 1, first)
    await work(home, first, used(1_000))
    await let_cycles_end(address, home)

    async with database.transaction(home.caller.reach) as tx:
        assert (await credits.get_alert(tx, home.caller, alert.id)).fired_at is None
    await work(home, first, used(980))
    assert len(await fired(home)) == 1
    await work(home, first, used(10))

    assert await fired(home) == [(first, 1, 1, 100), (first, 1, 0.99, 99)]


async def test_a_threshold_that_is_moved_fires_there_once_and_not_again_where_it_was(database: Database) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    alert = await an_alert(home, 1, first)

    async def move(percent: int) -> None:
        async with database.transaction(home.caller.reach) as tx:
            await credits.change_alert(tx, home.caller, alert.id, patch={"threshold_percent": percent})
        await work(home, first, used(1_000))

    await work(home, first, used(1_000))
    await move(90)
    await move(3)
    await move(1)

    assert [told[1] for told in await fired(home)] == [1, 3]


async def test_an_alert_that_is_not_active_does_not_fire_until_it_is(database: Database) -> None:
    home = await a_home(database, granted=1_000)
    first, _ = home.workspaces
    alert = await an_alert(home, 50, first, is_active=False)
    await work(home, first, used(600))
    assert await fired(home) == []

    async with database.transaction(home.caller.reach) as tx:
        await credits.change_alert(tx, home.caller, alert.id, patch={"is_active": True})
    await work(home, first, used(1))

    assert await fired(home) == [(first, 50, 0.601, 1)]


async def test_an_alert_that_is_deleted_while_work_reaches_it_does_not_stop_the_work(database: Database) -> None:
    home = await a_home(database, granted=1_000)
    first, _ = home.workspaces
    alert = await an_alert(home, 50, first)

    async with database.transaction(home.caller.reach) as deleting:
        await credits.delete_alert(deleting, home.caller, alert.id)
        working = asyncio.create_task(work(home, first, used(600)))
        while not await deleting.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)
    await working

    assert await fired(home) == []


async def test_a_cap_that_is_lowered_below_what_was_used_is_passed_by_more_than_all_of_it(database: Database) -> None:
    home = await a_home(database, granted=100_000)
    first, _ = home.workspaces
    await an_alert(home, 150, first)
    async with database.transaction(home.caller.reach) as tx:
        hold = await credits.hold(tx, home.caller, a_request(first, 3_000))
    await a_cap(home, 2_000, workspace_id=first)

    async with database.transaction(home.caller.reach) as tx:
        await credits.settle(tx, home.caller, hold.id, [used(3_000)])

    assert await fired(home) == [(first, 150, 3, 2)]


async def test_charges_that_come_together_fire_an_alert_once_and_refused_ones_never(database: Database) -> None:
    home = await a_home(database, granted=10_000)
    first, second = home.workspaces
    await an_alert(home, 50)
    await an_alert(home, 100, second)

    async def charge(workspace_id: str, amount: int) -> None:
        wish = ChargeWish(workspace_id, Priced("image", MilliCredits(amount)), new_id("inv"))
        with contextlib.suppress(Refused):
            await charging.charge(till, home.caller, wish)

    async with a_till(database) as till:
        await asyncio.gather(*(charge(second, 20_000) for _ in range(5)))
        assert await fired(home) == []
        await asyncio.gather(*(charge(first, 100) for _ in range(80)))

    ((where, percent, used_then, of),) = await fired(home)
    assert (where, percent, of) == (None, 50, 10)
    assert used_then >= 5
