"""A PostgreSQL that somebody else runs: its address read from a URL, and the roles that must be there made in it.

Rights inside the database belong to the migrations; starting and backing up that server to whoever runs it.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg

from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Connection

OLDEST: Final = 150_000
LOOKUP: Final = "colonnade_lookup"
_KNOWN: Final = frozenset({"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"})
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_QUIET: Final = {"log_min_error_statement": "panic", "log_statement": "none", "log_min_duration_statement": "-1"}


class BadUrl(ValueError):
    """The URL of a database that cannot be understood; the sentence never repeats the URL, which holds a password."""


class CannotPrepare(Exception):
    """The database cannot be used as it is; the sentence says what to change there."""


def read_url(url: str, passwords: Mapping[str, str]) -> tuple[Address, str]:
    """The address behind `postgresql://owner:password@host:port/database?sslmode=…`, and the owner's name.

    A socket folder may be given as `host` in the query, as libpq takes it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("is no URL: a password with special characters must be percent-encoded") from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise BadUrl("must begin with postgresql://")
    query = dict(parse_qsl(parts.query))
    unknown = sorted(set(query) - _KNOWN)
    if unknown:
        raise BadUrl(f"has parameters that are not understood: {', '.join(unknown)}")
    owner, database = unquote(parts.username or ""), unquote(parts.path.lstrip("/"))
    if not owner or not database:
        raise BadUrl("must name a user and a database, as in postgresql://owner:password@host:5432/colonnade")
    host = unquote(parts.hostname or "") or query.get("host", "localhost")
    known = {**passwords, owner: unquote(parts.password or "")}
    return Address(host, port or int(query.get("port", "5432")), database, known, _protection(query)), owner


def _protection(query: Mapping[str, str]) -> ssl.SSLContext | str | None:
    """As libpq reads the same parameters; the machine's own authorities are trusted where no file is named."""
    mode = query.get("sslmode")
    if mode is None and "sslrootcert" in query:
        mode = "verify-full"
    if mode is not None and mode not in _MODES:
        raise BadUrl(f"has an unknown sslmode; it is one of {', '.join(_MODES)}")
    if mode is None or mode in _MODES[:3]:
        return mode
    root = query.get("sslrootcert")
    try:
        context = ssl.create_default_context(cafile=None if root in {None, "system"} else root)
        if "sslcert" in query:
            context.load_cert_chain(query["sslcert"], query.get("sslkey"))
    except OSError as error:
        raise BadUrl(f"names a certificate that cannot be read: {error.strerror or type(error).__name__}") from None
    context.check_hostname = mode == "verify-full"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class RolePasswords:
    """The passwords that the roles shall have, and by which those that are there already are known to be ours."""

    wanted: Mapping[str, str]
    former: Sequence[Mapping[str, str]] = ()
    adopt: bool = False
    """Whether roles with other passwords are taken over."""


async def prepare(address: Address, owner: str, passwords: RolePasswords) -> None:
    """Make the roles that serve, work and look up, each with its password; a second call finds nothing to do.

    Refuses a server that is too old, an owner who may not make roles, and, unless they are to be adopted, roles that
    are there with passwords that are neither ours nor were: they may be another installation's on the same server.
    """
    connection = await asyncpg.connect(**address.arguments(owner))
    try:
        await _require_new_enough(connection)
        known = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
        missing = [role for role in (*passwords.wanted, LOOKUP) if role not in known]
        changed = [role for role in passwords.wanted if role in known and not await _opens(address, role)]
        foreign = [role for role in changed if not await _opened_before(address, role, passwords.former)]
        if foreign and not passwords.adopt:
            raise CannotPrepare(
                f"The roles {' and '.join(foreign)} of this server have other passwords: another installation uses it,"
                " or this one had another secret key. To take them over: colonnade migrate --adopt-roles"
            )
        async with connection.transaction():
            await _make(connection, missing, changed, passwords.wanted)
    finally:
        await connection.close()


async def _require_new_enough(connection: Connection) -> None:
    number = int(await connection.fetchval("show server_version_num"))
    if number < OLDEST:
        found, oldest = number // 10_000, OLDEST // 10_000
        raise CannotPrepare(f"The server is PostgreSQL {found}; Colonnade needs {oldest} or newer.")


async def _opened_before(address: Address, role: str, former: Sequence[Mapping[str, str]]) -> bool:
    """Whether the role has the password of a secret that was in use before."""
    for passwords in former:
        if await _opens(replace(address, passwords=passwords), role):
            return True
    return False


async def _opens(address: Address, role: str) -> bool:
    """Whether our password is the role's; a role that may not connect here is told apart by the migrations."""
    try:
        connection = await asyncpg.connect(**address.arguments(role))
    except asyncpg.InvalidAuthorizationSpecificationError:  # a wrong password is a kind of it
        return False
    except asyncpg.InsufficientPrivilegeError:
        return True
    await connection.close()
    return True


async def _make(connection: Connection, missing: list[str], changed: list[str], passwords: Mapping[str, str]) -> None:
    # Where it is allowed, a statement that fails is not logged together with the password in it.
    for name, value in _QUIET.items():
        await _try(connection, f"set local {name} = '{value}'")
    try:
        for role in missing:
            kind = "login" if role in passwords else "nologin"
            await connection.execute(f"create role {role} {kind} nosuperuser nocreaterole nocreatedb nobypassrls")
        for role in [*missing, *changed]:
            if role in passwords:
                await _set_password(connection, role, passwords[role])
        # Set up beforehand by an administrator, both are in order already and need no right of ours.
        if not await connection.fetchval("select pg_has_role(current_user, $1, 'member')", LOOKUP) or LOOKUP in missing:
            await connection.execute(f"grant {LOOKUP} to current_user")
        if missing:
            database = await connection.fetchval("select quote_ident(current_database())")
            await connection.execute(f"grant connect on database {database} to {', '.join(passwords)}")
    except asyncpg.InsufficientPrivilegeError:
        raise CannotPrepare(
            "The database's owner may not make roles on this server. As its administrator: alter role OWNER createrole"
        ) from None


async def _set_password(connection: Connection, role: str, password: str) -> None:
    statement = "select format('alter role %I password %L', $1::text, $2::text)"
    await connection.execute(await connection.fetchval(statement, role, password))


async def _try(connection: Connection, sql: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(sql)
    except asyncpg.InsufficientPrivilegeError:
        return
