from typing import Any

import pytest

from colonnade.ground.core.callers import CallerKind
from colonnade.ground.db.database import Database
from colonnade.tenancy.keys import Draft, KeyKeeper, RateLimit
from tests.factories import a_workspace, an_agency
from tests.tenancy.keys_calls import mint, page, refused, roll


async def test_the_text_of_a_key_is_in_no_table(database: Database, owner: Any) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    first = await mint(database, home.caller, Draft("x", preset="master"))
    made = [first, await mint(database, home.caller, Draft("x"), workspace.id)]
    made.append(await roll(database, home.caller, first.key, 60))
    keeper = KeyKeeper(database)
    for one in made:
        await keeper.admit(one.secret.reveal(), "192.0.2.1")
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

    await keeper.admit(minted.secret.reveal(), "192.0.2.1")
    await keeper.admit(minted.secret.reveal(), "::ffff:192.0.2.2")
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

    told = [(await keeper.admit(limited.secret.reveal(), None)).rate for _ in range(3)]
    assert [rate and (rate.granted, rate.remaining, rate.limit) for rate in told] == [
        (True, 1, 2),
        (True, 0, 2),
        (False, 0, 2),
    ]
    admission = await keeper.admit(free.secret.reveal(), None)
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
    await keeper.admit(minted.secret.reveal(), None)

    async with database.transaction(home.reach) as tx:
        await tx.execute(statement, minted.key.id)

    assert (await keeper.ring.verify(minted.secret.reveal(), None)).key.revoked_at is None
    with refused(reason):
        await keeper.admit(minted.secret.reveal(), None)
    await keeper.close()
