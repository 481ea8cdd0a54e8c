"""Approvals: asked once, decided once, and only the approved version can ever be acted on."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.db.database import Database, Tx
from colonnade.runs import approvals
from colonnade.runs.approvals import Approval, Ruling
from colonnade.tenancy import workspaces
from tests.factories import a_workspace, workspace_caller
from tests.runs.approval_homes import PREVIEW, Desk, a_desk
from tests.runs.run_fixtures import until

Attempt = Callable[[Tx], Awaitable[Any]]


@pytest_asyncio.fixture
async def desk(database: Database, worker_database: Database) -> Desk:
    return await a_desk(database, worker_database)


async def refused(desk: Desk, approval: Approval, ruling: Ruling | None = None) -> Refused:
    with pytest.raises(Refused) as refusal:
        await desk.decide(approval, ruling or Ruling(approve=True))
    return refusal.value


async def test_a_step_asks_once_and_asking_again_changes_nothing(desk: Desk) -> None:
    run = await desk.a_run()

    first = await desk.ask(run)
    again = await desk.ask(run, preview={"title": "Something else"}, seconds=60)
    another_step = await desk.ask(run, step="second look")

    assert again == first
    assert another_step.id != first.id
    assert await desk.events(first) == ["approvals.raised"]


async def test_asking_again_after_the_decision_gets_the_decided_approval(desk: Desk) -> None:
    run = await desk.a_run()
    decided = await desk.reject(await desk.ask(run))

    again = await desk.ask(run)

    assert again == decided
    assert again.status == "REJECTED"


async def test_a_yes_approves_exactly_the_preview(desk: Desk) -> None:
    approval = await desk.ask()

    approved = await desk.approve(approval)

    assert approved.status == "APPROVED"
    assert approved.approved == approval.preview == PREVIEW
    assert (approved.decided_by, approved.edits) == (desk.starter.actor_id, None)
    assert approved.decided_at is not None
    assert await desk.events(approval) == ["approvals.raised", "approvals.approved"]


async def test_edits_make_a_new_version_and_the_original_is_only_shown(desk: Desk) -> None:
    approval = await desk.ask()

    approved = await desk.approve(approval, {"title": "Capacity, in short", "outline": ["All of it"]})

    assert approved.approved == {**PREVIEW, "title": "Capacity, in short", "outline": ["All of it"]}
    assert approved.preview == PREVIEW
    assert approved.edits == {"title": "Capacity, in short", "outline": ["All of it"]}


@pytest.mark.parametrize(
    "edits", [{"postId": "post_x"}, {"title": None}, {"title": 7, "colour": "red"}, {"outline": "x"}]
)
async def test_edits_that_the_skill_cannot_take_are_refused_and_leave_the_approval_open(
    desk: Desk, edits: dict[str, Any]
) -> None:
    approval = await desk.ask()

    with pytest.raises(BadFields) as refusal:
        await desk.approve(approval, edits)

    assert {error.pointer for error in refusal.value.errors} == {f"/edits/{name}" for name in edits}
    assert (await desk.get(approval)).status == "PENDING"
    assert (await desk.approve(approval)).status == "APPROVED"


async def end_by(desk: Desk, approval: Approval, how: str) -> None:
    if how == "reject":
        await desk.reject(approval, "Not like this.")
    elif how == "expire":
        await desk.expire(approval)
    elif how == "cancel":
        assert await desk.cancel(approval.run_id) == 1
    else:
        await desk.approve(approval, {"title": "Modified"})


@pytest.mark.parametrize(
    ("how", "status"),
    [("reject", "REJECTED"), ("expire", "EXPIRED"), ("cancel", "CANCELLED"), ("modify", "APPROVED")],
)
async def test_after_every_end_the_original_version_can_never_be_acted_on(desk: Desk, how: str, status: str) -> None:
    approval = await desk.ask()

    await end_by(desk, approval, how)
    late = await refused(desk, approval)
    ended = await desk.get(approval)

    assert late.reason == "approvals.decided"
    assert late.details["status"] == ended.status == status
    assert ended.approved == ({**PREVIEW, "title": "Modified"} if how == "modify" else None)
    assert await desk.expire(approval) is None
    assert await desk.cancel(approval.run_id) == 0
    assert await desk.get(approval) == ended


async def test_the_database_itself_keeps_an_approved_version_to_a_yes(desk: Desk, worker_database: Database) -> None:
    approval = await desk.ask()
    await desk.reject(approval)

    with pytest.raises(asyncpg.CheckViolationError):
        async with worker_database.transaction(desk.home.reach) as tx:
            await tx.execute(
                "update approval set approved = preview where agency_id = $1 and id = $2", tx.agency_id, approval.id
            )


async def test_of_many_decisions_at_once_exactly_one_stands(desk: Desk) -> None:
    approval = await desk.ask()

    outcomes = await asyncio.gather(
        *(desk.decide(approval, Ruling(approve=number % 2 == 0)) for number in range(8)),
        desk.expire(approval),
        return_exceptions=True,
    )

    stood = [one for one in outcomes if isinstance(one, Approval)]
    others = [one for one in outcomes if not isinstance(one, Approval) and one is not None]
    assert len(stood) == 1
    assert all(isinstance(one, Refused) and one.reason == "approvals.decided" for one in others)
    assert await desk.get(approval) == stood[0]
    assert len(await desk.events(approval)) == 2


async def test_a_second_decision_is_told_who_decided_what_and_when(desk: Desk) -> None:
    approval = await desk.ask()
    decided = await desk.reject(approval, "Not now.")

    refusal = await refused(desk, approval)

    assert refusal.details["status"] == "REJECTED"
    assert refusal.details["decidedBy"] == decided.decided_by
    assert refusal.details["decidedAt"]


async def test_nobody_in_time_is_a_decision_with_its_own_record(desk: Desk) -> None:
    approval = await desk.ask(seconds=60)

    expired = await desk.expire(approval)

    assert expired is not None
    assert (expired.status, expired.decided_by, expired.approved) == ("EXPIRED", None, None)
    assert expired.delivered_at is None
    assert await desk.events(approval) == ["approvals.raised", "approvals.expired"]


async def test_what_is_due_and_what_is_to_be_told_is_found_over_all_agencies(
    desk: Desk, worker_database: Database
) -> None:
    due, later, decided = await desk.ask(seconds=-1), await desk.ask(), await desk.ask()
    cancelled = await desk.ask()
    await desk.approve(decided)
    await desk.cancel(cancelled.run_id)

    async def found(function: str) -> set[str]:
        rows = await worker_database.lookup(f"select approval_id from {function}(10000)")
        return {row["approval_id"] for row in rows} & {due.id, later.id, decided.id, cancelled.id}

    assert await found("approvals_to_expire") == {due.id}
    assert await found("decisions_to_deliver") == {decided.id}


async def test_a_decision_is_told_once_however_often_it_is_delivered(desk: Desk, worker_database: Database) -> None:
    approval = await desk.ask()

    async def deliver() -> bool:
        async with worker_database.transaction(desk.home.reach) as tx:
            return await approvals.mark_delivered(tx, approval.id)

    assert await deliver() is False  # undecided
    await desk.approve(approval)
    told = await asyncio.gather(*(deliver() for _ in range(5)))

    assert sorted(told) == [False] * 4 + [True]


async def test_a_decision_rings_for_the_workers_when_it_commits(desk: Desk) -> None:
    approval = await desk.ask()
    heard: list[str] = []
    connection = await desk.workers.connect()
    await connection.add_listener("colonnade_runs", lambda *told: heard.append(str(told[2])))

    await desk.reject(approval)

    async def rang() -> bool:
        return bool(heard)

    await until(rang)
    await connection.close()


async def test_the_starter_may_decide_unless_the_gates_rule_wants_other_hands(desk: Desk) -> None:
    allowed, strict, freed = await desk.ask(), await desk.ask(), await desk.ask()
    assert (await desk.decide(allowed, Ruling(approve=True), desk.starter)).status == "APPROVED"

    await desk.rule(selfApproval=False)
    for ruling in (Ruling(approve=True), Ruling(approve=False)):
        refusal = await refused(desk, strict, ruling)
        assert refusal.reason == "approvals.own_run"
        assert refusal.details == {"gate": "publish"}
    assert (await desk.get(strict)).status == "PENDING"
    assert (await desk.decide(strict, Ruling(approve=True), desk.other)).status == "APPROVED"

    await desk.rule(selfApproval=True)
    assert (await desk.approve(freed)).status == "APPROVED"


async def test_a_rule_for_another_gate_says_nothing_here(desk: Desk) -> None:
    await desk.rule(selfApproval=False)
    elsewhere = await desk.ask(gate="outreach_send")

    assert (await desk.approve(elsewhere)).status == "APPROVED"


async def test_the_rule_names_whom_an_approval_is_routed_to(desk: Desk) -> None:
    unrouted = await desk.ask()
    await desk.rule(routedTo="editors@acme.example")

    routed = await desk.ask()

    assert unrouted.routed_to == []
    assert routed.routed_to == ["editors@acme.example"]
    assert await desk.listed(routed_to="editors@acme.example") == [routed.id]


async def test_the_inbox_shows_what_waits_and_takes_filters(desk: Desk, database: Database) -> None:
    tagged = await a_workspace(database, desk.home, name="Beta", tags=["tier:premium"])
    first, second = await desk.ask(), await desk.ask()
    third = await desk.ask(await desk.a_run(tagged))
    rejected = await desk.ask()
    await desk.reject(rejected)
    between = second.raised_at - timedelta(microseconds=1)

    assert await desk.listed() == [third.id, second.id, first.id]
    assert await desk.listed(statuses=("REJECTED",)) == [rejected.id]
    assert await desk.listed(statuses=()) == [rejected.id, third.id, second.id, first.id]
    assert await desk.listed(tag="tier:premium") == [third.id]
    assert await desk.listed(skill="rank_monitor") == []
    assert await desk.listed(raised_after=between) == [third.id, second.id]
    assert await desk.listed(raised_before=between) == [first.id]


async def test_a_key_of_another_workspace_finds_decides_and_says_nothing(desk: Desk, database: Database) -> None:
    approval = await desk.ask()
    stranger = workspace_caller(desk.home, await a_workspace(database, desk.home, name="Beta"))

    assert await desk.listed(stranger) == []
    attempts: list[Attempt] = [
        lambda tx: approvals.get(tx, stranger, approval.id),
        lambda tx: approvals.decide(tx, stranger, approval.id, Ruling(approve=True)),
        lambda tx: approvals.comment(tx, stranger, approval.id, "Hm."),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            async with database.transaction(stranger.reach) as tx:
                await attempt(tx)
    async with database.transaction(stranger.reach) as tx:
        assert await approvals.comments(tx, stranger, approval.id) == []
    assert (await desk.get(approval)).status == "PENDING"


async def test_an_archived_workspace_takes_no_decisions(desk: Desk, database: Database) -> None:
    approval = await desk.ask()
    async with database.transaction(desk.home.reach) as tx:
        await workspaces.archive(tx, desk.starter, desk.workspace.id)

    assert (await refused(desk, approval)).reason == "workspace.archived"


async def test_remarks_decide_nothing_and_are_kept_in_order(desk: Desk, database: Database) -> None:
    approval = await desk.ask()
    async with database.transaction(desk.home.reach) as tx:
        for text in ("Is the number right?", "It is."):
            await approvals.comment(tx, desk.starter, approval.id, text)
        said = await approvals.comments(tx, desk.starter, approval.id)

    assert [one.text for one in said] == ["Is the number right?", "It is."]
    assert said[0].author == desk.starter.actor_id
    assert await desk.get(approval) == approval
    assert await desk.events(approval) == ["approvals.raised", *["approvals.commented"] * 2]


async def test_every_verb_asks_for_its_scope(desk: Desk, database: Database) -> None:
    approval = await desk.ask()
    reader = workspace_caller(desk.home, desk.workspace, scopes=frozenset({"approvals:read"}))
    decider = workspace_caller(desk.home, desk.workspace, scopes=frozenset({"approvals:decide"}))

    attempts: list[Attempt] = [
        lambda tx: approvals.decide(tx, reader, approval.id, Ruling(approve=True)),
        lambda tx: approvals.comment(tx, reader, approval.id, "Hm."),
        lambda tx: approvals.pending_of(tx, reader, approval.run_id),
        lambda tx: approvals.get(tx, decider, approval.id),
        lambda tx: approvals.comments(tx, decider, approval.id),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as refusal:
            async with database.transaction(reader.reach) as tx:
                await attempt(tx)
        assert refusal.value.reason == "keys.scope_missing"
