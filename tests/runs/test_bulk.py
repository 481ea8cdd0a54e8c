"""Bulk actions: each workspace on its own, selections fixed at acceptance, and what a change keeps."""

from dataclasses import replace

import pytest
import pytest_asyncio

from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.runs.bulk import Counts
from tests.factories import a_workspace
from tests.runs.bulk_homes import COST, Fleet, a_change, a_fleet, an_invocation


@pytest_asyncio.fixture
async def fleet(database: Database) -> Fleet:
    return await a_fleet(database, brands=3)


async def test_a_workspace_without_credits_fails_alone(database: Database) -> None:
    fleet = await a_fleet(database, brands=3, granted=2 * COST)

    action = await fleet.start()
    items = await fleet.items(action)

    assert (action.counts.total, action.counts.pending, action.counts.failed) == (3, 2, 1)
    assert action.status == "RUNNING"
    failed = items[max(fleet.ids)]
    assert failed.state == "FAILED"
    assert failed.run_id is None
    assert failed.error is not None
    assert failed.error["code"] == "INSUFFICIENT_CREDITS"
    assert failed.error["reason"] == "credits.exhausted"
    assert failed.error["message"]


async def test_without_any_credits_the_action_has_failed_at_once(database: Database) -> None:
    fleet = await a_fleet(database, granted=0)

    action = await fleet.start()

    assert action.status == "FAILED"
    assert action.ended_at is not None
    assert action.counts == Counts(total=2, failed=2)


async def test_all_means_the_active_ones_of_that_moment(fleet: Fleet, database: Database) -> None:
    await fleet.archive(fleet.ids[0])

    action = await fleet.start()
    await a_workspace(database, fleet.home, name="Too late")

    assert set(await fleet.items(action)) == set(fleet.ids[1:])
    assert (await fleet.get(action)).counts.total == 2


async def test_an_archived_workspace_that_is_named_is_skipped_with_the_reason(fleet: Fleet) -> None:
    await fleet.archive(fleet.ids[0])

    action = await fleet.start(an_invocation(*fleet.ids[:2]))
    skipped = (await fleet.items(action))[fleet.ids[0]]

    assert action.counts == Counts(total=2, pending=1, skipped=1)
    assert skipped.state == "SKIPPED"
    assert skipped.error is not None
    assert skipped.error["reason"] == "workspace.archived"


async def test_a_workspace_that_is_named_twice_is_meant_once(fleet: Fleet) -> None:
    action = await fleet.start(an_invocation(fleet.ids[0], fleet.ids[0]))

    assert action.counts.total == 1


async def test_a_tag_chooses_the_active_workspaces_that_have_it(fleet: Fleet) -> None:
    await fleet.change(fleet.ids[0], tags=["tier:premium", "region:uk"])
    await fleet.change(fleet.ids[1], tags=["tier:premium"])
    await fleet.archive(fleet.ids[1])

    action = await fleet.start(an_invocation(tag="tier:premium"))

    assert set(await fleet.items(action)) == {fleet.ids[0]}
    assert action.selection == {"tag": "tier:premium"}


async def test_a_tag_that_nobody_has_is_a_slip_and_no_success(fleet: Fleet) -> None:
    with pytest.raises(BadFields) as refused:
        await fleet.start(an_invocation(tag="tier:none"))

    assert [error.pointer for error in refused.value.errors] == ["/workspaces/tag"]


async def test_runs_of_a_bulk_action_wait_in_its_own_line_and_name_it(fleet: Fleet) -> None:
    action = await fleet.start(an_invocation(approval={"required": True}))

    runs = await fleet.runs(action)

    assert {run.workspace_id for run in runs} == set(fleet.ids)
    assert {(run.queue, run.bulk_id, run.approval_required) for run in runs} == {("bulk", action.id, True)}
    assert {run.started_by for run in runs} == {fleet.home.caller.actor_id}
    assert {item.run_id for item in (await fleet.items(action)).values()} == {run.id for run in runs}


async def test_a_key_of_some_workspaces_means_and_sees_only_those(fleet: Fleet) -> None:
    mine, theirs = fleet.key_of(*fleet.ids[:2]), fleet.key_of(fleet.ids[2])
    everything = await fleet.start()

    action = await fleet.start(caller=mine)

    assert set(await fleet.items(action, mine)) == set(fleet.ids[:2])
    assert (await fleet.get(action, mine)).counts.total == 2
    for hidden, caller in ((everything, mine), (action, theirs)):
        with pytest.raises(NotFound):
            await fleet.get(hidden, caller)
    with pytest.raises(BadFields) as refusal:
        await fleet.start(an_invocation(fleet.ids[0], fleet.ids[2]), mine)
    assert [error.pointer for error in refusal.value.errors] == ["/workspaces/1"]


async def test_a_change_with_a_locked_setting_fails_alone(fleet: Fleet) -> None:
    await fleet.change(fleet.ids[0], settings={"defaultModel": "scripted"})
    await fleet.set_agency(lockedSettings=["defaultModel"])

    action = await fleet.start(a_change(settings={"defaultModel": "scripted"}, industry="Software"))
    items = await fleet.items(action)

    assert action.status == "PARTLY_FAILED"
    assert items[fleet.ids[0]].state == "SUCCEEDED"  # it has this value already, so the lock has nothing to say
    failed = items[fleet.ids[1]]
    assert failed.error is not None
    assert failed.error["reason"] == "settings.locked"
    assert (await fleet.workspace(fleet.ids[0])).industry == "Software"
    assert (await fleet.workspace(fleet.ids[1])).industry is None


async def test_a_name_that_only_one_can_have_is_the_first_ones(fleet: Fleet) -> None:
    action = await fleet.start(a_change(externalId="crm-7"))

    items = await fleet.items(action)

    assert [items[identity].state for identity in sorted(fleet.ids)] == ["SUCCEEDED", "FAILED", "FAILED"]
    assert (await fleet.workspace(min(fleet.ids))).external_id == "crm-7"


async def test_a_change_keeps_what_it_replaced(fleet: Fleet) -> None:
    await fleet.change(fleet.ids[0], brand={"voice": "Dry."}, industry="Tea")

    action = await fleet.start(a_change(fleet.ids[0], brand={"voice": "Plain."}, industry=None))

    async with fleet.database.transaction(fleet.home.reach) as tx:
        before = await tx.fetchval(
            "select before from bulk_item where agency_id = $1 and bulk_id = $2", tx.agency_id, action.id
        )
    assert before == {"brand": {"voice": "Dry."}, "industry": "Tea"}
    assert (await fleet.workspace(fleet.ids[0])).industry is None


async def test_what_only_some_workspaces_take_fails_in_the_others_alone(fleet: Fleet) -> None:
    await fleet.change(fleet.ids[0], settings={"publishing": {"kind": "folder"}})
    await fleet.change(fleet.ids[1], settings={"publishing": {"kind": "webhook", "url": "https://acme.example/in"}})

    patch = {"publishing": {"kind": "webhook"}}
    action = await fleet.start(a_change(fleet.ids[0], fleet.ids[1], settings=patch))
    items = await fleet.items(action)

    assert items[fleet.ids[1]].state == "SUCCEEDED"
    error = items[fleet.ids[0]].error
    assert error is not None
    assert error["errors"] == [{"pointer": "/settings/publishing/url", "detail": "is required to publish by webhook"}]


async def test_a_scope_that_the_key_lacks_refuses_the_whole(fleet: Fleet) -> None:
    scopes = fleet.home.caller.scopes - {"workspaces:govern"}
    plain = fleet.key_of(*fleet.ids)
    wish = a_change(settings={"approvalPolicy": {"publish": "auto"}})

    with pytest.raises(Refused) as refusal:
        await fleet.start(wish, replace(plain, scopes=scopes))

    assert refusal.value.reason == "keys.scope_missing"
    assert await fleet.count("bulk_action") == 0


async def test_a_plan_of_a_change_shows_the_conflicts_and_changes_nothing(fleet: Fleet) -> None:
    plan = await fleet.plan(a_change(externalId="crm-7"))

    assert [line.outcome.state for line in plan] == ["SUCCEEDED", "FAILED", "FAILED"]
    assert plan[1].outcome.error is not None
    assert plan[1].outcome.error["reason"] == "workspace.external_id_taken"
    assert [(await fleet.workspace(identity)).external_id for identity in fleet.ids] == [None, None, None]
    assert await fleet.count("bulk_action") == 0


async def test_a_start_and_a_cancel_are_audited_with_every_run(fleet: Fleet) -> None:
    action = await fleet.start()
    await fleet.cancel(action)
    await fleet.cancel(action)

    async with fleet.database.transaction(fleet.home.reach) as tx:
        rows = await tx.fetch(
            "select event, count(*) as n from audit_entry where agency_id = $1 group by event", tx.agency_id
        )
    counted = {row["event"]: row["n"] for row in rows}
    assert counted["bulk_actions.started"] == 1
    assert counted["bulk_actions.cancelled"] == 1
    assert counted["runs.started"] == 3
    assert counted["runs.cancel_requested"] == 3


@pytest.mark.parametrize(
    ("counts", "stopped", "status"),
    [
        ({"pending": 2}, False, "PENDING"),
        ({"pending": 2, "skipped": 1}, False, "PENDING"),
        ({"pending": 2, "running": 1}, False, "RUNNING"),
        ({"pending": 2, "succeeded": 1}, False, "RUNNING"),
        ({"waiting": 3}, False, "RUNNING"),
        ({"waiting": 1, "failed": 2}, True, "RUNNING"),
        ({"succeeded": 3}, False, "SUCCEEDED"),
        ({"succeeded": 2, "skipped": 1}, False, "SUCCEEDED"),
        ({"succeeded": 2, "cancelled": 1}, False, "SUCCEEDED"),
        ({"succeeded": 3}, True, "SUCCEEDED"),
        ({"succeeded": 2, "cancelled": 1}, True, "CANCELLED"),
        ({"cancelled": 3}, False, "CANCELLED"),
        ({"succeeded": 1, "failed": 1}, False, "PARTLY_FAILED"),
        ({"failed": 1, "cancelled": 1}, False, "FAILED"),
        ({"failed": 1, "skipped": 1}, False, "FAILED"),
        ({}, False, "SUCCEEDED"),
    ],
)
def test_the_status_follows_from_the_counts(counts: dict[str, int], stopped: bool, status: str) -> None:
    assert Counts(total=sum(counts.values()), **counts).status(stopped=stopped) == status
