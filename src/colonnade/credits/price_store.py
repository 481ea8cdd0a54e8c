"""How an agency's own prices are kept: a row for each change, never changed itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from colonnade.credits.model import PriceList
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Tx

OWN: Final = """
select distinct on (feature) feature, version, credits from price
where agency_id = $1
order by feature, version desc
"""


async def in_force(tx: Tx) -> PriceList:
    """The list that holds now: a feature whose last row has no amount costs what the house asks."""
    rows = await tx.fetch(OWN, tx.agency_id)
    own = {row["feature"]: MilliCredits(row["credits"]) for row in rows if row["credits"] is not None}
    return PriceList(max((row["version"] for row in rows), default=0), own)


ADD: Final = """
insert into price (agency_id, id, feature, version, credits, created_by, created_at)
select $1, p.id, p.feature, $2, p.credits, $3, $4
from unnest($5::text[], $6::text[], $7::bigint[]) as p (id, feature, credits)
"""


async def add(
    tx: Tx, version: int, changed: Mapping[str, MilliCredits | None], *, created_by: str, at: datetime
) -> None:
    """Write a version: the features that it changes, each with its price, or with none of the agency's own."""
    names = [new_id("price") for _ in changed]
    await tx.execute(ADD, tx.agency_id, version, created_by, at, names, list(changed), list(changed.values()))
