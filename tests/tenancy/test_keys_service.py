import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES, PRESETS, WORKSPACE_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, keys
from colonnade.tenancy.keys import Changes, Draft, Key, KeyKeeper, Minted, RateLimit
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller


async def mint(database: Database, caller: Caller, draft: Draft, workspace_id: str | None = None) -> Minted:
    async with database.transaction(caller.reach) as tx:
        return await keys.mint(tx, caller, draft, workspace_id=workspace_id)


async def update(database: Database, caller: Caller, key: Key, **changes: Any) -> Key:
    async with database.transaction(caller.reach) as tx:
        return await keys.update(tx, caller, key.id, Changes(**changes), workspace_id=key.workspace_id)  # type: ignore[typeddict-item]


async def revoke(database: Database, caller: Caller, key: Key) -> Key:
    async with database.transaction(caller.reach) as tx:
        return await keys.revoke(tx, caller, key.id, workspace_id=key.workspace_id)


async def facts(database: Database, home: Home, key: Key) -> list[str]:
    async with database.transaction(home.reach) as tx:
        rows = await tx.fetch(
            "select event from audit_entry where agency_id = $1 and resource_id = $2 order by id", tx.agency_id, key.id
        )
    return [row["event"] for row in rows]


@contextmanager
def refused(reason: str) -> Iterator[dict[str, Any]]:
    told: dict[str, Any] = {}
    with pytest.raises(Refused) as refusal:
        yield told
    assert refusal.value.reason == reason
    told.update(refusal.value.details, pointers=[error.pointer for error in refusal.value.errors])


async def test_a_key_is_shown_once_and_kept_with_its_limits(database: Database) -> None:
    home = await an_agency(database)
    ends = (await now(database, home)) + timedelta(days=1)
    draft = Draft("CI", "for builds", ["usage:read"], ip_allowlist=["192.0.2.0/24"], rate_limit=None, expires_at=ends)

    minted = await mint(database, home.caller, draft)

    async with database.transaction(home.reach, read_only=True) as tx:
        key = await keys.get(tx, home.caller, minted.key.id)
        page, more = await keys.page(tx, home.caller)
        counted = await keys.count(tx, home.caller)
    assert key == minted.key
    assert (key.name, key.description, key.scopes, key.rate_limit) == ("CI", "for builds", ("usage:read",), None)
    assert (key.hint, key.created_by) == (minted.secret.reveal()[-4:], home.caller.actor_id)
    assert (str(key.ip_allowlist[0]), key.expires_at, key.state(ends), key.state(key.created_at)) == (
        "192.0.2.0/24",
        ends,
        "expired",
        "active",
    )
    assert (page, more, counted) == ([key], False, 1)
    assert await facts(database, home, key) == ["keys.minted"]


async def now(database: Database, home: Home) -> Any:
    async with database.transaction(home.reach) as tx:
        return await tx.now()


async def test_an_agency_key_with_neither_scopes_nor_preset_is_refused_naming_both(database: Database) -> None:
    home = await an_agency(database)

    with refused("request.invalid") as told:
        await mint(database, home.caller, Draft("bare"))

    assert told["pointers"] == ["/scopes", "/preset"]


async def test_a_workspace_key_holds_by_default_all_that_its_kind_may(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    key = (await mint(database, home.caller, Draft("bare"), workspace.id)).key

    assert (key.scope, key.scopes, key.held) == ("workspace", ("*",), WORKSPACE_SCOPES)


async def test_a_preset_is_cut_to_the_kind_and_a_foreign_scope_is_a_bad_field(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    cut = await mint(database, home.caller, Draft("cut", preset="management"), workspace.id)
    assert cut.key.held == PRESETS["management"] & WORKSPACE_SCOPES

    with refused("request.invalid") as told:
        await mint(database, home.caller, Draft("x", scopes=["usage:read", "agency:read", "no:such"]), workspace.id)
    assert told["pointers"] == ["/scopes/1", "/scopes/2"]
    with refused("request.invalid") as told:
        await mint(database, home.caller, Draft("x", preset="links"), workspace.id)
    assert told["pointers"] == ["/preset"]


async def test_the_star_is_all_that_the_kind_may_hold(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    agency = await mint(database, home.caller, Draft("all", scopes=["*"]))
    inside = await mint(database, home.caller, Draft("all", scopes=["*", "usage:read"]), workspace.id)

    assert (agency.key.held, inside.key.held) == (AGENCY_SCOPES, WORKSPACE_SCOPES)


async def test_a_maker_cannot_hand_on_scopes_that_they_lack(database: Database) -> None:
    home = await an_agency(database)
    weak = agency_caller(home.agency_id, scopes=frozenset({"keys:write", "usage:read"}))

    assert (await mint(database, weak, Draft("x", scopes=["usage:read"]))).key.held == {"usage:read"}
    for draft in (Draft("x", scopes=["*"]), Draft("x", preset="master"), Draft("x", scopes=["credits:grant"])):
        with refused("keys.scope_not_held") as told:
            await mint(database, weak, draft)
        assert "credits:grant" in told["scopes"]
        assert "usage:read" not in told["scopes"]


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


async def roll(database: Database, caller: Caller, key: Key, overlap_seconds: int = 0) -> Minted:
    async with database.transaction(caller.reach) as tx:
        return await keys.roll(tx, caller, key.id, workspace_id=key.workspace_id, overlap_seconds=overlap_seconds)


async def page(database: Database, caller: Caller, workspace_id: str | None = None) -> list[Key]:
    async with database.transaction(caller.reach, read_only=True) as tx:
        return (await keys.page(tx, caller, workspace_id=workspace_id))[0]


async def test_a_maker_cannot_hand_on_workspaces_that_they_lack(database: Database) -> None:
    home, stranger = await an_agency(database), await an_agency(database)
    inside, outside = await a_workspace(database, home), await a_workspace(database, home, name="Other")
    foreign = await a_workspace(database, stranger)
    some = replace(home.caller, reach=Reach(home.agency_id, (inside.id,)))

    made = await mint(database, home.caller, Draft("x", preset="master", workspaces=[inside.id, outside.id]))
    assert made.key.reach == Reach(home.agency_id, (inside.id, outside.id))
    with refused("request.invalid") as told:
        await mint(database, home.caller, Draft("x", preset="master", workspaces=[inside.id, foreign.id, "ws_x"]))
    assert told["pointers"] == ["/workspaces/1", "/workspaces/2"]
    with refused("request.invalid"):
        await mint(database, home.caller, Draft("x", preset="master", workspaces=[]))

    with refused("keys.scope_not_held"):
        await mint(database, some, Draft("x", preset="master"))
    with pytest.raises(NotFound):
        await mint(database, some, Draft("x"), outside.id)
    assert (await mint(database, some, Draft("x"), inside.id)).key.workspace_id == inside.id


async def test_a_workspace_key_makes_keys_of_its_workspace_alone(database: Database) -> None:
    home = await an_agency(database)
    mine, other = await a_workspace(database, home), await a_workspace(database, home, name="Other")
    caller = workspace_caller(home, mine)

    assert (await mint(database, caller, Draft("x"), mine.id)).key.workspace_id == mine.id
    with refused("keys.wrong_kind"):
        await mint(database, caller, Draft("x", preset="read_only"))
    with pytest.raises(NotFound):
        await mint(database, caller, Draft("x"), other.id)
    with refused("request.invalid") as told:
        await mint(database, caller, Draft("x", workspaces=[mine.id]), mine.id)
    assert told["pointers"] == ["/workspaces"]
    assert [key.workspace_id for key in await page(database, caller, mine.id)] == [mine.id]
    assert await page(database, caller) == []


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


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("192.0.2.1/24", "192.0.2.0/24"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("192.0.2.256", "neither"),
        ("192.0.2.0/33", "neither"),
        ("example.com", "neither"),
        ("", "neither"),
        ("fe80::1%eth0", "zone"),
        ("192.0.2.1 ", "neither"),
    ],
)
async def test_a_bad_entry_of_an_allowlist_is_named_with_what_is_wrong(
    database: Database, entry: str, says: str
) -> None:
    home = await an_agency(database)

    with pytest.raises(BadFields) as refusal:
        await mint(database, home.caller, Draft("x", preset="master", ip_allowlist=["192.0.2.1", entry]))

    assert refusal.value.errors[0].pointer == "/ipAllowlist/1"
    assert says in refusal.value.errors[0].detail


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "  "}, "/name"),
        ({"name": "x" * 256}, "/name"),
        ({"description": "x" * 2001}, "/description"),
        ({"rate_limit": RateLimit(0, 60)}, "/rateLimit/requests"),
        ({"rate_limit": RateLimit(2**31, 60)}, "/rateLimit/requests"),
        ({"rate_limit": RateLimit(10, 0)}, "/rateLimit/windowSeconds"),
        ({"rate_limit": RateLimit(10, 86_401)}, "/rateLimit/windowSeconds"),
        ({"scopes": []}, "/scopes"),
        ({"preset": "nobody"}, "/preset"),
        ({"preset": "master", "scopes": ["*"]}, "/preset"),
        ({"mode": "test"}, "/mode"),
    ],
)
async def test_what_no_key_may_have_is_a_bad_field(database: Database, wanted: dict[str, Any], pointer: str) -> None:
    home = await an_agency(database)
    chosen = wanted if wanted.keys() & {"scopes", "preset"} else {"preset": "master", **wanted}

    with refused("request.invalid") as told:
        await mint(database, home.caller, Draft(**{"name": "x", **chosen}))

    assert told["pointers"] == [pointer]


async def test_a_key_cannot_be_made_to_end_in_the_past(database: Database) -> None:
    home = await an_agency(database)
    past = (await now(database, home)) - timedelta(seconds=1)
    key = (await mint(database, home.caller, Draft("x", preset="master"))).key

    with refused("request.invalid"):
        await mint(database, home.caller, Draft("x", preset="master", expires_at=past))
    with refused("request.invalid"):
        await update(database, home.caller, key, expires_at=past)


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


async def test_the_first_key_of_an_agency_is_its_master(database: Database) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        minted = await keys.for_installation(tx)

    assert (minted.key.held, minted.key.created_by, minted.key.reach.workspace_ids) == (AGENCY_SCOPES, "operator", None)


async def test_a_key_of_the_test_twin_is_a_test_key(database: Database) -> None:
    home = await an_agency(database)
    twin = await agencies.ensure_test_twin(database, home.caller)
    caller = agencies.entering(twin, mode="test")

    minted = await mint(database, caller, Draft("x", preset="master"))

    assert minted.secret.reveal().startswith("col_agency_test_")
    assert (minted.key.mode, minted.key.agency_id) == ("test", twin)


async def test_the_text_of_a_key_is_in_no_table(database: Database, owner: Any) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    first = await mint(database, home.caller, Draft("x", preset="master"))
    made = [first, await mint(database, home.caller, Draft("x"), workspace.id)]
    made.append(await roll(database, home.caller, first.key, 60))
    keeper = KeyKeeper(database)
    for one in made:
        await keeper.admit(one.secret.reveal(), "req_1", "192.0.2.1")
    await keeper.close()

    tables = await owner.fetch(
        "select c.oid::regclass::text as name, c.relrowsecurity as secured from pg_class c "
        "where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace"
    )
    assert len(tables) > 10
    for table in tables:
        await owner.execute(f"alter table {table['name']} no force row level security")
        text = await owner.fetchval(f"select string_agg(t::text, ' ') from {table['name']} t") or ""
        if table["secured"]:
            await owner.execute(f"alter table {table['name']} force row level security")
        for one in made:
            assert one.secret.reveal() not in text
            assert one.secret.reveal()[16:-6] not in text
            assert one.secret.reveal().encode().hex() not in text


async def test_the_text_of_a_key_does_not_show_itself(database: Database) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("x", preset="master"))

    for shown in (repr(minted), str(minted), f"{minted.secret}", repr(database.pepper)):
        assert minted.secret.reveal() not in shown


async def test_the_last_use_is_noted_and_never_goes_back(database: Database) -> None:
    home = await an_agency(database)
    minted = await mint(database, home.caller, Draft("x", preset="master"))
    keeper = KeyKeeper(database)
    await keeper.start()

    await keeper.admit(minted.secret.reveal(), "req_1", "192.0.2.1")
    await keeper.admit(minted.secret.reveal(), "req_2", "::ffff:192.0.2.2")
    await keeper.uses.flush()
    [used] = await page(database, home.caller)
    assert used.last_used_at is not None
    assert used.last_used_ip == "192.0.2.2"

    await database.lookup(
        "select note_key_uses($1, $2, $3)", [minted.key.id, "key_gone"], [used.created_at] * 2, ["192.0.2.9"] * 2
    )
    assert await page(database, home.caller) == [used]
    await keeper.close()


async def test_the_keeper_counts_each_call_and_tells_what_is_left(database: Database) -> None:
    home = await an_agency(database)
    limited = await mint(database, home.caller, Draft("x", preset="master", rate_limit=RateLimit(2, 60)))
    free = await mint(database, home.caller, Draft("x", preset="master", rate_limit=None))
    keeper = KeyKeeper(database)
    await keeper.start()

    told = [(await keeper.admit(limited.secret.reveal(), "req_1", None)).rate for _ in range(3)]
    assert [rate and (rate.granted, rate.remaining, rate.limit) for rate in told] == [
        (True, 1, 2),
        (True, 0, 2),
        (False, 0, 2),
    ]
    admission = await keeper.admit(free.secret.reveal(), "req_1", None)
    assert (admission.rate, admission.caller.kind) == (None, CallerKind.AGENCY_KEY)
    await keeper.close()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "update api_key set revoked_at = now(), revoked_by = 'x', version = version + 1 where id = $1",
            "keys.revoked",
        ),
        (
            (
                "with rolled as (update api_key set version = version + 1 where id = $1) "
                "update api_key_secret set ends_at = now() where key_id = $1"
            ),
            "keys.expired",
        ),
    ],
)
async def test_an_ended_key_is_not_admitted_where_the_news_has_not_arrived(
    database: Database, statement: str, reason: str
) -> None:
    home = await an_agency(database)
    keeper = KeyKeeper(database)
    await keeper.start()
    minted = await mint(database, home.caller, Draft("x", preset="master"))
    await keeper.admit(minted.secret.reveal(), "req_1", None)

    async with database.transaction(home.reach) as tx:
        await tx.execute(statement, minted.key.id)

    assert (await keeper.ring.verify(minted.secret.reveal(), None)).key.revoked_at is None
    with refused(reason):
        await keeper.admit(minted.secret.reveal(), "req_2", None)
    await keeper.close()
