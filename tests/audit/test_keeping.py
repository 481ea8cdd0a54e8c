"""Keeping the log: nobody changes it, payloads go when an agency no longer wants them, the house looks after it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.db.database import Connection, Database
from colonnade.tenancy import agencies, audit
from colonnade.tenancy.audit.jobs import Sealer, erase_due, verify_due
from tests.audit.sealed_homes import a_sealed_home, all_sealed, recorded, tampering, verdict_of
from tests.factories import Home, a_workspace, an_agency

ONCE = ["audit_entry", "audit_seal", "audit_checkpoint"]


@pytest.mark.parametrize("table", ONCE)
@pytest.mark.parametrize(
    "statement",
    ["update {} set agency_id = agency_id", "delete from {}", "truncate {}", "alter table {} disable trigger all"],
    ids=["update", "delete", "truncate", "alter"],
)
async def test_what_was_recorded_and_sealed_can_be_changed_by_neither_role(
    table: str, statement: str, database: Database, worker_database: Database
) -> None:
    home = await a_sealed_home(database, worker_database, entries=1)

    for door in (database, worker_database):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with door.transaction(home.reach) as tx:
                await tx.execute(statement.format(table))


async def test_a_server_can_neither_seal_nor_erase(database: Database, worker_database: Database) -> None:
    home = await a_sealed_home(database, worker_database, entries=1)

    for sql in (
        "select erase_audit_payloads(now(), null, 1)",
        "select * from agencies_to_seal(1)",
        "insert into audit_seal select * from audit_seal",
        "insert into audit_checkpoint select * from audit_checkpoint",
        "update audit_head set position = 1",
        "delete from audit_unsealed",
        "update audit_unsealed set lost = true",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction(home.reach) as tx:
                await tx.execute(sql)


async def entries_of(database: Database, home: Home) -> list[audit.Entry]:
    async with database.transaction(home.reach) as tx:
        return (await audit.page(tx, home.caller, audit.Filters(), limit=100))[0]


async def aged(owner: Connection, home: Home, days: int) -> None:
    """Let the updates of keys be this old; their digests are those of another instant then, which is not asked here."""
    async with tampering(owner, home) as hands:
        await hands.execute(
            "update audit_entry set at = at - make_interval(days => $2) "
            "where agency_id = $1 and event = 'keys.updated'",
            home.agency_id,
            days,
        )


async def test_old_entries_lose_their_payload_and_nothing_else_when_the_agency_wants_that(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home, other = await an_agency(database), await an_agency(database)
    for one in (home, other):
        await recorded(database, one, 5)
        await aged(owner, one, 31)
        await recorded(database, one, 2)
    async with database.transaction(home.reach) as tx:
        await agencies.update_settings(tx, home.caller, patch={"auditRetentionDays": 30})
    before = await entries_of(database, home)

    assert await erase_due(worker_database) >= 5
    again = await erase_due(worker_database)

    after = {entry.id: entry for entry in await entries_of(database, home)}
    for entry in before:
        gone = entry.at < datetime.now(UTC) - timedelta(days=30)
        kept = after[entry.id]
        assert (kept.payload_digest, kept.event) == (entry.payload_digest, entry.event)
        assert (kept.before, kept.after) == ((None, None) if gone else (entry.before, entry.after))
    assert again == 0
    [told] = [one.after for one in after.values() if one.event == "audit.payloads_erased"]
    assert told is not None
    assert told["entries"] == 5
    assert all(entry.after for entry in await entries_of(database, other) if entry.event == "keys.updated")


async def test_an_erased_payload_does_not_break_the_seal(database: Database, worker_database: Database) -> None:
    home = await a_sealed_home(database, worker_database, entries=6)
    workspace = await a_workspace(database, home)
    await all_sealed(worker_database)
    soon = datetime.now(UTC) + timedelta(days=1)
    async with worker_database.transaction(home.reach) as tx:
        erased = await audit.erase_payloads(tx, home.caller, before=soon, workspace_id=workspace.id)
    of_workspace = await verdict_of(database, home)
    async with worker_database.transaction(home.reach) as tx:
        rest = await audit.erase_payloads(tx, home.caller, before=soon)

    verdict = await verdict_of(database, home)

    assert (of_workspace.ok, of_workspace.erased, erased) == (True, 1, 1)
    assert (verdict.ok, verdict.erased) == (True, erased + rest)


async def test_payloads_are_erased_within_the_agency_in_scope_alone_and_so_many_at_once(
    database: Database, worker_database: Database
) -> None:
    home, other = await a_sealed_home(database, worker_database), await a_sealed_home(database, worker_database)
    soon = datetime.now(UTC) + timedelta(days=1)

    async with worker_database.transaction(home.reach) as tx:
        assert await audit.erase_payloads(tx, home.caller, before=soon, most=3) == 3
    async with worker_database.transaction(home.caller.within(new_id("ws")).reach) as tx:
        assert await audit.erase_payloads(tx, home.caller, before=soon) == 0

    assert (await verdict_of(database, home)).erased == 3
    assert (await verdict_of(database, other)).erased == 0


async def test_a_log_that_was_changed_is_found_by_the_house_itself_and_told(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home, other = await a_sealed_home(database, worker_database), await a_sealed_home(database, worker_database)
    async with tampering(owner, home) as hands:
        await hands.execute("delete from audit_seal where agency_id = $1 and position = 2", home.agency_id)
    [before] = await database.lookup("select * from seal_lag()")

    while await verify_due(worker_database, most=100):
        continue

    [after] = await database.lookup("select * from seal_lag()")
    found = [entry for entry in await entries_of(database, home) if entry.event == "audit.seal_broken"]
    assert [entry.after for entry in found] == [{"problem": "missing", "position": 2, "entryId": None}]
    assert found[0].actor_id == "house"
    assert not [entry for entry in await entries_of(database, other) if entry.event == "audit.seal_broken"]
    assert after["broken"] >= before["broken"] + 1
    assert await verify_due(worker_database) == 0, "nobody is looked at again before the time"


async def test_an_entry_that_is_gone_before_its_seal_keeps_nothing_waiting_and_is_told(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database)
    await recorded(database, home, 2)
    [before] = await database.lookup("select * from seal_lag()")
    async with tampering(owner, home) as hands:
        await hands.execute(
            "delete from audit_entry where agency_id = $1 and id = "
            "(select min(entry_id) from audit_unsealed where agency_id = $1)",
            home.agency_id,
        )

    await all_sealed(worker_database)
    await Sealer(worker_database).round()

    [after] = await database.lookup("select * from seal_lag()")
    waiting = await worker_database.lookup("select * from agencies_to_seal(1000)")
    assert home.agency_id not in {row["agency_id"] for row in waiting}
    assert after["broken"] == before["broken"] + 1
    assert after["unsealed"] == 0


async def test_a_checkpoint_is_set_at_first_and_then_for_every_hour(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    home = await a_sealed_home(database, worker_database, entries=1)
    await recorded(database, home, 1)
    await all_sealed(worker_database)

    async def checkpoints() -> list[Any]:
        async with tampering(owner, home) as hands:
            sql = "select position, at from audit_checkpoint where agency_id = $1 order by position"
            return await hands.fetch(sql, home.agency_id)

    assert len(await checkpoints()) == 1
    async with tampering(owner, home) as hands:
        await hands.execute(
            "update audit_checkpoint set at = at - interval '61 minutes' where agency_id = $1", home.agency_id
        )
    await recorded(database, home, 1)
    await all_sealed(worker_database)

    assert len(await checkpoints()) == 2


async def test_one_agency_whose_log_cannot_be_sealed_keeps_no_other_waiting(
    database: Database, worker_database: Database, owner: Connection
) -> None:
    broken, sound = await a_sealed_home(database, worker_database), await an_agency(database)
    await recorded(database, broken, 1)
    await recorded(database, sound, 1)
    async with tampering(owner, broken) as hands:
        await hands.execute("update audit_head set position = 1 where agency_id = $1", broken.agency_id)

    await all_sealed(worker_database)

    assert (await verdict_of(database, sound)).unsealed == 0
    bad = (await verdict_of(database, broken)).bad
    assert bad is not None
    assert bad.problem == "tampered"
    async with tampering(owner, broken) as hands:
        await hands.execute("delete from audit_unsealed where agency_id = $1", broken.agency_id)


async def logged(database: Database, home: Home | None, days: int) -> str:
    request_id = new_request_id()
    entry = {
        "agency_id": None if home is None else home.agency_id,
        "request_id": request_id,
        "at": (datetime.now(UTC) - timedelta(days=days)).isoformat(),
        "method": "GET",
        "path": "/v1/agency",
        "status": 200,
        "duration_ms": 1.0,
    }
    await database.lookup("select log_requests($1)", [entry])
    return request_id


async def test_calls_are_forgotten_when_their_agency_no_longer_wants_them(
    database: Database, worker_database: Database
) -> None:
    usual, short, long = [await an_agency(database) for _ in range(3)]
    for home, days in ((short, 2), (long, 400)):
        async with database.transaction(home.reach) as tx:
            await agencies.update_settings(tx, home.caller, patch={"requestLogRetentionDays": days})
    ids = {
        (name, days): await logged(database, home, days)
        for name, home in {"usual": usual, "short": short, "long": long, "nobody": None}.items()
        for days in (1, 3, 89, 91, 399, 401)
    }

    while await worker_database.pool.fetchval("select forget_requests($1, 5000)", timedelta(days=90)) == 5000:
        continue

    kept = set()
    for home in (usual, short, long):
        async with database.transaction(home.reach) as tx:
            rows = await tx.fetch("select request_id from request_log where agency_id = $1", home.agency_id)
            kept |= {row["request_id"] for row in rows}
    left = {key for key, request_id in ids.items() if request_id in kept}
    assert left == {
        *(("usual", days) for days in (1, 3, 89)),
        ("short", 1),
        *(("long", days) for days in (1, 3, 89, 91, 399)),
    }


async def test_sealing_goes_on_while_the_log_is_verified(database: Database, worker_database: Database) -> None:
    home = await a_sealed_home(database, worker_database, entries=30)

    async def write() -> None:
        for _ in range(10):
            await recorded(database, home, 5)
            await Sealer(worker_database).round()

    writing = asyncio.create_task(write())
    verdicts = []
    while not writing.done():
        verdicts.append(await verdict_of(database, home))
    await writing

    assert len(verdicts) > 1
    assert [verdict.bad for verdict in verdicts] == [None] * len(verdicts)
