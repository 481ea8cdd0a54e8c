import csv
from pathlib import Path
from typing import Any

import pytest

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import audit, workspaces
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_workspace, agency_caller, an_agency, workspace_caller

ROSTER = Path(__file__).parents[2] / "examples" / "roster.csv"


async def changed(database: Database, home: Home, workspace: Workspace, **patch: Any) -> Workspace:
    async with database.transaction(home.reach) as tx:
        return await workspaces.update(tx, home.caller, workspace.id, patch=patch)


async def entries_about(database: Database, home: Home, resource_id: str) -> list[audit.Entry]:
    async with database.transaction(home.reach) as tx:
        found, _ = await audit.page(tx, home.caller, audit.Filters(resource_id=resource_id), limit=100)
    return found


async def test_the_whole_example_roster_becomes_workspaces(database: Database) -> None:
    home = await an_agency(database)
    with ROSTER.open(encoding="utf-8", newline="") as file:
        brands = [{**row, "tags": row["tags"].split(";")} for row in csv.DictReader(file)]

    made = [await a_workspace(database, home, **brand) for brand in brands]

    assert len({workspace.slug for workspace in made}) == 38
    by_name = {workspace.name: workspace for workspace in made}
    assert by_name["Fjällräven"].slug == "fjallraven"
    assert by_name["Arc'teryx"].slug == "arcteryx"
    assert by_name["innocent drinks"].slug == "innocent-drinks"
    assert by_name["Muji"].timezone == "Asia/Tokyo"
    assert by_name["Muji"].tags == ("industry:retail", "tier:standard")
    assert all(workspace.owner_id == home.owner_id for workspace in made)


async def test_every_bad_field_is_named_at_once(database: Database) -> None:
    home = await an_agency(database)
    fields = {
        "name": "",
        "primaryDomain": "acme.com/about",
        "slug": "Not A Slug",
        "timezone": "Mars/Olympus",
        "tags": ["plain"],
        "settings": {"approvalPolicy": {"publish": "maybe"}, "colour": 1, "publishing": {"kind": "webhook"}},
        "brand": {"icps": "none"},
        "balance": 5,
    }

    with pytest.raises(BadFields) as refused:
        await a_workspace(database, home, **fields)

    assert {error.pointer for error in refused.value.errors} == {
        *("/name", "/primaryDomain", "/slug", "/timezone", "/tags/0", "/brand/icps", "/balance"),
        *("/settings/approvalPolicy/publish", "/settings/colour", "/settings/publishing/url"),
    }


async def test_a_second_active_workspace_with_the_same_domain_is_refused_naming_the_first(database: Database) -> None:
    home = await an_agency(database)
    first = await a_workspace(database, home, primaryDomain="acme.com")

    with pytest.raises(Refused) as refused:
        await a_workspace(database, home, name="Other", primaryDomain="ACME.com")

    assert refused.value.reason == "workspace.duplicate_domain"
    assert refused.value.details == {"workspaceId": first.id}
    twin = await a_workspace(database, home, name="Other", primaryDomain="acme.com", allowDuplicateDomain=True)
    assert twin.primary_domain == "acme.com"


async def test_an_archived_workspace_frees_its_domain_and_is_not_restored_over_another(database: Database) -> None:
    home = await an_agency(database)
    old = await a_workspace(database, home, primaryDomain="acme.com")
    async with database.transaction(home.reach) as tx:
        await workspaces.archive(tx, home.caller, old.id)
    new = await a_workspace(database, home, primaryDomain="acme.com")

    async with database.transaction(home.reach) as tx:
        with pytest.raises(Refused) as refused:
            await workspaces.restore(tx, home.caller, old.id)

    assert refused.value.details == {"workspaceId": new.id}
    await changed(database, home, new, primaryDomain=None)
    async with database.transaction(home.reach) as tx:
        assert (await workspaces.restore(tx, home.caller, old.id)).is_active


async def test_given_names_that_are_taken_are_refused_and_missing_ones_are_found(database: Database) -> None:
    home = await an_agency(database)
    first = await a_workspace(database, home, name="Acme", externalId="crm-1")

    assert (await a_workspace(database, home, name="Acme")).slug == "acme-2"
    assert (await a_workspace(database, home, name="ACME!")).slug == "acme-3"
    for fields, reason in (
        ({"slug": "acme"}, "workspace.slug_taken"),
        ({"externalId": "crm-1"}, "workspace.external_id_taken"),
    ):
        with pytest.raises(Refused) as refused:
            await a_workspace(database, home, name="New", **fields)
        assert (refused.value.reason, refused.value.details) == (reason, {"workspaceId": first.id})


async def test_a_patch_merges_and_null_goes_back_to_what_is_inherited(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(
        database,
        home,
        tags=["tier:premium"],
        metadata={"crm": {"id": 7, "owner": "Ann"}},
        settings={"primaryLocation": "uk", "approvalPolicy": {"publish": "auto", "indexing_submit": "auto"}},
        brand={"voice": "Plain", "shortDescription": "Tools"},
    )

    after = await changed(
        database,
        home,
        workspace,
        metadata={"crm": {"owner": None}},
        settings={"approvalPolicy": {"publish": None}, "primaryLanguage": "en"},
        brand={"voice": "Warm"},
        tags=None,
    )

    assert after.tags == ()
    assert after.metadata == {"crm": {"id": 7}}
    assert after.settings == {
        "primaryLocation": "uk",
        "primaryLanguage": "en",
        "approvalPolicy": {"indexing_submit": "auto"},
    }
    assert after.brand == {"voice": "Warm", "shortDescription": "Tools"}
    assert after.version == workspace.version + 1
    entry = (await entries_about(database, home, workspace.id))[0]
    assert entry.event == "workspaces.updated"
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["brand"], entry.after["brand"]) == ({"voice": "Plain"}, {"voice": "Warm"})


async def test_a_patch_that_changes_nothing_writes_nothing(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home, settings={"primaryLanguage": "en"})

    same = await changed(database, home, workspace, name="Acme", settings={"primaryLanguage": "en", "creditPool": None})

    assert same == workspace
    assert [entry.event for entry in await entries_about(database, home, workspace.id)] == ["workspaces.created"]


async def test_a_patch_of_another_version_than_the_current_one_is_refused(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    await changed(database, home, workspace, name="Acme Two")

    async with database.transaction(home.reach) as tx:
        with pytest.raises(Refused) as refused:
            await workspaces.update(tx, home.caller, workspace.id, patch={"name": "X"}, expected_version=1)
        after = await workspaces.update(tx, home.caller, workspace.id, patch={"name": "X"}, expected_version=2)

    assert refused.value.reason == "request.precondition_failed"
    assert after.version == 3


@pytest.mark.parametrize(
    "patch", [{"name": None}, {"slug": None}, {"nothing": 1}, {"settings": {"nothing": 1}}, {"settings": 5}]
)
async def test_a_patch_cannot_unset_names_or_bring_unknown_fields(database: Database, patch: dict[str, Any]) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)

    with pytest.raises(BadFields):
        await changed(database, home, workspace, **patch)


async def test_an_archived_workspace_can_be_read_and_not_written(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    async with database.transaction(home.reach) as tx:
        archived = await workspaces.archive(tx, home.caller, workspace.id)
        again = await workspaces.archive(tx, home.caller, workspace.id)

    assert (archived.is_active, again) == (False, archived)
    async with database.transaction(home.reach) as tx:
        assert await workspaces.get(tx, home.caller, workspace.id) == archived
        with pytest.raises(Refused) as refused:
            await workspaces.ensure_open(tx, workspace.id)
        assert refused.value.reason == "workspace.archived"
        with pytest.raises(Refused) as refused:
            await workspaces.update(tx, home.caller, workspace.id, patch={"name": "X"})
        assert refused.value.reason == "workspace.archived"
    events = [entry.event for entry in await entries_about(database, home, workspace.id)]
    assert events == ["workspaces.archived", "workspaces.created"]


async def test_an_owner_is_a_member_of_the_agency_and_only_who_governs_names_another(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    workspace = await a_workspace(database, home)

    with pytest.raises(BadFields):
        await a_workspace(database, home, name="Two", ownerId=other.owner_id)
    with pytest.raises(BadFields):
        await changed(database, home, workspace, ownerId=other.owner_id)
    caller = workspace_caller(home, workspace)
    async with database.transaction(caller.reach) as tx:
        with pytest.raises(Refused) as refused:
            await workspaces.update(tx, caller, workspace.id, patch={"ownerId": new_id("mem")})
    assert refused.value.reason == "keys.scope_missing"


async def test_a_switch_to_an_own_key_needs_that_key(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home, settings={"byok": {"openai": False}})

    async def with_anthropic(_tx: Tx, _workspace_id: str, providers: frozenset[str]) -> frozenset[str]:
        return providers & {"anthropic"}

    async with database.transaction(home.reach) as tx:
        for provider in ("openai", "anthropic"):
            with pytest.raises(Refused) as refused:
                await workspaces.update(tx, home.caller, workspace.id, patch={"settings": {"byok": {provider: True}}})
            assert refused.value.reason == "settings.byok_without_key"
        after = await workspaces.update(
            tx,
            home.caller,
            workspace.id,
            patch={"settings": {"byok": {"anthropic": True}}},
            stored_keys=with_anthropic,
        )
    assert after.settings["byok"] == {"openai": False, "anthropic": True}


async def test_each_verb_asks_for_its_scope(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    calls: dict[str, Any] = {
        "workspaces:create": lambda tx, caller: workspaces.create(tx, caller, fields={"name": "X"}),
        "workspaces:read": lambda tx, caller: workspaces.get(tx, caller, workspace.id),
        "workspaces:write": lambda tx, caller: workspaces.update(tx, caller, workspace.id, patch={"name": "X"}),
        "workspaces:archive": lambda tx, caller: workspaces.archive(tx, caller, workspace.id),
    }

    for scope, call in calls.items():
        caller = agency_caller(home.agency_id, scopes=AGENCY_SCOPES - {scope})
        async with database.transaction(home.reach) as tx:
            with pytest.raises(Refused) as refused:
                await call(tx, caller)
        assert refused.value.details == {"scope": scope}


async def test_a_workspace_is_found_by_the_agencys_own_id(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    workspace = await a_workspace(database, home, externalId="crm:42")

    async with database.transaction(home.reach) as tx:
        assert await workspaces.find_by_external(tx, home.caller, "crm:42") == workspace
        assert await workspaces.find_by_external(tx, home.caller, "crm:43") is None
    async with database.transaction(other.reach) as tx:
        assert await workspaces.find_by_external(tx, other.caller, "crm:42") is None
        with pytest.raises(NotFound):
            await workspaces.get(tx, other.caller, workspace.id)
