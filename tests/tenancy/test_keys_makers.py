"""Keys outlive their makers, unless somebody asks for their end."""

import pytest

from colonnade.ground.core.callers import CallerKind, Reach
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database
from colonnade.tenancy import keys
from colonnade.tenancy.keys import Draft, KeyRing
from tests.factories import a_workspace, agency_caller, an_agency
from tests.tenancy.keys_calls import facts, mint, now, page, refused, revoke


async def test_all_keys_of_a_maker_end_at_once_when_asked_and_those_of_others_stay(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    leaver = agency_caller(home.agency_id)
    made = [
        await mint(database, leaver, Draft("one", preset="master")),
        await mint(database, leaver, Draft("inside"), workspace.id),
    ]
    ended = await mint(database, leaver, Draft("ended before", preset="master"))
    await revoke(database, home.caller, ended.key)
    other = await mint(database, home.caller, Draft("other", preset="master"))
    ring = KeyRing(database)
    await ring.start()
    for one in (*made, other):
        await ring.verify(one.secret.reveal(), None)

    async with database.transaction(home.reach) as tx:
        assert await keys.standing_made_by(tx, home.caller, leaver.actor_id) == 2
        assert await keys.revoke_made_by(tx, home.caller, leaver.actor_id) == 2
        assert await keys.standing_made_by(tx, home.caller, leaver.actor_id) == 0
        assert await keys.revoke_made_by(tx, home.caller, leaver.actor_id) == 0

    for one in made:
        assert await facts(database, home, one.key) == ["keys.minted", "keys.revoked"]
    await ring.close()
    await ring.start()
    for one in made:
        with refused("keys.revoked"):
            await ring.verify(one.secret.reveal(), None)
    assert (await ring.verify(other.secret.reveal(), None)).key.id == other.key.id
    await ring.close()


async def test_who_reaches_one_workspace_ends_what_the_leaver_made_everywhere(database: Database) -> None:
    home = await an_agency(database)
    first, second = await a_workspace(database, home), await a_workspace(database, home, name="Second")
    leaver = agency_caller(home.agency_id)
    await mint(database, leaver, Draft("agency's", preset="master"))
    await mint(database, leaver, Draft("second's"), second.id)

    async with database.transaction(Reach(home.agency_id, (first.id,))) as tx:
        assert await keys.revoke_made_by(tx, home.caller, leaver.actor_id) == 2

    at = await now(database, home)
    assert [key.state(at) for key in await page(database, home.caller, second.id)] == ["revoked"]


async def test_keys_of_the_same_maker_in_another_agency_are_not_touched(database: Database) -> None:
    home, elsewhere = await an_agency(database), await an_agency(database)
    await mint(database, home.caller, Draft("mine", preset="master"))

    async with database.transaction(elsewhere.reach) as tx:
        assert await keys.revoke_made_by(tx, elsewhere.caller, home.caller.actor_id) == 0

    assert [key.revoked_at for key in await page(database, home.caller)] == [None]


async def test_a_narrowed_maker_leaves_narrower_keys_and_none_without_any_scope(database: Database) -> None:
    home = await an_agency(database)
    lowered = agency_caller(home.agency_id)
    wide = await mint(database, lowered, Draft("wide", preset="master"))
    inside = await mint(database, lowered, Draft("within", scopes=["usage:read"]))
    beyond = await mint(database, lowered, Draft("beyond", scopes=["keys:write"]))

    async with database.transaction(home.reach) as tx:
        left = frozenset({"usage:read", "content:read"})
        assert await keys.narrow_made_by(tx, home.caller, lowered.actor_id, left) == 2
        assert await keys.narrow_made_by(tx, home.caller, lowered.actor_id, left) == 0

    found = {key.id: key for key in await page(database, home.caller)}
    assert found[wide.key.id].held == left
    assert found[inside.key.id] == inside.key
    assert found[beyond.key.id].revoked_at is not None
    assert await facts(database, home, wide.key) == ["keys.minted", "keys.updated"]


async def test_ending_keys_of_others_needs_the_scope(database: Database) -> None:
    home = await an_agency(database)
    caller = agency_caller(home.agency_id, scopes=frozenset({"keys:read", "members:write"}))
    assert caller.kind is CallerKind.AGENCY_KEY

    async with database.transaction(home.reach) as tx:
        for verb in (keys.revoke_made_by(tx, caller, "mem_x"), keys.narrow_made_by(tx, caller, "mem_x", frozenset())):
            with pytest.raises(Refused, match="keys:write"):
                await verb
