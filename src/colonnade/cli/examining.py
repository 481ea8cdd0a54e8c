"""What `doctor` looks at: settings, data folder, database, row security, workers, models. It changes nothing."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import asyncpg

from colonnade.cli.runtime import entering_database
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db import embedded, external
from colonnade.ground.db.database import Connection
from colonnade.ground.db.migrating import migrations
from colonnade.ground.outgoing import AllowList
from colonnade.installation import APP, LOOKUP, WORKER, direct_address_of, owner_of
from colonnade.settings import Settings

State = Literal["ok", "note", "bad"]

_LITTLE_SPACE: Final = 1 << 30
_SKEW_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 60.0

# Tables behind the third wall say their class in a comment; those of no tenant say `global`.
_UNGUARDED: Final = """
select c.relname from pg_class c
where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
  and obj_description(c.oid, 'pg_class') like 'tenancy: %' and obj_description(c.oid, 'pg_class') <> 'tenancy: global'
  and not (c.relrowsecurity and c.relforcerowsecurity
           and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenancy'))
order by 1
"""
_MIGHTY: Final = "select rolname from pg_roles where rolname = any ($1) and (rolsuper or rolbypassrls) order by 1"
_WORKERS: Final = "select count(*) from worker_heartbeat where at > now() - interval '30 seconds'"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do about it where it is bad."""

    what: str
    state: State
    says: str


async def examine(settings: Settings, *, running: bool) -> list[Finding]:
    """Everything that can be told about an installation whose database answers; `running` says that `up` is at work."""
    findings = [*examine_machine(settings)]
    try:
        async with _owner_connection(settings) as connection:
            findings += await _database(connection)
            current = await _migrations(connection)
            findings.append(current)
            if current.state == "ok":
                findings += await _walls(connection)
                findings.append(await _roles(settings))
                findings.append(await _workers(connection, running=running))
                findings.append(await _mail(connection, settings))
                findings.append(await _audit_log(connection, running=running))
    except Exception as error:  # whatever it is, the other findings are still worth telling
        findings.append(Finding("database", "bad", " ".join(str(error).split()) or type(error).__name__))
    return findings


def examine_machine(settings: Settings) -> list[Finding]:
    """What can be told without the database."""
    return [_folder(settings), _secret(settings), _space(settings), _models(settings), _outgoing(settings)]


def told_settings(settings: Settings) -> Mapping[str, str]:
    """What differs from the usual, with secrets hidden."""
    usual = {name: field.default for name, field in Settings.model_fields.items()}
    values = settings.model_dump()
    return {name: str(value) for name, value in values.items() if value != usual[name]}


def _folder(settings: Settings) -> Finding:
    if not settings.data.is_dir():
        needed: State = "bad" if settings.database_url is None else "note"
        return Finding("data folder", needed, f"{settings.data} is not there yet; `colonnade up` makes it")
    mode = settings.data.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("data folder", "note", f"{settings.data} is open to others (mode {mode:o}); 700 is enough")
    if settings.half_restored.exists():
        return Finding("data folder", "bad", "a restore did not come to its end; empty the folder and restore again")
    return Finding("data folder", "ok", str(settings.data))


def _secret(settings: Settings) -> Finding:
    former = settings.former_secrets_file
    if former.exists() and former.stat().st_mode & 0o077:
        return Finding("secret", "bad", f"{former} can be read by others; run: chmod 600 {former}")
    if settings.secret_key is not None:
        return Finding("secret", "ok", "given by COLONNADE_SECRET_KEY")
    path = settings.secret_file
    if not path.exists():
        return Finding("secret", "note", "not made yet; it will be at the first start")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("secret", "bad", f"{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")
    if not os.access(path, os.R_OK) or path.stat().st_size < 32:
        return Finding("secret", "bad", f"{path} cannot be read or is too short; put it back from a backup")
    return Finding("secret", "ok", f"in {path}; without it no key is valid, so back it up")


def _space(settings: Settings) -> Finding:
    place = settings.data
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    says = f"{free / 1e9:.1f} GB free"
    return Finding("disk", "ok" if free > _LITTLE_SPACE else "bad", says)


def _models(settings: Settings) -> Finding:
    path = settings.local_model_path
    if path is not None and not path.is_file():
        return Finding("models", "bad", f"COLONNADE_LOCAL_MODEL_PATH names {path}, which is not there")
    there = {
        "anthropic": settings.anthropic_api_key is not None,
        "openai": settings.openai_api_key is not None or settings.openai_base_url is not None,
        "local": path is not None,
    }
    named = [name for name, is_there in there.items() if is_there]
    if not named:
        return Finding("models", "note", "none is configured: skills write by a script, which says so in its text")
    return Finding("models", "ok", ", ".join(named))


def _outgoing(settings: Settings) -> Finding:
    opened = str(AllowList.parse(settings.outbound_allow))
    if not opened:
        return Finding("outgoing requests", "ok", "reach public addresses only")
    return Finding("outgoing requests", "note", f"may also reach {opened}")


@contextlib.asynccontextmanager
async def _owner_connection(settings: Settings) -> AsyncIterator[Connection]:
    with entering_database():
        connection = await asyncpg.connect(**direct_address_of(settings).arguments(owner_of(settings)))
    try:
        yield connection
    finally:
        await connection.close()


async def _database(connection: Connection) -> list[Finding]:
    version = await connection.fetchval("show server_version")
    number = int(await connection.fetchval("show server_version_num"))
    here: datetime = await connection.fetchval("select clock_timestamp()")
    skew = abs((datetime.now(UTC) - here).total_seconds())
    clock: State = "bad" if skew > _SKEW_SECONDS else "ok"
    return [
        Finding("database", "ok" if number >= external.OLDEST else "bad", f"PostgreSQL {version} answers"),
        Finding("clock", clock, f"this machine and the database differ by {skew:.1f} s"),
    ]


async def _migrations(connection: Connection) -> Finding:
    there = await connection.fetchval("select to_regclass('public.migration') is not null")
    applied = {row["number"] for row in await connection.fetch("select number from migration")} if there else set()
    ours = {migration.number for migration in migrations()}
    if applied - ours:
        return Finding("migrations", "bad", f"the database is newer than this version (migration {max(applied)})")
    if ours - applied:
        return Finding("migrations", "bad", f"{len(ours - applied)} are missing; run: colonnade migrate")
    return Finding("migrations", "ok", f"up to date ({max(ours)})")


async def _walls(connection: Connection) -> list[Finding]:
    bare = [str(row[0]) for row in await connection.fetch(_UNGUARDED)]
    mighty = [str(row[0]) for row in await connection.fetch(_MIGHTY, [APP, WORKER, LOOKUP])]
    return [
        Finding(
            "row security", "bad", f"is not in force on {', '.join(bare)}; do not serve from this database until it is"
        )
        if bare
        else Finding("row security", "ok", "in force on every table of a tenant"),
        Finding(
            "rights", "bad", f"{', '.join(mighty)} may look past row security; alter role … nosuperuser nobypassrls"
        )
        if mighty
        else Finding("rights", "ok", "no role that serves or works can look past row security"),
    ]


async def _roles(settings: Settings) -> Finding:
    for role in (APP, WORKER):
        with entering_database():
            connection = await asyncpg.connect(**direct_address_of(settings).arguments(role))
        await connection.close()
    return Finding("roles", "ok", f"{APP} and {WORKER} are let in")


async def _workers(connection: Connection, *, running: bool) -> Finding:
    alive = int(await connection.fetchval(_WORKERS))
    if alive:
        return Finding("workers", "ok", f"{alive} alive")
    return Finding("workers", "bad" if running else "note", "none has told of itself lately; runs wait for one")


async def _mail(connection: Connection, settings: Settings) -> Finding:
    lag = await connection.fetchrow("select * from mail_lag()")
    assert lag is not None, "a count of mails is not there"
    if lag["stuck"]:
        server = "the server did not take" if settings.smtp_url is not None else "could not be written:"
        return Finding("mail", "bad", f"{server} {lag['stuck']} so far; they are tried again, the log says why")
    if lag["failed"]:
        return Finding("mail", "note", f"{lag['failed']} were given up in the last seven days; their receivers refuse")
    if settings.smtp_url is None:
        return Finding("mail", "note", f"no COLONNADE_SMTP_URL: mails lie in {settings.mails}")
    return Finding("mail", "ok", f"{lag['waiting']} wait to be sent")


async def _audit_log(connection: Connection, *, running: bool) -> Finding:
    lag = await connection.fetchrow("select * from seal_lag()")
    assert lag is not None, "a function that always answers a row answered none"
    if lag["broken"]:
        return Finding("audit log", "bad", f"{lag['broken']} were found changed; see: colonnade audit verify --all")
    late = running and lag["oldest_seconds"] > _LATE_SECONDS
    says = f"{lag['unsealed']} entries wait for their seal, the oldest for {lag['oldest_seconds']:.1f} s"
    return Finding("audit log", "bad" if late else "ok", says)


def cannot_tell(settings: Settings, error: Exception) -> list[Finding]:
    """The findings where the database could not even be started."""
    sentence = error.sentence if isinstance(error, Refused) else str(error)
    return [*examine_machine(settings), Finding("database", "bad", sentence)]


def there_is_none(settings: Settings) -> bool:
    """Whether this is a data folder without a database: looking into it must not make one."""
    if settings.database_url is not None:
        return False
    try:
        embedded.locate(settings.data)
    except embedded.CannotStart:
        return True
    return False
