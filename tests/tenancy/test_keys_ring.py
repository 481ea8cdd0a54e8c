import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from colonnade.ground.core.callers import CallerKind
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES, WORKSPACE_SCOPES
from colonnade.ground.core.secrets import Pepper, new_key_text
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database, Record
from colonnade.ground.db.listening import PULSE
from colonnade.tenancy import agencies, keys
from colonnade.tenancy.keys import Draft, KeyRing, Minted
from tests.conftest import PEPPER
from tests.factories import Home, a_workspace, an_agency


class Counting(Database):
    """The real door, which also counts the look-ups that pass through it."""

    lookups = 0

    async def lookup(self, sql: str, *arguments: Any) -> list[Record]:
        self.lookups += 1
        return await super().lookup(sql, *arguments)


async def opened(address: Address, pepper: Pepper = PEPPER) -> Counting:
    database = Counting(address, "colonnade_app", pepper, most_connections=4)
    await database.open()
    return database


@pytest_asyncio.fixture
async def counting(address: Address) -> AsyncIterator[Counting]:
    database = await opened(address)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def ring(counting: Counting) -> AsyncIterator[KeyRing]:
    ring = KeyRing(counting)
    await ring.start()
    yield ring
    await ring.close()


async def minted(database: Database, home: Home, *, workspace_id: str | None = None, **wanted: Any) -> Minted:
    draft = Draft("a key", **({"preset": "master"} if workspace_id is None else {}) | wanted)
    async with database.transaction(home.reach) as tx:
        return await keys.mint(tx, home.caller, draft, workspace_id=workspace_id)


async def revoked(database: Database, home: Home, key: Minted) -> None:
    async with database.transaction(home.reach) as tx:
        await keys.revoke(tx, home.caller, key.key.id)


async def until_refused(ring: KeyRing, key: Minted, address: str | None = None) -> None:
    for _ in range(200):
        try:
            await ring.verify(key.secret.reveal(), address)
        except Refused:
            return
        await asyncio.sleep(0.01)


async def until_listening(ring: KeyRing, wanted: bool) -> bool:
    for _ in range(300):
        if ring.is_listening is wanted:
            return True
        await asyncio.sleep(0.005)
    return False


async def reason(ring: KeyRing, text: str, address: str | None = None) -> str:
    with pytest.raises(Refused) as refusal:
        await ring.verify(text, address)
    return refusal.value.reason


async def test_a_key_says_who_calls(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    key = await minted(database, home)

    verified = await ring.verify(key.secret.reveal(), "192.0.2.1")
    caller = verified.caller

    assert (caller.kind, caller.agency_id, caller.workspace_id) == (CallerKind.AGENCY_KEY, home.agency_id, None)
    assert caller.scopes == AGENCY_SCOPES
    assert (caller.actor_id, caller.reach.workspace_ids, caller.mode) == (key.key.id, None, "live")


async def test_a_workspace_key_sees_its_workspace_alone(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    key = await minted(database, home, workspace_id=workspace.id)

    caller = (await ring.verify(key.secret.reveal(), None)).caller

    assert (caller.kind, caller.workspace_id) == (CallerKind.WORKSPACE_KEY, workspace.id)
    assert caller.reach.workspace_ids == (workspace.id,)
    assert caller.scopes == WORKSPACE_SCOPES
    assert key.secret.reveal().startswith("col_ws_live_")


async def test_what_is_no_key_is_refused_without_a_trip(counting: Counting, ring: KeyRing) -> None:
    text = new_key_text("agency", "live").reveal()
    mistyped = text[:-1] + ("A" if text[-1] != "A" else "B")

    for wrong in ("", "x", mistyped, text + "0", "Bearer " + text, text.upper()):
        assert await reason(ring, wrong) == "auth.invalid"

    assert counting.lookups == 0


async def test_an_unknown_key_is_refused(ring: KeyRing) -> None:
    assert await reason(ring, new_key_text("agency", "live").reveal()) == "auth.invalid"


async def test_a_key_works_the_moment_it_is_minted(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        key = await keys.mint(tx, home.caller, Draft("a key", preset="master"))
        assert await reason(ring, key.secret.reveal()) == "auth.invalid"

    assert (await ring.verify(key.secret.reveal(), None)).key.id == key.key.id


async def test_a_warm_key_costs_no_trip_and_a_cold_one_exactly_one(
    database: Database, counting: Counting, ring: KeyRing
) -> None:
    key = await minted(database, await an_agency(database))

    await ring.verify(key.secret.reveal(), None)
    assert counting.lookups == 1

    for _ in range(50):
        await ring.verify(key.secret.reveal(), None)
    assert counting.lookups == 1


async def test_a_herd_of_cold_keys_shares_its_trips(database: Database, counting: Counting, ring: KeyRing) -> None:
    key = await minted(database, await an_agency(database))

    await asyncio.gather(*(ring.verify(key.secret.reveal(), None) for _ in range(100)))

    assert counting.lookups <= 2


async def test_a_revoked_key_is_refused_in_every_process_and_says_when(
    database: Database, address: Address, ring: KeyRing
) -> None:
    home = await an_agency(database)
    key = await minted(database, home)
    elsewhere = await opened(address)
    other = KeyRing(elsewhere)
    await other.start()
    for one in (ring, other):
        await one.verify(key.secret.reveal(), None)

    await revoked(database, home, key)

    for one in (ring, other):
        await until_refused(one, key)
        with pytest.raises(Refused) as refusal:
            await one.verify(key.secret.reveal(), None)
        assert refusal.value.reason == "keys.revoked"
        assert refusal.value.details["revokedAt"] in refusal.value.sentence
    await other.close()
    await elsewhere.close()


async def test_a_ring_that_cannot_hear_asks_every_time(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    key = await minted(database, home)
    await ring.verify(key.secret.reveal(), None)

    [ended] = await database.lookup(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        "where query = $1 and datname = current_database()",
        PULSE,
    )
    assert ended["count"] >= 1
    assert await until_listening(ring, False)
    await revoked(database, home, key)
    assert await reason(ring, key.secret.reveal()) == "keys.revoked"

    assert await until_listening(ring, True)
    assert await reason(ring, key.secret.reveal()) == "keys.revoked"


async def test_a_ring_that_never_listened_keeps_nothing(database: Database, counting: Counting) -> None:
    ring = KeyRing(counting)
    key = await minted(database, await an_agency(database))

    for _ in range(3):
        await ring.verify(key.secret.reveal(), None)

    assert counting.lookups == 3


async def test_an_expired_key_is_refused_though_it_is_warm(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        ends = await tx.now() + timedelta(seconds=0.6)
        key = await keys.mint(tx, home.caller, Draft("short", preset="master", expires_at=ends))
    await ring.verify(key.secret.reveal(), None)

    await asyncio.sleep(0.7)

    with pytest.raises(Refused) as refusal:
        await ring.verify(key.secret.reveal(), None)
    assert refusal.value.reason == "keys.expired"
    assert "expiredAt" in refusal.value.details


@pytest.mark.parametrize(
    ("allowlist", "source", "is_let_in"),
    [
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "::ffff:192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.0/24"], "::ffff:192.0.3.0", False),
        (["::ffff:192.0.2.0/120"], "192.0.2.9", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "192.0.2.1", False),
        (["::/0"], "192.0.2.1", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["192.0.2.1", "2001:db8::7"], "2001:0db8:0:0:0:0:0:7", True),
        (["192.0.2.1"], None, False),
        (["192.0.2.1"], "testclient", False),
    ],
)
async def test_the_allowlist_decides_from_where_a_key_may_call(
    database: Database, ring: KeyRing, allowlist: list[str], source: str | None, is_let_in: bool
) -> None:
    key = await minted(database, await an_agency(database), ip_allowlist=allowlist)

    if is_let_in:
        assert (await ring.verify(key.secret.reveal(), source)).key.id == key.key.id
    else:
        assert await reason(ring, key.secret.reveal(), source) == "keys.address_refused"


async def test_a_key_made_with_the_pepper_before_still_opens(
    database: Database, address: Address, ring: KeyRing
) -> None:
    before = await opened(address, Pepper(PEPPER.keys, current=2))
    key = await minted(before, await an_agency(database))
    await before.close()

    assert (await ring.verify(key.secret.reveal(), None)).key.id == key.key.id
    assert (await ring.verify(key.secret.reveal(), None)).key.id == key.key.id


async def test_a_key_under_a_pepper_that_is_gone_is_unknown(database: Database, address: Address) -> None:
    key = await minted(database, await an_agency(database))
    without = await opened(address, Pepper({3: b"another one"}, current=3))

    assert await reason(KeyRing(without), key.secret.reveal()) == "auth.invalid"
    await without.close()


async def test_changed_scopes_count_in_every_ring(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    key = await minted(database, home)
    await ring.verify(key.secret.reveal(), None)

    async with database.transaction(home.reach) as tx:
        await keys.update(tx, home.caller, key.key.id, {"scopes": ["usage:read"]})

    for _ in range(200):
        verified = await ring.verify(key.secret.reveal(), None)
        if verified.caller.scopes == {"usage:read"}:
            break
        await asyncio.sleep(0.01)
    assert verified.caller.scopes == {"usage:read"}


async def test_a_rolled_key_opens_with_its_new_text_and_for_the_overlap_with_the_old(
    database: Database, ring: KeyRing
) -> None:
    home = await an_agency(database)
    key = await minted(database, home)

    async with database.transaction(home.reach) as tx:
        overlapping = await keys.roll(tx, home.caller, key.key.id, overlap_seconds=3600)
    assert (await ring.verify(key.secret.reveal(), None)).key.id == key.key.id
    assert (await ring.verify(overlapping.secret.reveal(), None)).key.id == key.key.id

    async with database.transaction(home.reach) as tx:
        last = await keys.roll(tx, home.caller, key.key.id)
    await until_refused(ring, overlapping)
    assert await reason(ring, key.secret.reveal()) == "keys.expired"
    assert await reason(ring, overlapping.secret.reveal()) == "keys.expired"
    assert (await ring.verify(last.secret.reveal(), None)).key.hint == last.secret.hint


async def test_a_ring_keeps_no_more_than_it_may(database: Database, counting: Counting) -> None:
    ring = KeyRing(counting, keys.RingOptions(most_entries=2))
    await ring.start()
    home = await an_agency(database)
    made = [await minted(database, home) for _ in range(3)]
    for key in made:
        await ring.verify(key.secret.reveal(), None)
    assert counting.lookups == 3

    await ring.verify(made[2].secret.reveal(), None)
    assert counting.lookups == 3
    await ring.verify(made[0].secret.reveal(), None)
    assert counting.lookups == 4
    await ring.close()


async def test_the_agencys_own_allowlist_holds_for_each_of_its_keys(database: Database, ring: KeyRing) -> None:
    home = await an_agency(database)
    caller = replace(home.caller, address="203.0.113.7")
    key = await minted(database, home)
    await ring.verify(key.secret.reveal(), "198.51.100.1")
    async with database.transaction(home.reach) as tx:
        await agencies.update_settings(tx, caller, patch={"ipAllowlist": ["203.0.113.0/24"]})

    await until_refused(ring, key, "198.51.100.1")
    assert (await ring.verify(key.secret.reveal(), "203.0.113.9")).key.id == key.key.id
    assert await reason(ring, key.secret.reveal(), "198.51.100.1") == "keys.address_refused"
