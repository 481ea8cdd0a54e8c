"""A grown installation: one agency of many workspaces, and many agencies beside it, filled in by sets (`crowd.sql`)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from bench.load import Tick
from colonnade.ground.db.address import Address
from colonnade.installation import OWNER

_SQL: Final = Path(__file__).with_suffix(".sql")
BASE: Final = 20_000
"""Numbers that one agency may use for what is in it."""
_IDS: Final = "select id from workspace where agency_id = $1 and archived_at is null order by md5(id)"
_FOUND: Final = "select pg_temp.an_id('agency', $1::bigint) as id"

OTHER_WORKSPACES: Final = 5


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many workspaces are in the measured agency, and how many agencies stand beside it."""

    workspaces: int
    agencies: int


async def fill(address: Address, agency_id: str, crowd: Crowd, tick: Tick) -> list[str]:
    """Fill it, and tell the planner; the ids of the measured agency's active workspaces, in no order."""
    owner = await asyncpg.connect(**address.arguments(OWNER))
    try:
        await owner.execute(_SQL.read_text("utf-8"))
        async with owner.transaction():
            await owner.execute("select pg_temp.fill($1, $2, $3)", agency_id, BASE, crowd.workspaces)
            rows = await owner.fetch(_IDS, agency_id)
        tick("filling")
        for number in range(2, crowd.agencies + 2):
            await _beside(owner, number)
            tick("filling")
        await owner.execute("vacuum analyze")
    finally:
        await owner.close()
    return [row["id"] for row in rows]


async def _beside(owner: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
    async with owner.transaction():
        found = await owner.fetchval(_FOUND, number)
        await owner.execute("select pg_temp.found($1, $2)", found, number)
        await owner.execute("select pg_temp.fill($1, $2, $3)", found, number * BASE, OTHER_WORKSPACES)
