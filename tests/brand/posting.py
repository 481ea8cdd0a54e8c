"""What the tests of posts share: a plain text, and verbs run in transactions of their own."""

from datetime import UTC, datetime
from typing import Any

import pytest

from colonnade.brand import content
from colonnade.brand.content import Draft, Post
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database
from tests.factories import Home

PLAIN = Draft(title="Hello world", body="# Hello world\n\nText.", outline=["Why", "How"], meta_description="A greeting")
AT = datetime(2026, 2, 1, tzinfo=UTC)


async def a_post(database: Database, home: Home, workspace_id: str, draft: Draft = PLAIN, **more: Any) -> Post:
    async with database.transaction(home.reach) as tx:
        return await content.draft(tx, home.caller, workspace_id=workspace_id, draft=draft, **more)


async def audited(database: Database, home: Home, post_id: str) -> list[str]:
    sql = "select event from audit_entry where agency_id = $1 and resource_id = $2 order by id"
    async with database.transaction(home.reach) as tx:
        return [row["event"] for row in await tx.fetch(sql, tx.agency_id, post_id)]


async def refused(database: Database, home: Home, verb: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refused) as refusal:
        async with database.transaction(home.reach) as tx:
            await verb(tx, home.caller, *arguments, **named)
    return refusal.value.reason


async def done(database: Database, home: Home, verb: Any, *arguments: Any, **named: Any) -> Any:
    async with database.transaction(home.reach) as tx:
        return await verb(tx, home.caller, *arguments, **named)
