"""How agencies are kept: one row each, its scope is its own id."""

from collections.abc import Mapping
from typing import Any, Final

from colonnade.ground.db.database import Database, Record, Tx
from colonnade.tenancy.agencies.model import Agency

ADD: Final = """
insert into agency (agency_id, live_agency_id, name, created_at, updated_at) values ($1, $2, $3, $4, $4) returning *
"""
FIND: Final = "select * from agency where agency_id = $1"
LOCK: Final = "select * from agency where agency_id = $1 for no key update"
CHANGE: Final = """
update agency set name = $2, website = $3, branding = $4, settings = $5, updated_at = $6, version = version + 1
where agency_id = $1 returning *
"""
TWIN: Final = "select test_twin_of($1) as id"


def _agency(row: Record) -> Agency:
    values = dict(row)
    return Agency(id=values.pop("agency_id"), **values)


async def add(tx: Tx, name: str, live_agency_id: str | None) -> Agency:
    """The row of the agency in scope."""
    return _agency(await tx.fetchone(ADD, tx.agency_id, live_agency_id, name, await tx.now()))


async def find(tx: Tx) -> Agency | None:
    """The agency in scope."""
    row = await tx.fetchrow(FIND, tx.agency_id)
    return None if row is None else _agency(row)


async def find_locked(tx: Tx) -> Agency | None:
    """The same, and nobody else changes it until this transaction ends."""
    row = await tx.fetchrow(LOCK, tx.agency_id)
    return None if row is None else _agency(row)


async def change(tx: Tx, agency: Agency, profile: Mapping[str, Any], settings: Mapping[str, Any]) -> Agency:
    """Write profile and settings; the version goes up by one."""
    row = await tx.fetchone(
        CHANGE,
        agency.id,
        profile["name"],
        profile.get("website"),
        dict(profile.get("branding", {})),
        dict(settings),
        await tx.now(),
    )
    return _agency(row)


async def find_twin(database: Database, live_agency_id: str) -> str | None:
    """The id of the agency's test twin, looked up past the scope."""
    twin: str | None = (await database.lookup(TWIN, live_agency_id))[0]["id"]
    return twin
