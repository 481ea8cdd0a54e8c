"""How it is kept which version of a template is deployed where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from colonnade.ground.db.database import Record, Tx
from colonnade.outbound.templates.model import Deployment, Mode, Version

_COLUMNS: Final = "workspace_id, template_id, mode, state, version, wanted, posts, kept, error, asked_by, deployed_at"
_WITHIN: Final = "agency_id = $1 and ($2::text[] is null or workspace_id = any ($2::text[]))"


@dataclass(frozen=True, slots=True)
class Done:
    """What a deployment has come to."""

    mode: Mode
    posts: Mapping[str, str]
    kept: Sequence[str]
    by: Mapping[str, Any]


def _deployment(row: Record) -> Deployment:
    return Deployment(**dict(row))


def _reach(tx: Tx) -> tuple[str, list[str] | None]:
    within = tx.reach.workspace_ids
    return tx.agency_id, None if within is None else list(within)


LOCK: Final = f"""
select {_COLUMNS} from template_deployment where agency_id = $1 and workspace_id = $2 and template_id = $3 for update
"""


async def find_locked(tx: Tx, workspace_id: str, template_id: str) -> Deployment | None:
    """The deployment; its workspace is locked already."""
    row = await tx.fetchrow(LOCK, tx.agency_id, workspace_id, template_id)
    return None if row is None else _deployment(row)


PUT: Final = f"""
insert into template_deployment (agency_id, workspace_id, template_id, mode, state, version, posts, kept, asked_by,
                                 deployed_at, created_at, updated_at)
values ($1, $2, $3, $4, 'applied', $5, $6, $7, $8, now(), now(), now())
on conflict (agency_id, workspace_id, template_id) do update
set mode = excluded.mode, state = 'applied', version = excluded.version, wanted = null, posts = excluded.posts,
    kept = excluded.kept, error = null, asked_by = excluded.asked_by, deployed_at = now(), updated_at = now()
returning {_COLUMNS}
"""


async def put(tx: Tx, workspace_id: str, version: Version, done: Done) -> Deployment:
    """This version is what the workspace has now."""
    what = (done.mode, version.number, dict(done.posts), list(done.kept), dict(done.by))
    return _deployment(await tx.fetchone(PUT, tx.agency_id, workspace_id, version.template_id, *what))


WANT: Final = """
insert into template_deployment (agency_id, workspace_id, template_id, state, wanted, asked_by, created_at, updated_at)
select $1, $2, w.id, 'pending', w.version, $5, now(), now() from unnest($3::text[], $4::integer[]) as w (id, version)
"""


async def want(tx: Tx, workspace_id: str, wanted: Mapping[str, int], by: Mapping[str, Any]) -> None:
    """Note the versions that a workspace which is made just now shall get."""
    await tx.execute(WANT, tx.agency_id, workspace_id, list(wanted), list(wanted.values()), dict(by))


FOLLOW: Final = """
update template_deployment set state = 'pending', wanted = $3, asked_by = $4, error = null, updated_at = now()
where agency_id = $1 and template_id = $2 and mode = 'follow' and version is distinct from $3
      and wanted is distinct from $3
"""


async def follow(tx: Tx, version: Version) -> int:
    """Note the version for every workspace that follows its template; how many they are."""
    return await tx.execute(FOLLOW, tx.agency_id, version.template_id, version.number, dict(version.created_by))


FAIL: Final = """
update template_deployment set state = 'failed', error = $4, updated_at = now()
where agency_id = $1 and workspace_id = $2 and template_id = $3 and state = 'pending'
"""


async def fail(tx: Tx, workspace_id: str, template_id: str, error: Mapping[str, Any]) -> None:
    """What was pending cannot be deployed."""
    await tx.execute(FAIL, tx.agency_id, workspace_id, template_id, dict(error))


OF_TEMPLATE: Final = f"""
select {_COLUMNS} from template_deployment
where {_WITHIN} and template_id = $3 and version is not null and ($4::text is null or workspace_id > $4)
order by workspace_id limit $5
"""
OF_WORKSPACE: Final = f"""
select {_COLUMNS} from template_deployment
where {_WITHIN} and workspace_id = $3 and version is not null order by template_id
"""
COUNT: Final = f"""
select count(*) from (
    select from template_deployment where {_WITHIN} and template_id = $3 and version is not null limit $4) as counted
"""
TOLD: Final = f"""
select workspace_id, jsonb_agg(deployment_told(d) order by created_at, template_id) as told
from template_deployment d where {_WITHIN} and workspace_id = any ($3::text[]) group by workspace_id
"""


async def of_template(tx: Tx, template_id: str, *, after: str | None, limit: int) -> list[Deployment]:
    """Where some version of the template is deployed, in the order of the workspaces."""
    return [_deployment(row) for row in await tx.fetch(OF_TEMPLATE, *_reach(tx), template_id, after, limit)]


async def count(tx: Tx, template_id: str, most: int | None) -> int:
    """In how many workspaces that is, counted no further than `most`."""
    counted: int = await tx.fetchval(COUNT, *_reach(tx), template_id, most)
    return counted


async def of_workspace(tx: Tx, workspace_id: str) -> list[Deployment]:
    """What is deployed in the workspace."""
    return [_deployment(row) for row in await tx.fetch(OF_WORKSPACE, *_reach(tx), workspace_id)]


async def told(tx: Tx, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """How each of these workspaces stands with its templates, as it is shown with them."""
    return {row["workspace_id"]: row["told"] for row in await tx.fetch(TOLD, *_reach(tx), list(ids))}
