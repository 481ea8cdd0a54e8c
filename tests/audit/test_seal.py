"""The seal: what is changed behind the house's back is found and named; what the house does itself is not."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import Connection, Database
from colonnade.tenancy import audit
from colonnade.tenancy.audit import seal_store
from colonnade.tenancy.audit.jobs import Sealer
from colonnade.tenancy.audit.model import Entry, canonical_text, payload_digest
from colonnade.tenancy.audit.sealing import seal
from colonnade.tenancy.audit.seals import Head, Place, Signed, chain_hash, end_text, link_text
from tests.audit.sealed_homes import (
    a_sealed_home,
    all_sealed,
    links_of,
    recorded,
    tampering,
    verdict_of,
)
from tests.conftest import PEPPER
from tests.factories import Home, an_agency


def test_a_link_and_the_end_of_a_chain_stay_as_they_are() -> None:
    entry = Entry(
        agency_id="agency_1",
        id="aud_1",
        at=datetime(2026, 2, 1, 12, 0, 0, 123456, UTC),
        actor_kind="agency_key",
        actor_id="key_1",
        actor_name="CI",
        event="workspaces.updated",
        resource_id="ws_1",
        workspace_id="ws_1",
        before=None,
        after={"name": "Ä"},
        payload_digest=payload_digest(None, {"name": "Ä"}),
        request_id="req_1",
        address="2001:db8::1",
    )
    signed = Signed(canonical_text(entry), bytes(range(32)))

    first = chain_hash("agency_1", 1, None, signed)
    second = chain_hash("agency_1", 2, first, signed)

    assert first.hex() == "56883d3ca60f653dd94fc387a2038bc5e6e785942c6fa5a74cfd063a84398386"
    assert second.hex() == "8d2d6eb1b34efd9dc0bbcc2d17a55d1d0491281697c257794265c0b7aeba10a6"
    assert link_text(bytes(32)) == f'["colonnade.link.1","{bytes(32).hex()}"]'
    assert end_text("head", "agency_1", Place(2, bytes(32), entry.at)) == (
        f'["colonnade.head.1","agency_1",2,"{bytes(32).hex()}","2026-02-01T12:00:00.123456+00:00"]'
    )


async def test_everything_that_is_recorded_is_sealed_in_its_order_and_verifies(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database, entries=12)

    verdict = await verdict_of(database, home)
    links = await links_of(owner, home)

    assert verdict.bad is None
    assert verdict.sealed_to is not None
    assert verdict.sealed_to.position == verdict.checked == len(links) >= 12
    assert verdict.sealed_to.at is not None
    assert (verdict.unsealed, verdict.erased) == (0, 0)
    assert [link["position"] for link in links] == list(range(1, len(links) + 1))
    assert [link["entry_id"] for link in links] == sorted(link["entry_id"] for link in links)


async def test_what_is_too_young_to_be_sealed_is_checked_and_counted(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    await recorded(database, home, 3)

    verdict = await verdict_of(database, home)

    assert (verdict.ok, verdict.unsealed) == (True, 3)
    async with tampering(owner, home) as hands:
        await hands.execute(
            "update audit_entry set event = 'keys.minted' where resource_id = 'key_1' and id = any ("
            "select entry_id from audit_unsealed where agency_id = $1)",
            home.agency_id,
        )
    bad = (await verdict_of(database, home)).bad
    assert bad is not None
    assert (bad.problem, bad.position) == ("tampered", None)


COLUMNS = {
    "at": "at + interval '1 microsecond'",
    "actor_kind": "'member'",
    "actor_id": "actor_id || 'x'",
    "actor_name": "actor_name || ' '",
    "event": "'keys.minted'",
    "resource_id": "'key_other'",
    "workspace_id": "'ws_00000000000000000000000000'",
    "before": "jsonb_set(before, '{limit}', '0.6')",
    "after": "null",
    "payload_digest": "set_byte(payload_digest, 7, get_byte(payload_digest, 7) # 1)",
    "request_id": "'req_other'",
    "address": "'203.0.113.9'",
    "hmac": "set_byte(hmac, 31, get_byte(hmac, 31) # 128)",
}


@pytest.mark.parametrize("column", COLUMNS)
async def test_one_changed_byte_of_an_entry_is_found_where_it_is(
    column: str, database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    links = await links_of(owner, home)
    async with tampering(owner, home) as hands:
        sql = f"update audit_entry set {column} = {COLUMNS[column]} where agency_id = $1 and id = $2"
        await hands.execute(sql, home.agency_id, links[4]["entry_id"])

    verdict = await verdict_of(database, home)

    assert verdict.bad is not None
    assert (verdict.bad.problem, verdict.bad.position, verdict.bad.entry_id) == ("tampered", 5, links[4]["entry_id"])
    assert verdict.checked == 4
    assert verdict.sealed_to is not None
    assert verdict.sealed_to.position == 4


@pytest.mark.parametrize("column", ["previous_hash", "hash", "mac"])
async def test_one_changed_byte_of_a_link_is_found_where_it_is(
    column: str, database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    async with tampering(owner, home) as hands:
        changed = f"{column} = set_byte({column}, 0, get_byte({column}, 0) # 1)"
        await hands.execute(f"update audit_seal set {changed} where agency_id = $1 and position = 3", home.agency_id)

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position) == ("tampered", 3)


@pytest.mark.parametrize("with_its_link", [False, True], ids=["alone", "with its link"])
async def test_a_deleted_entry_is_found_where_it_was(
    with_its_link: bool, database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    links = await links_of(owner, home)
    async with tampering(owner, home) as hands:
        await hands.execute(
            "delete from audit_entry where agency_id = $1 and id = $2", home.agency_id, links[3]["entry_id"]
        )
        if with_its_link:
            await hands.execute("delete from audit_seal where agency_id = $1 and position = 4", home.agency_id)

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position) == ("missing", 4)
    assert bad.entry_id == (None if with_its_link else links[3]["entry_id"])


async def test_a_deleted_entry_that_waited_for_its_seal_is_missed(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    await recorded(database, home, 1)
    async with tampering(owner, home) as hands:
        gone = await hands.fetchval("select entry_id from audit_unsealed where agency_id = $1", home.agency_id)
        await hands.execute("delete from audit_entry where agency_id = $1 and id = $2", home.agency_id, gone)
    await all_sealed(worker_database)

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position, bad.entry_id) == ("missing", None, gone)


@pytest.mark.parametrize("column", ["entry_id", "position"])
async def test_two_swapped_links_are_found_at_the_first_of_them(
    column: str, database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    links = await links_of(owner, home)
    first, second = links[2][column], links[5][column]
    between = "aud_between" if column == "entry_id" else 1000
    async with tampering(owner, home) as hands:
        for old, new in ((first, between), (second, first), (between, second)):
            sql = f"update audit_seal set {column} = $3 where agency_id = $1 and {column} = $2"
            await hands.execute(sql, home.agency_id, old, new)

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position, bad.entry_id) == ("misplaced", 3, links[5]["entry_id"])


async def test_two_entries_that_changed_their_ids_are_found_at_the_first_of_them(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    links = await links_of(owner, home)
    first, second = links[2]["entry_id"], links[5]["entry_id"]
    async with tampering(owner, home) as hands:
        for old, new in ((first, "aud_between"), (second, first), ("aud_between", second)):
            await hands.execute(
                "update audit_entry set id = $3 where agency_id = $1 and id = $2", home.agency_id, old, new
            )

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position, bad.entry_id) == ("tampered", 3, first)


async def test_a_chain_that_was_made_anew_without_the_key_is_found_at_its_first_link(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    links = await links_of(owner, home)
    async with tampering(owner, home) as hands:
        await hands.execute(
            "delete from audit_entry where agency_id = $1 and id = $2", home.agency_id, links[3]["entry_id"]
        )
        await hands.execute("delete from audit_seal where agency_id = $1 and position >= 4", home.agency_id)
        await hands.execute("delete from audit_head where agency_id = $1", home.agency_id)
        await hands.execute("delete from audit_checkpoint where agency_id = $1", home.agency_id)
        await hands.execute(
            "insert into audit_unsealed (agency_id, entry_id) select $1, unnest($2::text[])",
            home.agency_id, [link["entry_id"] for link in links[4:]],
        )  # fmt: skip
    async with worker_database.transaction(home.reach) as tx:
        tx.pepper = Pepper({1: b"a key that somebody made up ....."}, 1)
        await seal_store.move_head(tx, Head(home.agency_id, 3, links[2]["hash"], await tx.now(), bytes(32), 1))
        assert await seal(tx) == len(links) - 4

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position) == ("tampered", 4)


async def test_a_cut_end_is_noticed(database: Database, worker_database: Database, owner: Connection) -> None:
    home = await a_sealed_home(database, worker_database)
    links = await links_of(owner, home)
    async with tampering(owner, home) as hands:
        for table, column in (("audit_seal", "entry_id"), ("audit_entry", "id")):
            ids = [link["entry_id"] for link in links[-2:]]
            await hands.execute(
                f"delete from {table} where agency_id = $1 and {column} = any ($2)", home.agency_id, ids
            )

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert (bad.problem, bad.position) == ("cut", len(links) - 1)


async def test_an_old_head_does_not_hide_a_cut_end_from_who_wrote_a_later_place_down(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    before = await state_of(owner, home)
    await recorded(database, home, 2)
    await all_sealed(worker_database)
    noted = (await verdict_of(database, home)).sealed_to
    async with tampering(owner, home) as hands:
        await hands.execute("delete from audit_entry where agency_id = $1 and id > $2", home.agency_id, before["last"])
        await hands.execute(
            "delete from audit_seal where agency_id = $1 and position > $2", home.agency_id, before["position"]
        )
        await hands.execute(
            "update audit_head set position = $2, hash = $3, at = $4, mac = $5 where agency_id = $1",
            home.agency_id, before["position"], before["hash"], before["at"], before["mac"],
        )  # fmt: skip

    unaware, aware = await verdict_of(database, home), await verdict_of(database, home, known=noted)

    assert unaware.ok, "who owns the database may put all of it back to an earlier state"
    assert aware.bad is not None
    assert (aware.bad.problem, aware.bad.position) == ("cut", before["position"] + 1)


async def test_a_chain_that_went_another_way_since_is_found_by_who_wrote_a_place_down(
    database: Database, worker_database: Database
) -> None:
    home = await a_sealed_home(database, worker_database)

    good = await verdict_of(database, home)
    assert good.sealed_to is not None
    other = audit.Place(3, bytes(32))

    assert (await verdict_of(database, home, known=good.sealed_to)).ok
    bad = (await verdict_of(database, home, known=other)).bad
    assert bad is not None
    assert (bad.problem, bad.position) == ("tampered", 3)


async def state_of(owner: Connection, home: Home) -> Any:
    async with tampering(owner, home) as hands:
        return await hands.fetchrow(
            "select h.*, (select max(id) from audit_entry where agency_id = $1) as last from audit_head h "
            "where h.agency_id = $1",
            home.agency_id,
        )


@pytest.mark.parametrize("table", ["audit_head", "audit_checkpoint"])
@pytest.mark.parametrize("column", ["hash", "mac", "at", "position"])
async def test_a_changed_signature_of_the_end_is_found(
    table: str, column: str, database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    changed = {"at": "at + interval '1 second'", "position": "position - 1"}.get(
        column, f"set_byte({column}, 0, get_byte({column}, 0) # 1)"
    )
    async with tampering(owner, home) as hands:
        await hands.execute(f"update {table} set {column} = {changed} where agency_id = $1", home.agency_id)

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert bad.problem == "tampered"


async def test_an_entry_of_which_link_and_place_in_the_queue_are_taken_away_is_found(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    await recorded(database, home, 1)
    async with tampering(owner, home) as hands:
        await hands.execute("delete from audit_unsealed where agency_id = $1", home.agency_id)

    bad = (await verdict_of(database, home)).bad

    assert bad is not None
    assert bad.problem == "unsealed"


async def test_a_key_that_was_rotated_and_kept_still_verifies_and_one_that_is_gone_is_called_another_key(
    database: Database, worker_database: Database
) -> None:
    home = await a_sealed_home(database, worker_database)
    kept = Pepper({**PEPPER.keys, 3: b"the new one, of thirty-two bytes"}, 3)
    lost = Pepper({3: b"the new one, of thirty-two bytes"}, 3)

    assert (await verdict_of(database, home, pepper=kept)).ok
    bad = (await verdict_of(database, home, pepper=lost)).bad
    assert bad is not None
    assert (bad.problem, bad.position) == ("other_key", 1)


async def test_two_that_seal_at_once_make_one_chain(database: Database, worker_database: Database) -> None:
    homes = [await an_agency(database) for _ in range(3)]

    async def write(home: Home) -> None:
        await recorded(database, home, 25)

    async def keep_sealing(writing: "asyncio.Future[Any]") -> None:
        while not writing.done():
            await Sealer(worker_database).round()

    writing = asyncio.gather(*(write(home) for home in homes for _ in range(4)))
    await asyncio.gather(writing, *(keep_sealing(writing) for _ in range(3)))
    await all_sealed(worker_database)

    for home in homes:
        verdict = await verdict_of(database, home)
        assert verdict.bad is None
        assert verdict.unsealed == 0
        assert verdict.checked >= 100


async def test_a_transaction_that_stays_open_keeps_nobody_elses_entries_from_their_seal(
    database: Database, worker_database: Database
) -> None:
    home, other = await an_agency(database), await an_agency(database)
    async with database.transaction(home.reach) as late:
        await audit.record(late, home.caller, "keys.minted", new_id("key"))
        await recorded(database, other, 2)
        await recorded(database, home, 2)
        await all_sealed(worker_database)
        open_still = await verdict_of(database, home)

        assert (await verdict_of(database, other)).unsealed == open_still.unsealed == 0
    await all_sealed(worker_database)

    verdict = await verdict_of(database, home)
    assert (verdict.ok, verdict.unsealed, verdict.checked) == (True, 0, open_still.checked + 1)
