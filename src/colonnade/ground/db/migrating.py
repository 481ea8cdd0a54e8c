"""Migrations: numbered SQL texts, forward only, each applied once and whole; a text that changed later is refused."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from colonnade.ground.db.database import Connection

_LOCK: Final = 0x636F6C6F6E

_TABLE: Final = """
create table if not exists migration (
    number integer primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""

Step = Callable[[Connection], Awaitable[None]]
"""A part of the schema that another package brings with it; it must be safe to run again."""


class MigrationRefused(Exception):
    """The database and this version of the program do not fit; the sentence says how to go on."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered text."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """By which a text that was changed after it was applied is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All texts of this version, in order."""
    folder = resources.files("colonnade.ground.db") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [Migration(int(name[:4]), name[:-4], (folder / name).read_text("utf-8")) for name in files]


async def migrate(connection: Connection, steps: Sequence[Step] = ()) -> list[str]:
    """Bring the database to this version and tell the names that were applied; a second call finds nothing to do.

    Runs as the owner. Everything happens in one transaction under a lock: two that start at once, or a kill in the
    middle, leave the schema either before or after.
    """
    async with connection.transaction():
        await connection.execute(f"select pg_advisory_xact_lock({_LOCK})")
        await connection.execute("set local client_min_messages = warning")
        await connection.execute(_TABLE)
        rows = await connection.fetch("select number, name, sha256 from migration")
        missing = _missing(migrations(), {row["number"]: row["sha256"] for row in rows})
        for migration in missing:
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into migration (number, name, sha256) values ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.sha256,
            )
        for step in steps:
            await step(connection)
    return [migration.name for migration in missing]


def _missing(wanted: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    ours = {migration.number: migration for migration in wanted}
    newer = sorted(set(applied) - set(ours))
    if newer:
        raise MigrationRefused(
            f"The database has migration {newer[-1]}, which this version does not know: it was used by a newer "
            "Colonnade. Run that version, or restore a backup of this one."
        )
    for number, sha256 in applied.items():
        if ours[number].sha256 != sha256:
            raise MigrationRefused(
                f"Migration {ours[number].name} has been changed since it was applied here. "
                "Put its text back and write a new migration for the change."
            )
    return [migration for migration in wanted if migration.number not in applied]
