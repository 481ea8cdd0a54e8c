import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys
from colonnade.tenancy.keys import Draft, RateLimit
from tests.factories import a_workspace, agency_caller, an_agency, workspace_caller
from tests.tenancy.keys_calls import facts, mint, now, page, refused, revoke, roll, update


async def test_without_the_scope_nobody_writes_or_reads_keys(database: Database) -> None:
    home = await an_agency(database)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key
    without = agency_caller(home.agency_id, scopes=AGENCY_SCOPES - {"keys:write", "keys:read"})

    for verb in (
        mint(database, without, Draft("x", preset="master")),
        update(database, without, key, name="y"),
        revoke(database, without, key),
        roll(database, without, key),
        page(database, without),
    ):
        with refused("keys.scope_missing"):
            await verb


async def test_keys_of_another_agency_or_level_are_not_found(database: Database) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    workspace = await a_workspace(database, home)
    agency_key = (await mint(database, home.caller, Draft("x", preset="master"))).key
    inside = (await mint(database, home.caller, Draft("x"), workspace.id)).key

    for caller, key_id, workspace_id in (
        (stranger.caller, agency_key.id, None),
        (stranger.caller, inside.id, workspace.id),
        (home.caller, agency_key.id, workspace.id),
        (home.caller, inside.id, None),
        (workspace_caller(home, workspace), agency_key.id, None),
    ):
        async with database.transaction(caller.reach) as tx:
            for verb in (keys.get, keys.revoke, keys.roll):
                with pytest.raises(NotFound):
                    await verb(tx, caller, key_id, workspace_id=workspace_id)
    assert (await revoke(database, home.caller, inside)).revoked_at is not None


async def test_row_security_alone_shows_and_takes_nothing(database: Database) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    workspace = await a_workspace(database, home)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key
    await mint(database, home.caller, Draft("x"), workspace.id)

    tables = ("api_key", "api_key_secret", "api_key_use")
    for table in tables:
        assert (await database.lookup(f"select count(*) from {table}"))[0]["count"] == 0
    async with database.transaction(stranger.reach) as tx:
        assert [await tx.fetchval(f"select count(*) from {table}") for table in tables] == [0, 0, 0]
        assert await tx.execute("update api_key set name = 'mine' where id = $1", key.id) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute("delete from api_key")
    async with database.transaction(Reach(home.agency_id, (workspace.id,))) as tx:
        assert await tx.fetchval("select count(*) from api_key") == 1
        assert await tx.fetchval("select count(*) from api_key_secret") == 1
    for statement in (
        "select * from door",
        "select * from rate_window",
        "insert into api_key_use values ('', '', '', now())",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.lookup(statement)


async def test_revoking_twice_is_one_revocation_and_one_record(database: Database) -> None:
    home = await an_agency(database)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key

    first = await revoke(database, home.caller, key)
    second = await revoke(database, replace(home.caller, actor_id="key_other"), key)

    assert first.revoked_at == second.revoked_at
    assert second.revoked_by == home.caller.actor_id
    assert await facts(database, home, key) == ["keys.minted", "keys.revoked"]


async def test_a_revocation_that_rolls_back_is_none(database: Database) -> None:
    home = await an_agency(database)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key

    async def revoke_and_stumble() -> None:
        async with database.transaction(home.reach) as tx:
            await keys.revoke(tx, home.caller, key.id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await revoke_and_stumble()

    assert [one.revoked_at for one in await page(database, home.caller)] == [None]


async def test_what_is_changed_is_recorded_and_what_is_not_sent_stays(database: Database) -> None:
    home = await an_agency(database)
    draft = Draft("x", "words", ["usage:read"], ip_allowlist=["192.0.2.1"])
    key = (await mint(database, home.caller, draft)).key

    changed = await update(database, home.caller, key, name="y", rate_limit=RateLimit(7, 3), ip_allowlist=[])
    same = await update(database, home.caller, changed, name="y")

    assert (changed.name, changed.rate_limit, changed.ip_allowlist) == ("y", RateLimit(7, 3), ())
    assert (changed.description, changed.scopes, changed.version) == ("words", ("usage:read",), 2)
    assert same.version == 2
    assert await facts(database, home, key) == ["keys.minted", "keys.updated"]


async def test_scopes_are_added_only_by_who_holds_them_and_taken_by_anybody(database: Database) -> None:
    home = await an_agency(database)
    weak = agency_caller(home.agency_id, scopes=frozenset({"keys:write", "keys:read"}))
    key = (await mint(database, home.caller, Draft("x", scopes=["usage:read", "credits:read"]))).key

    assert (await update(database, weak, key, scopes=["usage:read"])).held == {"usage:read"}
    with refused("keys.scope_not_held") as told:
        await update(database, weak, key, scopes=["usage:read", "credits:grant"])
    assert told["scopes"] == ["credits:grant"]
    assert (await update(database, weak, key, name="renamed")).name == "renamed"


async def test_a_key_cannot_lock_itself_out(database: Database) -> None:
    home = await an_agency(database)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key
    itself = replace(agency_caller(home.agency_id, address="::ffff:192.0.2.7"), actor_id=key.id)

    with refused("settings.locks_out"):
        await update(database, itself, key, ip_allowlist=["198.51.100.0/24"])
    assert (await update(database, itself, key, ip_allowlist=["192.0.2.0/24"])).version == 2
    assert (await update(database, itself, key, ip_allowlist=[])).version == 3
    other = replace(itself, actor_id="key_other")
    assert (await update(database, other, key, ip_allowlist=["198.51.100.0/24"])).version == 4


async def test_what_has_ended_is_neither_changed_nor_rolled(database: Database) -> None:
    home = await an_agency(database)
    soon = (await now(database, home)) + timedelta(seconds=0.2)
    ended = (await mint(database, home.caller, Draft("x", preset="master"))).key
    late = (await mint(database, home.caller, Draft("x", preset="master", expires_at=soon))).key
    await revoke(database, home.caller, ended)
    await asyncio.sleep(0.3)

    for verb in (
        update(database, home.caller, ended, name="y"),
        roll(database, home.caller, ended),
        roll(database, home.caller, late),
    ):
        with refused("keys.ended"):
            await verb
    assert (await update(database, home.caller, late, expires_at=None)).expires_at is None


async def test_nobody_rolls_a_key_that_may_do_more_than_they(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    weak = agency_caller(home.agency_id, scopes=frozenset({"keys:write", "usage:read"}))
    master = (await mint(database, home.caller, Draft("x", preset="master"))).key
    equal = (await mint(database, home.caller, Draft("x", scopes=["usage:read"]))).key
    inside = workspace_caller(home, workspace, scopes=frozenset({"keys:write"}))
    strong = (await mint(database, home.caller, Draft("x"), workspace.id)).key

    with refused("keys.scope_not_held"):
        await roll(database, weak, master)
    with refused("keys.scope_not_held"):
        await roll(database, inside, strong)
    rolled = await roll(database, weak, equal)

    assert (rolled.key.id, rolled.key.scopes, rolled.key.version) == (equal.id, equal.scopes, 2)
    assert rolled.key.hint == rolled.secret.hint
    assert await facts(database, home, equal) == ["keys.minted", "keys.rolled"]


async def test_a_version_that_is_no_longer_the_current_one_is_refused(database: Database) -> None:
    home = await an_agency(database)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key
    await update(database, home.caller, key, name="y")

    async with database.transaction(home.reach) as tx:
        with refused("request.precondition_failed"):
            await keys.update(tx, home.caller, key.id, {"name": "z"}, expected_version=1)
