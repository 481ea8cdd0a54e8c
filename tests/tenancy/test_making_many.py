"""Many workspaces at once are what they would have been one by one, at the price of a few."""

import asyncio
import random
from typing import Any

import pytest

from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, audit, workspaces
from colonnade.tenancy.workspaces import Workspace
from colonnade.tenancy.workspaces.model import Made
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller

Sent = list[dict[str, Any]]
TAKEN = {"workspace.slug_taken", "workspace.external_id_taken", "workspace.duplicate_domain"}


async def at_once(database: Database, home: Home, each: Sent) -> list[Made]:
    async with database.transaction(home.reach) as tx:
        return await workspaces.create_many(tx, home.caller, each=each)


async def one_by_one(database: Database, home: Home, each: Sent) -> list[Made]:
    made: list[Made] = []
    for fields in each:
        try:
            made.append(await a_workspace(database, home, **fields))
        except Refused as refused:
            made.append(refused)
    return made


def told(made: list[Made]) -> list[Any]:
    """What became of each, without ids and times; of several names that are others', which is told may differ."""
    return [
        ("taken" if one.reason in TAKEN else one.reason, [(bad.pointer, bad.detail) for bad in one.errors])
        if isinstance(one, Refused)
        else {**one.profile.as_sent(), "ownerId": one.owner_id is not None}
        for one in made
    ]


def some(seed: int) -> Sent:
    """Sixty of which many want the same."""
    chance = random.Random(seed)
    names = ["Acme", "ACME!", "Acme 2", "Brand", "b" * 60, "無印良品"]
    each: Sent = [{"name": chance.choice(names)} for _ in range(60)]
    for fields in each:
        if chance.random() < 0.3:
            fields["slug"] = chance.choice(["acme", "acme-2", "acme-5", "brand", "Not One"])
        if chance.random() < 0.4:
            fields["externalId"] = f"e-{chance.randrange(12)}"
        if chance.random() < 0.5:
            fields["primaryDomain"] = f"d{chance.randrange(10)}.example"
            fields["allowDuplicateDomain"] = chance.random() < 0.3
    return each


@pytest.mark.parametrize("seed", range(6))
async def test_many_at_once_become_what_they_become_one_by_one(database: Database, seed: int) -> None:
    one, other = await an_agency(database), await an_agency(database)
    first, second = some(seed)[:20], some(seed)[20:]

    apart = [*await one_by_one(database, one, first), *await one_by_one(database, one, second)]
    together = [*await at_once(database, other, first), *await at_once(database, other, second)]

    assert told(together) == told(apart)
    assert {type(made) for made in together} > {Workspace}


async def test_each_leaves_a_record_of_its_own_in_their_order(database: Database, worker_database: Database) -> None:
    home = await an_agency(database)
    alone = await a_workspace(database, home, name="Alone", tags=["tier:premium"])
    each: Sent = [{"name": f"Brand {n}", "tags": ["tier:premium"]} for n in range(5)]
    made = await at_once(database, home, [*each, {"name": ""}])

    async with database.transaction(home.reach) as tx:
        entries, _ = await audit.page(tx, home.caller, audit.Filters(event="workspaces.created"), limit=100)
    async with worker_database.transaction(home.reach) as tx:
        announced = await tx.fetch(
            "select audit_id, workspace_id from outbox where agency_id = $1 and event = 'workspaces.created'",
            home.agency_id,
        )

    expected = [alone.id, *(one.id for one in made if isinstance(one, Workspace))]
    assert [(entry.resource_id, entry.workspace_id) for entry in reversed(entries)] == [(one, one) for one in expected]
    assert {(row["audit_id"], row["workspace_id"]) for row in announced} == {(e.id, e.workspace_id) for e in entries}
    assert {(entry.actor_id, entry.before, entry.after and frozenset(entry.after)) for entry in entries} == {
        (home.caller.actor_id, None, frozenset({"name", "slug", "timezone", "tags", "ownerId"}))
    }


async def test_a_hundred_ask_the_database_no_more_often_than_ten(database: Database) -> None:
    home = await an_agency(database)

    async def asked(name: str, count: int) -> int:
        heard: list[Any] = []
        async with database.transaction(home.reach) as tx:
            with tx._connection.query_logger(heard.append):
                await workspaces.create_many(tx, home.caller, each=[{"name": name} for _ in range(count)])
                await tx.now()  # what was asked is told a moment later
        return len(heard)

    assert await asked("Ten", 10) == await asked("Hundred", 100)


async def test_a_bad_one_hinders_no_other_and_says_why(database: Database) -> None:
    home = await an_agency(database)
    async with database.transaction(home.reach) as tx:
        await agencies.update_settings(tx, home.caller, patch={"lockedSettings": ["creditPool"]})

    made = await at_once(
        database,
        home,
        [
            {"name": "Good"},
            {"name": "Locked", "settings": {"creditPool": "workspace"}},
            {"name": "Key", "integrations": ["ahrefs"]},
            {"name": "Owner", "ownerId": "mem_nobody"},
            {"name": "Template", "templates": ["tmpl_any"]},
            {"name": "Zone", "timezone": "Mars/Olympus"},
            {"name": "Last", "ownerId": home.owner_id},
        ],
    )

    assert [one.reason if isinstance(one, Refused) else one.name for one in made] == [
        "Good",
        "settings.locked",
        "settings.byok_without_key",
        *["request.invalid"] * 3,
        "Last",
    ]
    assert [one.errors[0].pointer for one in made[3:6] if isinstance(one, Refused)] == [
        "/ownerId",
        "/templates",
        "/timezone",
    ]


async def test_two_who_make_the_same_at_once_in_opposite_order_share_it(database: Database) -> None:
    home = await an_agency(database)
    each: Sent = [{"name": f"Brand {n}", "externalId": f"e-{n}"} for n in range(80)]

    one, other = await asyncio.gather(at_once(database, home, each), at_once(database, home, each[::-1]))

    made = [made.external_id for made in [*one, *other] if isinstance(made, Workspace)]
    assert sorted(made, key=str) == sorted(f"e-{n}" for n in range(80))
    late = {made.reason for made in [*one, *other] if isinstance(made, Refused)}
    assert late == {"workspace.external_id_taken"}


async def test_many_are_made_by_who_may_make_one(database: Database) -> None:
    home = await an_agency(database)
    narrow = workspace_caller(home, await a_workspace(database, home), scopes=AGENCY_SCOPES)
    lacking = agency_caller(home.agency_id, scopes=AGENCY_SCOPES - {"workspaces:create"})

    for caller, reason in ((narrow, "keys.wrong_kind"), (lacking, "keys.scope_missing")):
        async with database.transaction(caller.reach) as tx:
            with pytest.raises(Refused) as refused:
                await workspaces.create_many(tx, caller, each=[{"name": "X"}])
        assert refused.value.reason == reason
