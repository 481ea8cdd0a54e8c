"""What was used, summed in every way, and the usage block of workspaces."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from colonnade import credits
from colonnade.credits import GroupBy, UsageQuery, UsageReport
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadFields, NotFound
from colonnade.ground.db.database import Database
from tests.credits.homes import Home, a_home, used, work

AGES_AGO, FAR_OFF = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
_A_BIT_LATER = FAR_OFF + timedelta(minutes=7)


async def _usage(home: Home, *group_by: GroupBy, caller: Caller | None = None, **fields: str | datetime) -> UsageReport:
    asker = caller or home.caller
    span = {"since": AGES_AGO, "until": FAR_OFF, **fields}
    async with home.database.transaction(asker.reach, read_only=True) as tx:
        return await credits.usage(tx, asker, UsageQuery(group_by=group_by, **span))  # type: ignore[arg-type]


async def _a_used_home(database: Database, **settings: Any) -> Home:
    home = await a_home(database, granted=100_000, **settings)
    first, second = home.workspaces
    await work(home, first, used(2_000, model="small"), used(3_000, model="large"), used(500, "publish"))
    await work(home, second, used(1_000, model="small"), used(0, "webhook_delivery"))
    return home


@pytest.mark.parametrize("until", [FAR_OFF, _A_BIT_LATER], ids=["from the roll-up", "from the events"])
async def test_usage_is_summed_by_what_was_asked(database: Database, until: datetime) -> None:
    home = await _a_used_home(database)
    first, second = home.workspaces

    by_place = await _usage(home, GroupBy.WORKSPACE, GroupBy.FEATURE, until=until)
    by_model = await _usage(home, GroupBy.MODEL, until=until)

    assert [tuple(row) for row in by_place.rows] == [
        (first, "generation", 5_000, 2),
        (first, "publish", 500, 1),
        (second, "generation", 1_000, 1),
        (second, "webhook_delivery", 0, 1),
    ]
    assert {row[0]: row[1] for row in by_model.rows} == {"large": 3_000, "small": 3_000, "": 500}
    assert (by_place.credits, by_place.events) == (by_model.credits, by_model.events) == (6_500, 5)


async def test_every_way_of_grouping_has_the_same_totals(database: Database) -> None:
    home = await _a_used_home(database, timezone="America/New_York")

    for group in GroupBy:
        report = await _usage(home, group)
        assert (report.credits, report.events) == (6_500, 5)
    (by_key,) = (await _usage(home, GroupBy.KEY)).rows
    assert by_key[0] == home.caller.actor_id
    assert [tuple(row) for row in (await _usage(home)).rows] == [(6_500, 5)]


async def test_usage_narrows_to_a_workspace_a_feature_and_a_span(database: Database) -> None:
    home = await _a_used_home(database)

    assert (await _usage(home, workspace_id=home.workspaces[1])).credits == 1_000
    assert (await _usage(home, feature="publish")).credits == 500
    assert (await _usage(home, until=datetime(2021, 1, 1, tzinfo=UTC))).credits == 0
    assert (await _usage(home, GroupBy.DAY, until=datetime(2021, 1, 1, tzinfo=UTC))).rows == []


async def test_a_workspace_key_is_told_of_its_own_usage_alone(database: Database) -> None:
    home = await _a_used_home(database)
    first, second = home.workspaces

    report = await _usage(home, GroupBy.WORKSPACE, caller=home.key_of(second))

    assert [tuple(row) for row in report.rows] == [(second, 1_000, 2)]
    with pytest.raises(BadFields):
        await _usage(home, caller=home.key_of(second), workspace_id=first)


async def test_a_span_that_ends_before_it_begins_and_more_rows_than_fit_are_refused(database: Database) -> None:
    home = await _a_used_home(database)

    with pytest.raises(BadFields):
        await _usage(home, until=AGES_AGO)
    with pytest.raises(BadFields):
        async with database.transaction(home.caller.reach) as tx:
            await credits.usage(tx, home.caller, UsageQuery(AGES_AGO, FAR_OFF, (GroupBy.FEATURE,)), most=2)


async def test_a_workspace_s_block_tells_used_and_remaining_by_the_agency_s_month(database: Database) -> None:
    home = await _a_used_home(database, timezone="Pacific/Auckland")
    first, _ = home.workspaces
    key = home.key_of(first)

    async with database.transaction(key.reach) as tx:
        block = await credits.usage_of_workspace(tx, key, first)

    assert (block.used, block.remaining) == (5_500, 93_500)
    assert block.by_feature == {"generation": 5_000, "publish": 500}
    ends = block.cycle_ends_at.astimezone(ZoneInfo("Pacific/Auckland"))
    assert (ends.day, ends.hour, ends.minute) == (1, 0, 0)


async def test_the_blocks_of_a_page_leave_out_what_is_out_of_reach(database: Database) -> None:
    home = await _a_used_home(database)
    first, second = home.workspaces
    own = home.key_of(second)

    async with database.transaction(home.caller.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(7), workspace_id=first)
        assert set(await credits.usage_blocks(tx, [first, second, "ws_nowhere"])) == {first, second}
    async with database.transaction(own.reach) as tx:
        assert set(await credits.usage_blocks(tx, [first, second])) == {second}
        with pytest.raises(NotFound):
            await credits.usage_of_workspace(tx, own, first)
