"""How events that others tell of are known again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from colonnade.credits.store import columns
from colonnade.ground.db.database import Tx

# In the order of their keys, so that two batches with the same ids never wait for each other in a circle.
CLAIM: Final = """
insert into usage_event_id (agency_id, workspace_id, source, id, at)
select $1, e.workspace_id, e.source, e.id, $2
from unnest($3::text[], $4::text[], $5::text[]) as e (workspace_id, source, id)
order by e.workspace_id, e.source, e.id
on conflict do nothing
returning workspace_id, source, id
"""


async def claim(tx: Tx, identities: Sequence[tuple[str, str, str]], at: datetime) -> set[tuple[str, str, str]]:
    """Take the identities (workspace, source, id) for this transaction; those that were not taken before.

    Waits for others who are about to take the same ones, and takes what they let go.
    """
    if not identities:
        return set()
    rows = await tx.fetch(CLAIM, tx.agency_id, at, *columns(identities))
    return {(row[0], row[1], row[2]) for row in rows}
