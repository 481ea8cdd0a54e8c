import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.secrets import Pepper, new_key_text
from colonnade.ground.db.database import Database
from colonnade.tenancy import audit
from colonnade.tenancy.audit.model import Entry, canonical_json, canonical_text, payload_digest
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller
from tests.sweep.watching import Sweep

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


async def entries_of(database: Database, home: Home, **filters: Any) -> list[Entry]:
    async with database.transaction(home.reach) as tx:
        found, _ = await audit.page(tx, home.caller, audit.Filters(**filters), limit=100)
    return found


def test_the_canonical_text_of_an_entry_stays_as_it_is() -> None:
    before, after = {"name": "Ä", "limit": 0.5}, {"name": None, "limit": 1e22}
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
        before=before,
        after=after,
        payload_digest=payload_digest(before, after),
        request_id="req_1",
        address="2001:db8::1",
    )
    assert canonical_json([before, after]) == (
        '[{"limit":0.5,"name":"\\u00c4"},{"limit":10000000000000000000000,"name":null}]'
    )
    assert canonical_text(entry) == (
        '["colonnade.audit.1","agency_1","aud_1","2026-02-01T12:00:00.123456+00:00","ws_1","agency_key","key_1","CI",'
        '"req_1","2001:0db8:0000:0000:0000:0000:0000:0001","workspaces.updated","ws_1",'
        '"b2db28427c3ac434162458d1091bb0f6fda6fbb74c14db98b68f5af46420aeca"]'
    )
    assert Pepper({1: b"k" * 32}, 1).digest(canonical_text(entry)).hex() == (
        "5d3c1a4378298109d62df34ad96cebe00ec52cef7b082e63eebdb4bf853582e5"
    )


@given(JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
async def test_the_digest_of_a_payload_survives_its_stay_in_the_database(database: Database, value: Any) -> None:
    [row] = await database.lookup("select $1::jsonb as value", {"value": value})

    assert canonical_json(row["value"]) == canonical_json({"value": value})
    assert json.loads(canonical_json({"value": value})) is not None


async def test_an_entry_can_be_checked_from_what_is_stored_of_it(database: Database) -> None:
    home = await an_agency(database)
    caller = agency_caller(home.agency_id, address="::FFFF:203.0.113.9")
    async with database.transaction(home.reach) as tx:
        await audit.record(
            tx, caller, "keys.updated", "key_1", before={"limit": 1e16, "name": "é"}, after={"limit": 0.125}
        )

    [entry] = await entries_of(database, home, resource_id="key_1")

    async with database.transaction(home.reach) as tx:
        row = await tx.fetchone("select hmac, key_id, xid::text from audit_entry where id = $1", entry.id)
    assert entry.payload_digest == payload_digest(entry.before, entry.after)
    assert row["hmac"] == database.pepper.digest(canonical_text(entry), row["key_id"])
    assert int(row["xid"]) > 0


async def test_the_fact_and_its_announcement_commit_with_the_command_or_not_at_all(
    database: Database, worker_database: Database
) -> None:
    home = await an_agency(database)

    async def nothing_comes_of_it() -> None:
        async with database.transaction(home.reach) as tx:
            await audit.record(tx, home.caller, "keys.minted", "key_never")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await nothing_comes_of_it()
    async with database.transaction(home.reach) as tx:
        await audit.record(tx, home.caller, "keys.minted", "key_1")

    assert await entries_of(database, home, resource_id="key_never") == []
    [entry] = await entries_of(database, home, resource_id="key_1")
    async with worker_database.transaction(home.reach) as tx:
        rows = await tx.fetch("select * from outbox where event = 'keys.minted'")
    assert [(row["resource_id"], row["audit_id"], row["attempts"]) for row in rows] == [("key_1", entry.id, 0)]


async def test_many_commands_of_one_transaction_are_recorded_each(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    callers = [agency_caller(home.agency_id) for _ in range(3)]

    async with database.transaction(home.reach) as tx:
        await audit.record_all(tx, [])
        await audit.record_all(
            tx, [(caller, audit.Fact("credits.held", new_id("hold"), workspace.id)) for caller in callers]
        )

    entries = await entries_of(database, home, event="credits.held")
    assert [entry.actor_id for entry in entries] == [caller.actor_id for caller in reversed(callers)]
    assert {entry.workspace_id for entry in entries} == {workspace.id}


async def test_a_key_never_stands_in_the_log_whoever_put_it_there(database: Database, sweep: Sweep) -> None:
    home = await an_agency(database)
    key = new_key_text("agency", "live").reveal()
    sweep.known.spare(key)

    workspace = await a_workspace(database, home, name=f"Acme {key}", metadata={key: [key]})

    [entry] = await entries_of(database, home, resource_id=workspace.id)
    assert key not in str(entry)
    assert entry.after is not None
    assert entry.after["name"] == "Acme col_…"


async def test_what_is_not_on_the_list_of_events_is_a_mistake_of_ours(database: Database) -> None:
    home = await an_agency(database)

    async with database.transaction(home.reach) as tx:
        with pytest.raises(AssertionError):
            await audit.record(tx, home.caller, "workspaces.exploded", "ws_1")


async def test_what_a_workspace_caller_does_is_told_of_its_workspace(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    caller = workspace_caller(home, workspace)
    async with database.transaction(caller.reach) as tx:
        await audit.record(tx, caller, "posts.created", "post_1")

    [entry] = await entries_of(database, home, resource_id="post_1")

    assert (entry.workspace_id, entry.actor_kind) == (workspace.id, "workspace_key")


async def test_the_log_is_paged_from_the_newest_on(database: Database) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        for number in range(7):
            await audit.record(tx, home.caller, "keys.minted", f"key_{number}")

    seen: list[str] = []
    after, more = None, True
    while more:
        async with database.transaction(home.reach) as tx:
            found, more = await audit.page(tx, home.caller, audit.Filters(event="keys.minted"), limit=3, after_id=after)
        seen += [entry.resource_id for entry in found]
        after = found[-1].id

    assert seen == [f"key_{number}" for number in range(6, -1, -1)]


async def test_outbox_rows_are_claimed_once_across_agencies_and_come_back_when_their_lease_ends(
    database: Database, worker_database: Database
) -> None:
    homes = [await an_agency(database) for _ in range(2)]
    claim = "select * from claim_outbox($1, 10000, $2)"

    first = await worker_database.lookup(claim, "one", 60)
    second = await worker_database.lookup(claim, "two", 60)

    claimed = {row["agency_id"] for row in first}
    assert {home.agency_id for home in homes} <= claimed
    assert not {row["id"] for row in first} & {row["id"] for row in second}
    async with worker_database.transaction(homes[0].reach) as tx:
        await tx.execute("update outbox set available_at = now() where agency_id = $1", homes[0].agency_id)
    third = await worker_database.lookup(claim, "three", 60)
    assert {row["agency_id"] for row in third} == {homes[0].agency_id}
    assert {row["attempts"] for row in third} == {2}
