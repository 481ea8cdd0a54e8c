"""How usage is read for the usage block of workspaces; events and days are written with the charges themselves."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Tx

BY_FEATURE: Final = """
select workspace_id, feature, sum(credits)::bigint as credits from usage_daily
where agency_id = $1 and workspace_id = any ($2::text[]) and day >= $3 and day < $4
group by workspace_id, feature
"""


async def by_feature(
    tx: Tx, workspace_ids: Sequence[str], days: tuple[date, date]
) -> dict[str, dict[str, MilliCredits]]:
    """What each of the workspaces has used in these days, feature by feature; one query."""
    found: dict[str, dict[str, MilliCredits]] = {name: {} for name in workspace_ids}
    for row in await tx.fetch(BY_FEATURE, tx.agency_id, list(workspace_ids), *days):
        found[row["workspace_id"]][row["feature"]] = MilliCredits(row["credits"])
    return found
