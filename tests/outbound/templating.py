"""What the tests of templates share: an agency with templates and brands, each verb in a transaction of its own."""

from dataclasses import dataclass
from typing import Any

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database
from colonnade.outbound import templates
from colonnade.outbound.templates import Deployed, Drift, Order, Slice, Template
from colonnade.outbound.templates.jobs import deploy_due, follow
from colonnade.runs import bulk
from colonnade.tenancy import agencies, workspaces
from colonnade.tenancy.audit.jobs import announce
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_workspace, an_agency

CONTENTS: dict[str, Any] = {
    "settings": {"primaryLanguage": "en", "approvalPolicy": {"publish": "auto"}},
    "brand": {"voice": "Calm.", "pillars": ["Speed"]},
    "whiteLabel": {"footer": "By us."},
    "tags": ["tier:standard"],
    "posts": [{"key": "welcome", "title": "Welcome", "body": "Who we are."}],
}


@dataclass
class Shop:
    """An agency and what tests do with its templates."""

    database: Database
    worker: Database
    home: Home

    async def create(self, contents: dict[str, Any] | None = None, name: str = "Standard") -> Template:
        async with self.database.transaction(self.home.reach) as tx:
            fields = {"name": name, "contents": CONTENTS if contents is None else contents}
            return await templates.create(tx, self.home.caller, fields=fields)

    async def change(self, template: Template, patch: dict[str, Any]) -> Template:
        async with self.database.transaction(self.home.reach) as tx:
            return await templates.update(tx, self.home.caller, template.id, patch={"contents": patch})

    async def brand(self, **fields: Any) -> Workspace:
        return await a_workspace(self.database, self.home, **fields)

    async def deploy(
        self, template: Template, workspace: Workspace, caller: Caller | None = None, **order: Any
    ) -> dict[str, list[str]]:
        done = await self.deployed(template, workspace, caller, **order)
        return done.names

    async def deployed(
        self, template: Template, workspace: Workspace, caller: Caller | None = None, **order: Any
    ) -> Deployed:
        caller = caller or self.home.caller
        async with self.database.transaction(caller.reach) as tx:
            return await templates.deploy(tx, caller, workspace.id, Order(template.id, **order))

    async def rehearse(self, template: Template, workspace: Workspace, **order: Any) -> Deployed:
        async with self.database.transaction(self.home.reach) as tx:
            return await templates.rehearse(tx, self.home.caller, workspace.id, Order(template.id, **order))

    async def set(self, workspace: Workspace, **patch: Any) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await workspaces.update(tx, self.home.caller, workspace.id, patch=patch)

    async def set_agency(self, **settings: Any) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await agencies.update_settings(tx, self.home.caller, patch=settings)

    async def archive(self, workspace: Workspace) -> None:
        async with self.database.transaction(self.home.reach) as tx:
            await workspaces.archive(tx, self.home.caller, workspace.id)

    async def look(self, workspace: Workspace) -> Workspace:
        async with self.database.transaction(self.home.reach) as tx:
            return await workspaces.get(tx, self.home.caller, workspace.id)

    async def drift(self, template: Template, **cut: Any) -> dict[str, Drift]:
        async with self.database.transaction(self.home.reach, read_only=True) as tx:
            found, _, _ = await templates.drift_of(tx, self.home.caller, template.id, Slice(**cut))
        return {one.workspace_id: one for one in found}

    async def applied(self, workspace: Workspace) -> list[dict[str, Any]]:
        async with self.database.transaction(self.home.reach) as tx:
            return (await templates.applied_block(tx, [workspace.id]))[workspace.id]

    async def posts(self, workspace: Workspace) -> dict[str, str]:
        sql = "select id, title from post where agency_id = $1 and workspace_id = $2 and deleted_at is null"
        async with self.database.transaction(self.home.reach) as tx:
            return {row["title"]: row["id"] for row in await tx.fetch(sql, tx.agency_id, workspace.id)}

    async def count(self, sql: str, *arguments: Any) -> int:
        async with self.database.transaction(self.home.reach) as tx:
            return int(await tx.fetchval(sql, tx.agency_id, *arguments))

    async def later(self) -> None:
        """What a background process does: react to what happened, deploy what waits."""
        while await announce(self.worker, "worker of the tests", {"templates.updated": [follow]}):
            continue
        while await deploy_due(self.worker):
            continue


async def a_shop(database: Database, worker: Database) -> Shop:
    """A fresh agency."""
    bulk.offer(templates.NAME, templates.ACTION)
    return Shop(database, worker, await an_agency(database))
