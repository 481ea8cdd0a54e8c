from typing import Any

import pytest

from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, audit, people
from colonnade.tenancy.agencies import Agency
from tests.factories import Home, agency_caller, an_agency

EVERYTHING: dict[str, Any] = {
    "defaultApprovalPolicy": {"publish": "auto", "outreach_send": "require_approval", "indexing_submit": "auto"},
    "lockedSettings": ["approvalPolicy.publish", "creditPool"],
    "approvalRules": {"publish": {"people": 1, "timeoutSeconds": 86400, "routedTo": "editors"}},
    "defaultModel": "claude-sonnet-4-6",
    "creditPool": "workspace",
    "creditCycle": {"kind": "rolling", "days": 30, "anchor": "2026-01-15"},
    "timezone": "Europe/Berlin",
    "ipAllowlist": ["203.0.113.0/24", "2001:db8::/32"],
    "requireTwoFactor": True,
    "linkLimit": 10,
    "rotateAfterDays": 90,
    "auditRetentionDays": 400,
    "requestLogRetentionDays": 30,
}


async def settings_of(database: Database, home: Home, address: str | None = None, **patch: Any) -> Agency:
    caller = agency_caller(home.agency_id, address=address)
    async with database.transaction(home.reach) as tx:
        return await agencies.update_settings(tx, caller, patch=patch)


async def test_an_agency_is_founded_with_an_owner_and_both_are_recorded(database: Database) -> None:
    founded = await people.found_agency(database, name=" Northlight ", owner_email="Ann.Lee@Example.COM")

    assert founded.agency.name == "Northlight"
    async with database.transaction(founded.operator.reach) as tx:
        assert await people.owner(tx) == founded.owner
        persons = await people.persons(tx, [founded.owner.person_id])
        entries, _ = await audit.page(tx, founded.operator, audit.Filters(), limit=10)
    assert persons[founded.owner.person_id].email == "ann.lee@example.com"
    assert [(entry.event, entry.actor_kind) for entry in entries] == [
        ("members.added", "operator"),
        ("agencies.created", "operator"),
    ]


@pytest.mark.parametrize(
    ("name", "email"), [("", "ann@example.com"), ("A", "ann"), ("A", "a b@example.com"), ("A", "@x.y")]
)
async def test_an_agency_needs_a_name_and_an_address(database: Database, name: str, email: str) -> None:
    with pytest.raises(BadFields):
        await people.found_agency(database, name=name, owner_email=email)


async def test_every_setting_is_kept_and_null_unsets_it(database: Database) -> None:
    home = await an_agency(database)

    assert (await settings_of(database, home, "203.0.113.7", **EVERYTHING)).settings == EVERYTHING
    assert (await settings_of(database, home, **dict.fromkeys(EVERYTHING))).settings == {}


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"defaultApprovalPolicy": {"publish": "never"}}, "/defaultApprovalPolicy/publish"),
        ({"defaultApprovalPolicy": {"delete": "auto"}}, "/defaultApprovalPolicy/delete"),
        ({"lockedSettings": ["everything"]}, "/lockedSettings/0"),
        ({"approvalRules": {"publish": {"people": 4}}}, "/approvalRules/publish/people"),
        ({"creditPool": "shared"}, "/creditPool"),
        ({"creditCycle": {"kind": "rolling"}}, "/creditCycle/days"),
        ({"creditCycle": {"kind": "month", "anchor": 31}}, "/creditCycle/anchor"),
        ({"timezone": "Berlin"}, "/timezone"),
        ({"ipAllowlist": ["somewhere"]}, "/ipAllowlist/0"),
        ({"ipAllowlist": ["203.0.113.7", "fe80::1%eth0"]}, "/ipAllowlist/1"),
        ({"requireTwoFactor": "yes"}, "/requireTwoFactor"),
        ({"rotateAfterDays": 0}, "/rotateAfterDays"),
        ({"auditRetentionDays": 29}, "/auditRetentionDays"),
        ({"requestLogRetentionDays": 3651}, "/requestLogRetentionDays"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named(database: Database, patch: dict[str, Any], pointer: str) -> None:
    home = await an_agency(database)

    with pytest.raises(BadFields) as refused:
        await settings_of(database, home, **patch)

    assert pointer in {error.pointer for error in refused.value.errors}


@pytest.mark.parametrize(
    ("source", "network", "is_allowed"),
    [
        ("203.0.113.7", "203.0.113.0/24", True),
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.114.7", "203.0.113.0/24", False),
        ("::ffff:203.0.113.7", "203.0.113.0/24", True),
        ("2001:db8::1", "203.0.113.0/24", False),
        ("203.0.113.7", "::ffff:203.0.113.0/120", True),
        (None, "203.0.113.0/24", False),
    ],
)
async def test_nobody_locks_themselves_out_by_an_allowlist(
    database: Database, source: str | None, network: str, is_allowed: bool
) -> None:
    home = await an_agency(database)

    if is_allowed:
        agency = await settings_of(database, home, source, ipAllowlist=[network])
        assert agency.admits(source)
        return
    with pytest.raises(Refused) as refused:
        await settings_of(database, home, source, ipAllowlist=[network])
    assert refused.value.reason == "settings.locks_out"


async def test_what_governs_workspaces_needs_a_scope_of_its_own(database: Database) -> None:
    home = await an_agency(database)
    caller = agency_caller(home.agency_id, scopes=AGENCY_SCOPES - {"workspaces:govern"})

    async with database.transaction(home.reach) as tx:
        with pytest.raises(Refused) as refused:
            await agencies.update_settings(tx, caller, patch={"lockedSettings": ["creditPool"]})
        after = await agencies.update_settings(tx, caller, patch={"timezone": "Asia/Tokyo"})

    assert refused.value.details == {"scope": "workspaces:govern"}
    assert after.settings == {"timezone": "Asia/Tokyo"}


async def test_the_profile_is_merged_versioned_and_recorded_only_when_it_changes(database: Database) -> None:
    home = await an_agency(database)
    patch = {"website": "https://northlight.example", "branding": {"primaryColor": "#1a73e8"}}

    async with database.transaction(home.reach) as tx:
        first = await agencies.update(tx, home.caller, patch=patch)
        same = await agencies.update(tx, home.caller, patch=patch, expected_version=first.version)
        with pytest.raises(Refused) as refused:
            await agencies.update(tx, home.caller, patch={"name": "X"}, expected_version=first.version - 1)
        last = await agencies.update(tx, home.caller, patch={"website": None, "branding": None})
        entries, _ = await audit.page(tx, home.caller, audit.Filters(event="agencies.updated"), limit=10)

    assert same == first
    assert refused.value.reason == "request.precondition_failed"
    assert (last.website, last.branding, last.version) == (None, {}, first.version + 1)
    assert len(entries) == 2
    assert entries[1].after == patch


async def test_a_person_who_is_a_member_already_stays_as_they_are(database: Database) -> None:
    home = await an_agency(database)

    async with database.transaction(home.reach) as tx:
        person_id = await people.ensure_person(tx, email="bo@example.com", name="Bo")
        first = await people.add_member(tx, home.caller, person_id=person_id, role="manager")
        again = await people.add_member(tx, home.caller, person_id=person_id, role="viewer")

    assert (first, first.role) == (again, "manager")


async def test_nobody_hands_on_a_role_beyond_their_own_scopes(database: Database) -> None:
    home = await an_agency(database)
    caller = agency_caller(home.agency_id, scopes=frozenset({"members:write", "workspaces:read"}))

    async with database.transaction(home.reach) as tx:
        person_id = await people.ensure_person(tx, email="cy@example.com")
        with pytest.raises(Refused) as refused:
            await people.add_member(tx, caller, person_id=person_id, role="viewer")

    assert refused.value.reason == "keys.scope_not_held"
