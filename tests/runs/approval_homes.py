"""Runs that ask, without a worker: approvals are raised as the run itself and decided as somebody else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from colonnade import credits
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.runs import approvals, invocations
from colonnade.runs.approvals import Approval, ApprovalFilter, Question, Ruling
from colonnade.runs.invocations import Run, StartRequest
from colonnade.runs.invocations.model import run_caller
from colonnade.tenancy import agencies
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_workspace, an_agency

PREVIEW: dict[str, Any] = {
    "postId": "post_00000000000000000000000000",
    "title": "Capacity, plainly",
    "slug": "capacity-plainly",
    "outline": ["Why", "How"],
    "body": "# Capacity\n\nText.",
    "metaDescription": "What capacity is.",
    "model": "scripted",
    "keyword": None,
    "topic": "capacity",
    "revision": 1,
}


@dataclass
class Desk:
    """One workspace whose runs ask, and the people who answer."""

    database: Database
    workers: Database
    home: Home
    workspace: Workspace

    @property
    def starter(self) -> Caller:
        """The key that starts the runs."""
        return self.home.caller

    @property
    def other(self) -> Caller:
        """Another key that reaches all."""
        return replace(self.home.caller, actor_id=new_id("key"))

    async def a_run(self, workspace: Workspace | None = None) -> Run:
        request = StartRequest((workspace or self.workspace).id, "draft_post", {"topic": "capacity"})
        async with self.database.transaction(self.home.reach) as tx:
            return await invocations.invoke(tx, self.starter, request)

    async def ask(self, run: Run | None = None, **fields: Any) -> Approval:
        """Raise it as the run does; with `seconds` it waits so long."""
        run = run or await self.a_run()
        seconds = fields.pop("seconds", 3600)
        async with self.workers.transaction(run.reach) as tx:
            question = Question(
                skill=run.skill,
                gate="publish",
                step=fields.pop("step", "approval"),
                preview=fields.pop("preview", PREVIEW),
                reason="It will be public.",
                started_by=run.started_by,
                timeout_at=await tx.now() + timedelta(seconds=seconds),
            )
            return await approvals.raise_(tx, run_caller(run), run_id=run.id, question=replace(question, **fields))

    async def decide(self, approval: Approval, ruling: Ruling, caller: Caller | None = None) -> Approval:
        caller = caller or self.starter
        async with self.database.transaction(caller.reach) as tx:
            return await approvals.decide(tx, caller, approval.id, ruling)

    async def approve(self, approval: Approval, edits: Mapping[str, Any] | None = None) -> Approval:
        return await self.decide(approval, Ruling(approve=True, edits=edits))

    async def reject(self, approval: Approval, reason: str | None = None) -> Approval:
        return await self.decide(approval, Ruling(approve=False, reason=reason))

    async def expire(self, approval: Approval) -> Approval | None:
        async with self.workers.transaction(self.home.reach) as tx:
            return await approvals.expire(tx, self.starter, approval.id)

    async def cancel(self, run_id: str) -> int:
        async with self.workers.transaction(self.home.reach) as tx:
            return len(await approvals.cancel_pending(tx, self.starter, run_id))

    async def get(self, approval: Approval) -> Approval:
        async with self.database.transaction(self.home.reach, read_only=True) as tx:
            return await approvals.get(tx, self.starter, approval.id)

    async def listed(self, caller: Caller | None = None, **where: Any) -> list[str]:
        caller = caller or self.starter
        async with self.database.transaction(caller.reach, read_only=True) as tx:
            found, _, _ = await approvals.page(tx, caller, ApprovalFilter(**where), limit=100, after_id=None)
        return [approval.id for approval in found]

    async def rule(self, **rule: Any) -> None:
        """The agency's rule for the gate `publish`."""
        async with self.database.transaction(self.home.reach) as tx:
            await agencies.update_settings(tx, self.home.caller, patch={"approvalRules": {"publish": rule}})

    async def events(self, approval: Approval) -> list[str]:
        sql = "select event from audit_entry where agency_id = $1 and resource_id = $2 order by id"
        async with self.database.transaction(self.home.reach) as tx:
            return [row["event"] for row in await tx.fetch(sql, tx.agency_id, approval.id)]


async def a_desk(database: Database, worker_database: Database) -> Desk:
    """A fresh agency with credits and a workspace."""
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    async with database.transaction(home.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(1_000_000))
    return Desk(database, worker_database, home, workspace)
