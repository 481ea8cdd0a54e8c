"""The installation that is measured: an embedded PostgreSQL as shipped, one agency, some workspaces, one key."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from colonnade.cli.founding import DEMO_BRANDS, make_agency
from colonnade.cli.runtime import bring_up_to_date, opened
from colonnade.ground.core.amounts import ZERO
from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.settings import Settings
from colonnade.tenancy import agencies, keys, workspaces

WORKSPACES: Final = 60
_ON_BUT_NEVER_REACHED: Final = keys.RateLimit(1_000_000, 60)


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it is, and with what it is called."""

    folder: Path
    address: Address
    agency_id: str
    key: str
    workspace_ids: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What a process of it must be told."""
        return {"COLONNADE_DATA_DIR": str(self.folder), "COLONNADE_LOG_LEVEL": "warning"}


@contextlib.contextmanager
def installed(folder: Path, *, many: int = WORKSPACES) -> Iterator[Installation]:
    """A fresh installation in this folder, until the block ends."""
    cluster = embedded.start(folder)
    try:
        settings = Settings(data_dir=folder)
        asyncio.run(bring_up_to_date(settings))
        agency_id, key, ids = asyncio.run(_furnish(settings, many))
        yield Installation(folder, cluster.address, agency_id, key, ids)
    finally:
        cluster.stop()


async def _furnish(settings: Settings, many: int) -> tuple[str, str, tuple[str, ...]]:
    async with opened(settings) as database:
        made = await make_agency(database, name="Bench Agency", owner_email="owner@bench.example", milli=ZERO)
        operator = agencies.entering(made.agency_id)
        async with database.transaction(operator.reach) as tx:
            draft = keys.Draft("the key of the bench", preset="master", rate_limit=_ON_BUT_NEVER_REACHED)
            minted = await keys.mint(tx, operator, draft)
            found = [
                await workspaces.create(tx, operator, fields={**brand, "allowDuplicateDomain": True})
                for brand in islice(cycle(DEMO_BRANDS), many)
            ]
    return made.agency_id, minted.secret.reveal(), tuple(workspace.id for workspace in found)
