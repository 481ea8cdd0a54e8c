import asyncio
from typing import Any

import pytest

from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, people, workspaces
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_workspace, an_agency


async def outcomes(database: Database, home: Home, *fields: dict[str, Any]) -> tuple[list[Workspace], list[str]]:
    results = await asyncio.gather(*(a_workspace(database, home, **each) for each in fields), return_exceptions=True)
    for result in results:
        assert isinstance(result, Workspace | Refused), repr(result)
    refused = [result.reason for result in results if isinstance(result, Refused)]
    return [result for result in results if isinstance(result, Workspace)], refused


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("primaryDomain", "acme.com", "workspace.duplicate_domain"),
        ("slug", "acme", "workspace.slug_taken"),
        ("externalId", "crm-1", "workspace.external_id_taken"),
    ],
)
async def test_of_many_that_want_one_name_at_once_exactly_one_gets_it(
    database: Database, field: str, value: str, reason: str
) -> None:
    home = await an_agency(database)

    made, refused = await outcomes(database, home, *({"name": f"B{n}", field: value} for n in range(8)))

    assert len(made) == 1
    assert refused == [reason] * 7


async def test_many_of_one_name_at_once_all_get_a_slug_of_their_own(database: Database) -> None:
    home = await an_agency(database)

    made, refused = await outcomes(database, home, *({"name": "Acme"} for _ in range(12)))

    assert refused == []
    assert {workspace.slug for workspace in made} == {"acme", *(f"acme-{n}" for n in range(2, 13))}


async def test_two_that_change_to_one_domain_at_once_do_not_both_get_it(database: Database) -> None:
    home = await an_agency(database)
    both = [await a_workspace(database, home, name=f"B{n}") for n in range(2)]

    async def change(workspace: Workspace) -> Workspace:
        async with database.transaction(home.reach) as tx:
            changed = await workspaces.update(tx, home.caller, workspace.id, patch={"primaryDomain": "acme.com"})
            await asyncio.sleep(0.05)
            return changed

    results = await asyncio.gather(*map(change, both), return_exceptions=True)

    refused = [result for result in results if isinstance(result, Refused)]
    assert [each.reason for each in refused] == ["workspace.duplicate_domain"]


async def test_of_two_patches_of_one_version_one_is_told_that_it_came_late(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    async def change(name: str) -> Workspace:
        async with database.transaction(home.reach) as tx:
            return await workspaces.update(tx, home.caller, workspace.id, patch={"name": name}, expected_version=1)

    results = await asyncio.gather(change("One"), change("Two"), return_exceptions=True)

    refused = [result for result in results if isinstance(result, Refused)]
    assert [each.reason for each in refused] == ["request.precondition_failed"]


async def test_a_test_twin_is_made_once_however_many_ask(database: Database) -> None:
    home = await an_agency(database)

    twins = await asyncio.gather(*(agencies.ensure_test_twin(database, home.caller) for _ in range(6)))

    assert len(set(twins)) == 1
    twin = agencies.entering(twins[0], mode="test")
    assert await agencies.ensure_test_twin(database, twin) == twins[0]
    async with database.transaction(twin.reach) as tx:
        agency = await agencies.in_force(tx)
        assert (agency.mode, agency.live_agency_id) == ("test", home.agency_id)


async def test_two_agencies_founded_at_once_by_one_person_share_that_person(database: Database) -> None:
    founded = await asyncio.gather(
        *(people.found_agency(database, name=f"A{n}", owner_email="Ann@Example.com") for n in range(4))
    )

    assert len({each.owner.person_id for each in founded}) == 1
    assert len({each.agency.id for each in founded}) == 4
