from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import BadFields, NotFound
from colonnade.ground.core.scopes import AGENCY_SCOPES, PRESETS, WORKSPACE_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, keys
from colonnade.tenancy.keys import Draft, RateLimit
from tests.factories import a_workspace, agency_caller, an_agency, workspace_caller
from tests.tenancy.keys_calls import facts, mint, now, page, refused, update


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
