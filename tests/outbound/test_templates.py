"""Templates themselves: names of their own, versions that never change, contents that obey the rules."""

import asyncio
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import BadFields, NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.outbound import templates
from colonnade.outbound.templates import Slice
from tests.factories import agency_caller, an_agency
from tests.outbound.templating import CONTENTS, Shop, a_shop


@pytest_asyncio.fixture
async def shop(database: Database, worker_database: Database) -> Shop:
    return await a_shop(database, worker_database)


async def test_every_change_is_a_version_and_no_version_changes(shop: Shop) -> None:
    template = await shop.create()
    second = await shop.change(template, {"brand": {"voice": "Loud.", "pillars": None}})
    third = await shop.change(second, {"posts": []})

    assert (template.version, second.version, third.version) == (1, 2, 3)
    async with shop.database.transaction(shop.home.reach) as tx:
        first = await templates.version(tx, shop.home.caller, template.id, 1)
        latest = await templates.version(tx, shop.home.caller, template.id, 3)
        found, more, total = await templates.versions(tx, shop.home.caller, template.id, Slice(limit=2))
        rest, _, _ = await templates.versions(tx, shop.home.caller, template.id, Slice(limit=2, after=2))
    assert first.contents == CONTENTS
    assert latest.contents["brand"] == {"voice": "Loud."}
    assert ([one.number for one in found], more, total, [one.number for one in rest]) == ([3, 2], True, 3, [1])


async def test_a_version_cannot_be_changed_even_by_the_database_role(shop: Shop) -> None:
    template = await shop.create()
    sql = "update template_version set contents = '{}' where agency_id = $1 and template_id = $2"
    async with shop.database.transaction(shop.home.reach) as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(sql, tx.agency_id, template.id)


async def test_what_changes_nothing_is_no_version(shop: Shop) -> None:
    template = await shop.create()
    assert (await shop.change(template, {"brand": {"voice": "Calm."}})).version == 1


async def test_a_change_of_an_old_version_is_refused(shop: Shop) -> None:
    template = await shop.create()
    await shop.change(template, {"brand": {"voice": "Loud."}})
    with pytest.raises(Refused) as refusal:
        async with shop.database.transaction(shop.home.reach) as tx:
            await templates.update(tx, shop.home.caller, template.id, patch={"name": "New"}, expected_version=1)
    assert refusal.value.reason == "request.precondition_failed"


@pytest.mark.parametrize("name", ["standard", " Standard ", "STANDARD"])
async def test_a_name_is_its_own_in_the_agency(shop: Shop, name: str) -> None:
    template = await shop.create()
    with pytest.raises(Refused) as refusal:
        await shop.create(name=name)
    assert refusal.value.reason == "templates.name_taken"
    assert refusal.value.details == {"templateId": template.id}

    other = await a_shop(shop.database, shop.worker)
    assert (await other.create(name=name)).version == 1


async def test_a_name_that_two_take_at_once_is_one_s(shop: Shop) -> None:
    found = await asyncio.gather(*(shop.create(name="Same") for _ in range(4)), return_exceptions=True)
    refused = [one for one in found if isinstance(one, Refused)]
    assert len(refused) == 3
    assert {one.reason for one in refused} == {"templates.name_taken"}


async def test_a_deleted_template_is_gone_and_its_name_is_free(shop: Shop) -> None:
    template = await shop.create()
    async with shop.database.transaction(shop.home.reach) as tx:
        await templates.delete(tx, shop.home.caller, template.id)
    with pytest.raises(NotFound):
        async with shop.database.transaction(shop.home.reach) as tx:
            await templates.get(tx, shop.home.caller, template.id)
    assert (await shop.create()).id != template.id


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "settings": (
        {"settings": {"creditPool": "both", "nope": 1}},
        ["/contents/settings/nope", "/contents/settings/creditPool"],
    ),
    "brand": ({"brand": {"voice": 7, "icps": "x"}}, ["/contents/brand/voice", "/contents/brand/icps"]),
    "tags": ({"tags": ["no tag"]}, ["/contents/tags/0"]),
    "posts": (
        {"posts": [{"title": "T"}, {"title": 5, "body": "b", "x": 1}]},
        ["/contents/posts/0/body", "/contents/posts/1/x", "/contents/posts/1/title"],
    ),
    "keys": ({"posts": [{"title": "T", "body": "b"}, {"title": "t", "body": "c"}]}, ["/contents/posts/1/key"]),
    "key": ({"posts": [{"key": "../x", "title": "T", "body": "b"}]}, ["/contents/posts/0/key"]),
    "unknown": ({"metadata": {}}, ["/contents/metadata"]),
    "nul": ({"brand": {"voice": "a\x01b"}}, ["/contents/brand/voice"]),
    "not an object": ({"posts": ["x"], "whiteLabel": []}, ["/contents/whiteLabel", "/contents/posts/0"]),
}


@pytest.mark.parametrize("case", BAD)
async def test_contents_obey_the_rules_of_what_they_set(shop: Shop, case: str) -> None:
    contents, pointers = BAD[case]
    with pytest.raises(BadFields) as refusal:
        await shop.create(contents)
    told = [error.pointer for error in refusal.value.errors]
    assert set(pointers) <= set(told), told


async def test_contents_that_decide_over_approvals_or_money_need_the_right_to_govern(shop: Shop) -> None:
    scopes = frozenset({"templates:write", "templates:read", "workspaces:write", "content:write", "workspaces:act"})
    caller = agency_caller(shop.home.agency_id, scopes=scopes)
    for settings in ({"approvalPolicy": {"publish": "auto"}}, {"creditPool": "workspace"}, {"borrowLimit": 5}):
        with pytest.raises(Refused) as refusal:
            async with shop.database.transaction(caller.reach) as tx:
                await templates.create(tx, caller, fields={"name": "X", "contents": {"settings": settings}})
        assert refusal.value.details == {"scope": "workspaces:govern"}
    async with shop.database.transaction(caller.reach) as tx:
        plain = {"name": "X", "contents": {"settings": {"primaryLanguage": "de"}}}
        assert (await templates.create(tx, caller, fields=plain)).version == 1


async def test_a_key_of_some_workspaces_reads_templates_and_writes_none(shop: Shop) -> None:
    template = await shop.create()
    workspace = await shop.brand()
    caller = agency_caller(shop.home.agency_id)
    reach = Reach(shop.home.agency_id, (workspace.id,))
    async with shop.database.transaction(reach) as tx:
        assert (await templates.get(tx, caller, template.id)).id == template.id
        with pytest.raises(Refused) as refusal:
            await templates.update(tx, caller, template.id, patch={"name": "Y"})
    assert refusal.value.reason == "keys.wrong_kind"


async def test_another_agency_finds_nothing(shop: Shop) -> None:
    template = await shop.create()
    other = await an_agency(shop.database)
    async with shop.database.transaction(other.reach) as tx:
        with pytest.raises(NotFound):
            await templates.get(tx, other.caller, template.id)
        for verb in (templates.drift_of, templates.versions):
            with pytest.raises(NotFound):
                await verb(tx, other.caller, template.id, Slice())


async def test_a_list_of_templates_is_walked_and_searched(shop: Shop) -> None:
    made = [(await shop.create({}, name=f"Plan {number}")).id for number in range(5)]
    seen: list[str] = []
    after = None
    while True:
        async with shop.database.transaction(shop.home.reach) as tx:
            found, more, total = await templates.page(tx, shop.home.caller, None, Slice(limit=2, after=after))
        seen += [one.id for one in found]
        after = seen[-1]
        if not more:
            break
    assert (seen, total) == (made[::-1], 5)
    async with shop.database.transaction(shop.home.reach) as tx:
        found, _, total = await templates.page(tx, shop.home.caller, "LAN 3", Slice())
    assert ([one.wording.name for one in found], total) == (["Plan 3"], 1)


async def test_the_log_names_versions_and_changed_fields_not_their_contents(shop: Shop) -> None:
    template = await shop.create()
    await shop.change(template, {"brand": {"voice": "A secret voice."}, "posts": []})
    sql = "select event, after from audit_entry where agency_id = $1 and resource_id = $2 order by id"
    async with shop.database.transaction(shop.home.reach) as tx:
        entries = await tx.fetch(sql, tx.agency_id, template.id)
    assert [row["event"] for row in entries] == ["templates.created", "templates.updated"]
    assert entries[1]["after"] == {"version": 2, "changed": ["brand.voice", "posts"]}
