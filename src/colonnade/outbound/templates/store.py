"""How templates and their versions are kept. A deleted template is not there any more; its versions still compare."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Record, Tx
from colonnade.outbound.templates.model import Template, Version, Wording

_SHOWN: Final = "t.id, t.version, v.name, v.description, v.contents, t.created_at, t.updated_at"
_CURRENT: Final = """
template t join template_version v on v.agency_id = t.agency_id and v.template_id = t.id and v.number = t.version
where t.agency_id = $1 and t.deleted_at is null
"""
_VERSION: Final = "template_id, number, name, description, contents, created_by, created_at"


def _wording(row: Record) -> Wording:
    return Wording(row["name"], row["description"], row["contents"])


def _template(row: Record) -> Template:
    return Template(row["id"], row["version"], _wording(row), row["created_at"], row["updated_at"])


def _version(row: Record) -> Version:
    return Version(row["template_id"], row["number"], _wording(row), row["created_by"], row["created_at"])


ADD: Final = """
insert into template (agency_id, id, name, name_key, version, created_at, updated_at)
values ($1, $2, $3, $4, 1, now(), now())
"""
ADD_VERSION: Final = """
insert into template_version (agency_id, template_id, number, name, description, contents, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, now())
"""


async def add(tx: Tx, wording: Wording, by: Mapping[str, Any]) -> str:
    """Keep a new template with its first version; its id. A name that is taken is refused."""
    template_id = new_id("tmpl")
    await _guarded(tx, ADD, tx.agency_id, template_id, wording.name, wording.name_key)
    await _add_version(tx, template_id, 1, wording, by)
    return template_id


async def _add_version(tx: Tx, template_id: str, number: int, wording: Wording, by: Mapping[str, Any]) -> None:
    said = (wording.name, wording.description, dict(wording.contents), dict(by))
    await tx.execute(ADD_VERSION, tx.agency_id, template_id, number, *said)


async def _guarded(tx: Tx, sql: str, *arguments: Any) -> None:
    try:
        await tx.execute(sql, *arguments)
    except asyncpg.UniqueViolationError as error:
        raise Refused(
            "templates.name_taken", "Another template of the agency has this name; choose another."
        ) from error


FIND: Final = f"select {_SHOWN} from {_CURRENT} and t.id = $2"
LOCK: Final = f"{FIND} for update of t"
FIND_NAMED: Final = "select id from template where agency_id = $1 and name_key = $2 and deleted_at is null"


async def find(tx: Tx, template_id: str) -> Template | None:
    """The template as it is now."""
    row = await tx.fetchrow(FIND, tx.agency_id, template_id)
    return None if row is None else _template(row)


async def find_locked(tx: Tx, template_id: str) -> Template | None:
    """The same, and nobody else changes it until this transaction ends."""
    row = await tx.fetchrow(LOCK, tx.agency_id, template_id)
    return None if row is None else _template(row)


async def find_named(tx: Tx, name_key: str) -> str | None:
    """The id of the template with this name."""
    found: str | None = await tx.fetchval(FIND_NAMED, tx.agency_id, name_key)
    return found


FIND_MANY: Final = f"select {_SHOWN} from {_CURRENT} and t.id = any ($2::text[])"
PAGE: Final = f"""
select {_SHOWN} from {_CURRENT} and ($2::text is null or t.id < $2) and ($3::text is null or strpos(t.name_key, $3) > 0)
order by t.id desc limit $4
"""
COUNT: Final = """
select count(*) from (
    select from template where agency_id = $1 and deleted_at is null and ($2::text is null or strpos(name_key, $2) > 0)
    limit $3) as counted
"""


async def find_many(tx: Tx, ids: Sequence[str]) -> dict[str, Template]:
    """Those of the templates that are there."""
    return {row["id"]: _template(row) for row in await tx.fetch(FIND_MANY, tx.agency_id, list(ids))}


async def page(tx: Tx, q: str | None, *, after: str | None, limit: int) -> list[Template]:
    """The newest first, behind the given one."""
    return [_template(row) for row in await tx.fetch(PAGE, tx.agency_id, after, q, limit)]


async def count(tx: Tx, q: str | None, most: int | None) -> int:
    """How many there are, counted no further than `most`."""
    counted: int = await tx.fetchval(COUNT, tx.agency_id, q, most)
    return counted


CHANGE: Final = """
update template set name = $3, name_key = $4, version = $5, updated_at = now() where agency_id = $1 and id = $2
"""


async def change(tx: Tx, template: Template, wording: Wording, by: Mapping[str, Any]) -> Template:
    """Keep a locked template's next version."""
    number = template.version + 1
    await _guarded(tx, CHANGE, tx.agency_id, template.id, wording.name, wording.name_key, number)
    await _add_version(tx, template.id, number, wording, by)
    return Template(template.id, number, wording, template.created_at, await tx.now())


DELETE: Final = "update template set deleted_at = now(), updated_at = now() where agency_id = $1 and id = $2"


async def delete(tx: Tx, template_id: str) -> None:
    """It is not there any more; its name is free."""
    await tx.execute(DELETE, tx.agency_id, template_id)


VERSION: Final = f"select {_VERSION} from template_version where agency_id = $1 and template_id = $2 and number = $3"
VERSIONS: Final = f"""
select {_VERSION} from template_version
where agency_id = $1 and template_id = $2 and ($3::integer is null or number < $3) order by number desc limit $4
"""
MANY_VERSIONS: Final = f"""
select {_VERSION} from template_version
join unnest($2::text[], $3::integer[]) as w (wanted_id, wanted) on template_id = wanted_id and number = wanted
where agency_id = $1
"""


async def version(tx: Tx, template_id: str, number: int) -> Version | None:
    """One version, also of a template that is deleted."""
    row = await tx.fetchrow(VERSION, tx.agency_id, template_id, number)
    return None if row is None else _version(row)


async def versions(tx: Tx, template_id: str, *, before: int | None, limit: int) -> list[Version]:
    """The newest first."""
    return [_version(row) for row in await tx.fetch(VERSIONS, tx.agency_id, template_id, before, limit)]


async def many_versions(tx: Tx, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Version]:
    """These versions of these templates."""
    distinct = sorted(set(wanted))
    rows = await tx.fetch(MANY_VERSIONS, tx.agency_id, [one for one, _ in distinct], [number for _, number in distinct])
    return {(row["template_id"], row["number"]): _version(row) for row in rows}
