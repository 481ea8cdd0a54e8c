"""Finding workspaces again by what others know them by: the agency's own id, the domain, the name of one without."""

from collections.abc import Iterable
from typing import Final

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces import store
from colonnade.tenancy.workspaces.model import Workspace
from colonnade.tenancy.workspaces.naming import folded

# Three branches, so that each walks along its own index.
MATCHING: Final = f"""
select {store.COLUMNS} from workspace where {store.WITHIN} and external_id = any ($3::text[])
union
select {store.COLUMNS} from workspace
where {store.WITHIN} and primary_domain = any ($4::text[]) and archived_at is null
union
select {store.COLUMNS} from workspace
where {store.WITHIN} and sort_name = any ($5::text[]) and name = any ($6::text[])
  and primary_domain is null and archived_at is null
"""


async def matching(
    tx: Tx, caller: Caller, *, external_ids: Iterable[str], domains: Iterable[str], names: Iterable[str]
) -> list[Workspace]:
    """Those that have one of these external ids, and active ones with one of the domains, or, without a domain, names.

    Domains are given as they are kept (`normalized_domain`), names to the letter.
    """
    caller.require("workspaces:read")
    wanted = list(names)
    rows = await tx.fetch(
        MATCHING,
        *store.reach_of(tx),
        *(list(external_ids), list(domains), [folded(name) for name in wanted], wanted),
    )
    return [store.workspace_of(row) for row in rows]
