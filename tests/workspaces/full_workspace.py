"""A workspace with something in every table that goes with it, for the tests that erase it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade import credits, integrations
from colonnade.brand import content
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Database
from colonnade.runs import invocations
from colonnade.runs.invocations import RunState, StartRequest, moves, waiting
from colonnade.runs.invocations.admission import cancel_requested
from colonnade.runs.invocations.waiting import Question
from colonnade.tenancy import keys, workspaces
from colonnade.tenancy.workspaces import Workspace
from colonnade.tenancy.workspaces.jobs import purge_due
from colonnade.worker import purge_steps
from tests.factories import Home, a_workspace, an_agency, workspace_caller
from tests.runs.run_fixtures import MASTERS

INSIDE = (
    *("post", "post_revision", "run", "run_step", "run_event", "approval", "api_key", "api_key_secret"),
    *("provider_key", "workspace_activity", "workspace_gram"),
)
"""Tables of which the full workspace has rows."""


@dataclass
class Full:
    """An agency, its full workspace, one beside it, and what tests do with them."""

    database: Database
    worker: Database
    home: Home
    workspace: Workspace
    beside: Workspace
    folder: Path
    run_id: str = ""
    key: str = ""

    async def archive(self) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await workspaces.archive(tx, self.home.caller, self.workspace.id)

    async def purge(self, confirm: str | None = None) -> Workspace:
        async with self.database.transaction(self.home.reach) as tx:
            return await workspaces.purge(
                tx,
                self.home.caller,
                self.workspace.id,
                confirm=self.workspace.name if confirm is None else confirm or None,
                at_work=invocations.at_work,
            )

    async def work(self, at_once: int = 2000) -> None:
        """What a background process does until the purge has ended."""
        for _ in range(5):
            await cancel_requested(self.worker)
            await purge_due(self.worker, purge_steps(self.folder), at_once=at_once)

    async def count(self, table: str, workspace_id: str | None = None) -> int:
        sql = f"select count(*) from {table} where agency_id = $1 and workspace_id = $2"
        async with self.database.transaction(self.home.reach) as tx:
            return int(await tx.fetchval(sql, tx.agency_id, workspace_id or self.workspace.id))

    async def row(self) -> dict[str, Any]:
        async with self.worker.transaction(self.home.reach) as tx:
            sql = "select * from workspace where agency_id = $1 and id = $2"
            return dict(await tx.fetchone(sql, tx.agency_id, self.workspace.id))


async def _waiting_run(full: Full) -> str:
    caller = workspace_caller(full.home, full.workspace)
    request = StartRequest(full.workspace.id, "draft_post", {"topic": "A fair comparison"})
    async with full.database.transaction(caller.reach) as tx:
        run = await invocations.invoke(tx, caller, request)
    acting = full.home.caller.within(full.workspace.id)
    async with full.worker.transaction(acting.reach) as tx:
        running = await moves.move(tx, run, RunState.RUNNING)
        assert running is not None
        await waiting.ask(tx, acting, running, Question("publish", "approval", {"title": "T"}, "Look.", 3600))
        sql = (
            "insert into run_step (agency_id, id, workspace_id, run_id, number, name, kind, summary, started_at) values"
        )
        await tx.execute(
            f"{sql} ($1, 'step_01arz3ndektsv4rrffq69g5fav', $2, $3, 1, 'look', 'work', 'Looked', now())",
            *(tx.agency_id, full.workspace.id, run.id),
        )
    return run.id


async def _published_posts(full: Full, workspace: Workspace) -> None:
    publisher = content.FolderPublisher(full.folder)
    caller = full.home.caller
    for title in ("First", "Second"):
        async with full.database.transaction(full.home.reach) as tx:
            draft = content.Draft(title=title, body="Text.")
            post = await content.draft(tx, caller, workspace_id=workspace.id, draft=draft)
        place = content.Place(full.home.agency_id, workspace.slug, workspace.name)
        published = await publisher.publish(content.publication_of(post, place, idempotency_key=post.id))
        async with full.database.transaction(full.home.reach) as tx:
            await content.mark_published(tx, caller, post.id, url=published.url, at=await tx.now())


async def a_full_workspace(database: Database, worker: Database, folder: Path, *, is_waiting: bool = True) -> Full:
    """The workspace, with 300 credits in its own pool, two published posts, keys, and a run that waits."""
    home = await an_agency(database)
    settings = {"creditPool": "workspace"}
    workspace = await a_workspace(
        database, home, name="Acme PM", externalId="crm-1", settings=settings, tags=["tier:one"]
    )
    full = Full(database, worker, home, workspace, await a_workspace(database, home, name="Beside"), folder)
    async with database.transaction(home.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(300_000), workspace_id=workspace.id)
        wanted = keys.Draft("inside", preset="workspace")
        full.key = (await keys.mint(tx, home.caller, wanted, workspace_id=workspace.id)).secret.reveal()
        await integrations.put(
            *(tx, home.caller),
            masters=MASTERS,
            workspace_id=workspace.id,
            provider="openai",
            secret=Secret("sk-" + "x" * 20),
        )
    for one in (workspace, full.beside):
        await _published_posts(full, one)
    activity = workspaces.Activity(database)
    activity.touch(home.agency_id, workspace.id)
    await activity.close()
    if is_waiting:
        full.run_id = await _waiting_run(full)
    return full
