"""Own provider keys in the database: who may store, see and use them, and that nothing gives them away."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from colonnade import integrations
from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Database
from colonnade.integrations import MasterKeys, OtherMasterKey, OwnKeys, Tampered
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller

MASTERS = MasterKeys.single(b"the master key of the tests, 32b")
SECRET = "sk-test-0123456789-abcdefgh-WXYZ"


async def stored(
    database: Database, home: Home, workspace_id: str | None, provider: str = "openai", secret: str = SECRET
) -> None:
    async with database.transaction(home.reach) as tx:
        await integrations.put(
            tx, home.caller, masters=MASTERS, workspace_id=workspace_id, provider=provider, secret=Secret(secret)
        )


def a_run(home: Home, workspace_id: str) -> Caller:
    reach = Reach(home.agency_id, (workspace_id,))
    scopes = frozenset({"integrations:read"})
    return Caller(CallerKind.RUN, reach, scopes, new_id("inv"), "a run", new_request_id(), workspace_id=workspace_id)


async def used(worker: Database, home: Home, workspace_id: str, masters: MasterKeys = MASTERS) -> OwnKeys:
    run = a_run(home, workspace_id)
    async with worker.transaction(run.reach) as tx:
        return await integrations.keys_for(tx, run, workspace_id, masters=masters)


@pytest_asyncio.fixture
async def home(database: Database) -> AsyncIterator[Home]:
    yield await an_agency(database)


async def test_a_stored_key_is_seen_by_its_hint_and_never_read_back(database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    await stored(database, home, workspace.id)

    async with database.transaction(home.reach) as tx:
        key = await integrations.get(tx, home.caller, workspace_id=workspace.id, provider="openai")

    assert (key.provider, key.level, key.hint) == ("openai", "workspace", "WXYZ")
    assert SECRET not in repr(key)


async def test_a_run_uses_the_workspaces_own_key_before_the_agencys(
    database: Database, worker_database: Database, home: Home
) -> None:
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    await stored(database, home, None, "openai", "sk-agency-openai")
    await stored(database, home, None, "ahrefs", "sk-agency-ahrefs")
    await stored(database, home, one.id, "openai", "sk-one-openai")

    assert dict(await used(worker_database, home, one.id)) == {"openai": "sk-one-openai", "ahrefs": "sk-agency-ahrefs"}
    assert dict(await used(worker_database, home, two.id)) == {
        "openai": "sk-agency-openai",
        "ahrefs": "sk-agency-ahrefs",
    }
    assert (await used(worker_database, home, two.id)).get("apollo") is None


async def test_a_runs_transaction_sees_no_more_after_it_got_its_keys(
    database: Database, worker_database: Database, home: Home
) -> None:
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    for level in (None, one.id, two.id):
        await stored(database, home, level)
    run = a_run(home, one.id)

    async with worker_database.transaction(run.reach) as tx:
        await integrations.keys_for(tx, run, one.id, masters=MASTERS)
        rows = await tx.fetch("select workspace_id from provider_key")

    assert [row["workspace_id"] for row in rows] == [one.id]


async def test_a_run_gets_nothing_of_another_workspace(
    database: Database, worker_database: Database, home: Home
) -> None:
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    await stored(database, home, two.id)
    run = a_run(home, one.id)

    async with worker_database.transaction(run.reach) as tx:
        keys = await integrations.keys_for(tx, run, two.id, masters=MASTERS)

    assert dict(keys) == {}


async def test_nobody_but_a_run_opens_keys(database: Database, worker_database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    await stored(database, home, workspace.id)

    for caller in (home.caller, workspace_caller(home, workspace)):
        with pytest.raises(Refused) as refused:
            async with worker_database.transaction(caller.reach) as tx:
                await integrations.keys_for(tx, caller, workspace.id, masters=MASTERS)
        assert refused.value.reason == "keys.wrong_kind"


async def test_the_servers_role_cannot_read_what_is_sealed(database: Database, home: Home) -> None:
    await stored(database, home, None)

    for sql in ("select sealed from provider_key", "select * from provider_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction(home.reach) as tx:
                await tx.fetch(sql)


async def test_a_second_key_replaces_the_first(database: Database, worker_database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    for level in (None, workspace.id):
        await stored(database, home, level, secret="sk-the-first-one-of-it")
        await stored(database, home, level, secret="sk-the-second-one-of-it")

    async with database.transaction(home.reach) as tx:
        count = await tx.fetchval("select count(id) from provider_key where agency_id = $1", tx.agency_id)

    assert count == 2
    assert (await used(worker_database, home, workspace.id))["openai"] == "sk-the-second-one-of-it"


async def test_a_removed_key_is_gone(database: Database, worker_database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    await stored(database, home, workspace.id)

    async with database.transaction(home.reach) as tx:
        await integrations.remove(tx, home.caller, workspace_id=workspace.id, provider="openai")

    assert dict(await used(worker_database, home, workspace.id)) == {}
    for verb in (integrations.get, integrations.remove):
        with pytest.raises(NotFound):
            async with database.transaction(home.reach) as tx:
                await verb(tx, home.caller, workspace_id=workspace.id, provider="openai")


@pytest.mark.parametrize("moved", ["agency", "workspace", "row", "provider", "level"])
async def test_a_stolen_row_does_not_open_elsewhere(
    database: Database, worker_database: Database, owner: "asyncpg.Connection[Any]", home: Home, moved: str
) -> None:
    thief = await an_agency(database)
    mine, theirs = await a_workspace(database, home), await a_workspace(database, thief)
    other = await a_workspace(database, home, name="Beta")
    await stored(database, home, mine.id)
    places: dict[str, tuple[Home, str | None, str, str]] = {
        "agency": (thief, theirs.id, "openai", "id"),
        "workspace": (home, other.id, "openai", "id"),
        "row": (home, other.id, "openai", "'conn_other'"),
        "provider": (home, mine.id, "anthropic", "'conn_other'"),
        "level": (home, None, "openai", "'conn_other'"),
    }
    there, workspace_id, provider, identity = places[moved]

    # The owner of the schema lies under row security too, so the thief reads here and writes there.
    async with owner.transaction():
        await owner.execute(_scope(home.agency_id))
        row = await owner.fetchrow("select id, sealed from provider_key where workspace_id = $1", mine.id)
        assert row is not None
        await owner.execute(_scope(there.agency_id))
        await owner.execute(
            "insert into provider_key values ($1, $2, $3, $4, $5, '', '', now())",
            *(there.agency_id, workspace_id, row["id"] if identity == "id" and there is thief else "conn_other"),
            *(provider, row["sealed"]),
        )

    keys = await used(worker_database, there, workspace_id or other.id)
    with pytest.raises(Tampered) as refused:
        keys[provider]
    assert SECRET not in str(refused.value)


def _scope(agency_id: str) -> str:
    return f"set local app.agency_id = '{agency_id}'; set local app.workspace_ids = '*'"


async def test_a_changed_installation_secret_is_told_apart_from_damage(
    database: Database, worker_database: Database, home: Home
) -> None:
    workspace = await a_workspace(database, home)
    await stored(database, home, workspace.id)

    keys = await used(worker_database, home, workspace.id, MasterKeys.single(b"?" * 32))

    assert "openai" in keys
    with pytest.raises(OtherMasterKey):
        keys["openai"]


async def test_nothing_that_is_kept_or_shown_holds_the_key(
    database: Database, worker_database: Database, owner: "asyncpg.Connection[Any]", home: Home
) -> None:
    workspace = await a_workspace(database, home)
    await stored(database, home, workspace.id)
    await stored(database, home, None)
    keys = await used(worker_database, home, workspace.id)

    tables = await owner.fetch("select tablename from pg_tables where schemaname = 'public'")
    async with owner.transaction():
        await owner.execute(_scope(home.agency_id))
        for row in tables:
            for kept in await owner.fetch(f"select t::text as line from {row['tablename']} t"):
                assert SECRET not in kept["line"]
                assert SECRET.encode().hex() not in kept["line"]
        entries = await owner.fetch(
            "select event, after from audit_entry where agency_id = $1 and event like 'provider_keys.%' order by id",
            home.agency_id,
        )

    assert [entry["event"] for entry in entries] == ["provider_keys.stored"] * 2
    assert json.loads(entries[0]["after"]) == {"provider": "openai", "level": "workspace", "hint": "WXYZ"}
    assert repr(keys) == str(keys) == "OwnKeys(openai)"
    assert SECRET not in repr(keys.items()) + repr(keys.values()) + repr(vars(keys))


async def test_bad_keys_are_refused_without_being_repeated(database: Database, home: Home) -> None:
    for secret in ("short", " " * 20, "x" * 5000, "with\nlines in it", "with\x00nul in it"):
        with pytest.raises(BadFields) as refused:
            await stored(database, home, None, secret=secret)
        assert refused.value.errors[0].pointer == "/key"
        assert secret.strip() == "" or secret not in str(refused.value.errors)
    with pytest.raises(NotFound):
        await stored(database, home, None, provider="unheard_of")


async def test_a_short_key_gives_no_hint(database: Database, home: Home) -> None:
    await stored(database, home, None, secret="abcdefgh1234")

    async with database.transaction(home.reach) as tx:
        key = await integrations.get(tx, home.caller, workspace_id=None, provider="openai")

    assert key.hint == ""


async def test_other_agencies_and_workspaces_see_nothing(database: Database, home: Home) -> None:
    stranger = await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    await stored(database, home, mine.id)
    callers = [stranger.caller, workspace_caller(home, other), home.caller.within(other.id)]

    for caller in callers:
        for verb in (integrations.get, integrations.remove):
            with pytest.raises(NotFound):
                async with database.transaction(caller.reach) as tx:
                    await verb(tx, caller, workspace_id=mine.id, provider="openai")
        with pytest.raises(NotFound):
            async with database.transaction(caller.reach) as tx:
                await integrations.every(tx, caller, workspace_id=mine.id)


async def test_the_agencys_own_keys_need_a_key_that_reaches_everything(database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    await stored(database, home, None)
    narrow = agency_caller(home.agency_id).within(workspace.id)

    for verb in (integrations.get, integrations.remove):
        with pytest.raises(Refused) as refused:
            async with database.transaction(narrow.reach) as tx:
                await verb(tx, narrow, workspace_id=None, provider="openai")
        assert refused.value.reason == "keys.wrong_kind"


async def test_row_security_alone_hides_other_tenants_keys(
    database: Database, worker_database: Database, home: Home
) -> None:
    stranger = await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    await stored(database, home, mine.id)
    await stored(database, home, None)

    seen = {}
    for name, reach in {
        "stranger": stranger.reach,
        "other": Reach(home.agency_id, (other.id,)),
        "mine": Reach(home.agency_id, (mine.id,)),
        "whole": home.reach,
    }.items():
        async with worker_database.transaction(reach) as tx:
            seen[name] = await tx.fetchval("select count(*) from provider_key")

    assert seen == {"stranger": 0, "other": 0, "mine": 1, "whole": 2}


async def test_what_is_stored_is_told_for_byok_and_for_the_include(database: Database, home: Home) -> None:
    one, two = await a_workspace(database, home), await a_workspace(database, home, name="Beta")
    await stored(database, home, None, "ahrefs")
    await stored(database, home, one.id, "openai")
    await stored(database, home, one.id, "ahrefs", "sk-the-workspaces-own")

    async with database.transaction(home.reach) as tx:
        providers = await integrations.stored_providers(tx, [one.id, two.id])
        blocks = await integrations.integrations_block(tx, [one.id, two.id])
    caller = workspace_caller(home, two)
    async with database.transaction(caller.reach, read_only=True) as tx:
        from_within = await integrations.stored_keys(tx, two.id, frozenset({"ahrefs", "openai"}))
        beyond = await integrations.stored_providers(tx, [one.id])

    assert providers == {one.id: {"ahrefs", "openai"}, two.id: {"ahrefs"}}
    assert [(b["provider"], b["level"], b["hint"]) for b in blocks[one.id]] == [
        ("ahrefs", "workspace", "-own"),
        ("openai", "workspace", "WXYZ"),
    ]
    assert [(b["provider"], b["level"], b["hint"]) for b in blocks[two.id]] == [("ahrefs", "agency", None)]
    assert from_within == {"ahrefs"}
    assert beyond == {one.id: {"ahrefs"}}


async def test_an_archived_workspace_takes_no_keys(database: Database, home: Home) -> None:
    workspace = await a_workspace(database, home)
    async with database.transaction(home.reach) as tx:
        sql = "update workspace set archived_at = now() where agency_id = $1 and id = $2"
        await tx.execute(sql, tx.agency_id, workspace.id)

    with pytest.raises(Refused) as refused:
        await stored(database, home, workspace.id)

    assert refused.value.reason == "workspace.archived"
