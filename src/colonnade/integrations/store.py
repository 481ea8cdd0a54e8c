"""How own provider keys are kept. The servers' role may write what is sealed, but only the workers' role reads it."""

from collections.abc import Sequence
from typing import Final

from colonnade.ground.db.database import Record, Tx
from colonnade.integrations.model import ProviderKey, SealedKey, Slot

_SHOWN: Final = "id, workspace_id, provider, hint, created_by, created_at"


def _key(row: Record) -> ProviderKey:
    return ProviderKey(
        id=row["id"],
        workspace_id=row["workspace_id"],
        provider=row["provider"],
        hint=row["hint"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


# The values stand twice, for reading them from `excluded` would need the right to read what is sealed.
PUT: Final = f"""
insert into provider_key (agency_id, workspace_id, provider, id, sealed, hint, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, now())
on conflict (agency_id, workspace_id, provider) do update
set id = $4, sealed = $5, hint = $6, created_by = $7, created_at = now()
returning {_SHOWN}
"""


async def put(tx: Tx, kept: SealedKey, hint: str, created_by: str) -> ProviderKey:
    """Keep this one; the one before it for the same provider and level is gone."""
    slot = kept.slot
    row = await tx.fetchone(PUT, tx.agency_id, slot.workspace_id, slot.provider, slot.id, kept.sealed, hint, created_by)
    return _key(row)


FIND: Final = f"""
select {_SHOWN} from provider_key
where agency_id = $1 and workspace_id is not distinct from $2 and provider = $3
"""


async def find(tx: Tx, workspace_id: str | None, provider: str) -> ProviderKey | None:
    """The key of this level for the provider, if there is one."""
    row = await tx.fetchrow(FIND, tx.agency_id, workspace_id, provider)
    return None if row is None else _key(row)


# Written so that either side of the `or` reaches an index, which `is not distinct from` never does.
LIST: Final = f"""
select {_SHOWN} from provider_key
where agency_id = $1 and (workspace_id = $2 or ($2::text is null and workspace_id is null))
order by provider
"""


async def of_level(tx: Tx, workspace_id: str | None) -> list[ProviderKey]:
    """The keys of one workspace, or of the agency itself."""
    return [_key(row) for row in await tx.fetch(LIST, tx.agency_id, workspace_id)]


DELETE: Final = f"""
delete from provider_key
where agency_id = $1 and workspace_id is not distinct from $2 and provider = $3
returning {_SHOWN}
"""


async def delete(tx: Tx, workspace_id: str | None, provider: str) -> ProviderKey | None:
    """The key that was there, now gone."""
    row = await tx.fetchrow(DELETE, tx.agency_id, workspace_id, provider)
    return None if row is None else _key(row)


OF_WORKSPACES: Final = f"""
select {_SHOWN} from provider_key where agency_id = $1 and workspace_id = any($2::text[]) order by provider
"""


async def of_workspaces(tx: Tx, ids: Sequence[str]) -> list[ProviderKey]:
    """The own keys of these workspaces."""
    return [_key(row) for row in await tx.fetch(OF_WORKSPACES, tx.agency_id, list(ids))]


SEALED: Final = """
select workspace_id, provider, id, sealed from provider_key
where agency_id = $1 and workspace_id is not distinct from $2
"""


async def sealed(tx: Tx, workspace_id: str | None) -> dict[str, SealedKey]:
    """What is sealed at one level, by provider; for the workers' role alone."""
    rows = await tx.fetch(SEALED, tx.agency_id, workspace_id)
    return {
        row["provider"]: SealedKey(Slot(tx.agency_id, row["workspace_id"], row["provider"], row["id"]), row["sealed"])
        for row in rows
    }


NOTE_USE: Final = """
insert into integration_use as u (agency_id, workspace_id, integration, target, worked_at, failed_at, reason)
values ($1, $2, $3, $4, case when $5::text is null then now() end, case when $5 is not null then now() end, $5)
on conflict (agency_id, workspace_id, integration) do update
set target = excluded.target, reason = excluded.reason, updated_at = now(),
    worked_at = case when u.target is not distinct from excluded.target
                     then coalesce(excluded.worked_at, u.worked_at) else excluded.worked_at end,
    failed_at = case when u.target is not distinct from excluded.target
                     then coalesce(excluded.failed_at, u.failed_at) else excluded.failed_at end
"""


async def note_use(tx: Tx, workspace_id: str, integration: str, target: str | None, reason: str | None) -> None:
    """Keep how the last call went: well, or for which reason not."""
    await tx.execute(NOTE_USE, tx.agency_id, workspace_id, integration, target, reason)


USES: Final = """
select workspace_id, integration, target, worked_at, failed_at, reason from integration_use
where agency_id = $1 and workspace_id = any ($2::text[])
"""


async def uses(tx: Tx, ids: Sequence[str]) -> list[Record]:
    """How the last calls went in these workspaces."""
    return await tx.fetch(USES, tx.agency_id, list(ids))
