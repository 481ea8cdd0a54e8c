"""What happens to templates later and to many: workspaces that begin with them, those that follow, bulk, drift."""

import asyncio
import tracemalloc
from typing import Any

import pytest
import pytest_asyncio

from colonnade.ground.core.refusals import BadField, BadFields, Refused
from colonnade.ground.db.database import Database
from colonnade.outbound import templates
from colonnade.outbound.templates import Template
from colonnade.outbound.templates.jobs import deploy_due
from colonnade.runs import bulk
from colonnade.runs.bulk import BulkAction, Item, Selection, Slice, Wish
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Workspace
from tests.factories import agency_caller
from tests.outbound.templating import Shop, a_shop

EVENTS = "select count(*) from audit_entry where agency_id = $1 and event = $2"


@pytest_asyncio.fixture
async def shop(database: Database, worker_database: Database) -> Shop:
    return await a_shop(database, worker_database)


async def made_with(shop: Shop, *ids: str, **fields: Any) -> Workspace:
    async with shop.database.transaction(shop.home.reach) as tx:
        wanted = {"name": "Beginner", "templates": list(ids), **fields}
        return await workspaces.create(tx, shop.home.caller, fields=wanted, adopt=templates.adopt)


async def test_a_workspace_begins_with_its_templates_and_gets_them_once(shop: Shop) -> None:
    one = await shop.create()
    two = await shop.create({"brand": {"competitors": ["Other"]}}, name="Two")
    workspace = await made_with(shop, one.id, two.id)
    told = await shop.applied(workspace)
    assert [(entry["templateId"], entry["state"], entry["version"]) for entry in told] == [
        *((one.id, "pending", 1), (two.id, "pending", 1)),
    ]
    assert workspace.brand == {}

    await asyncio.gather(*(deploy_due(shop.worker) for _ in range(3)))
    await shop.later()

    assert {entry["state"] for entry in await shop.applied(workspace)} == {"applied"}
    assert (await shop.look(workspace)).brand == {"voice": "Calm.", "pillars": ["Speed"], "competitors": ["Other"]}
    assert await shop.count("select count(*) from post where agency_id = $1") == 1
    assert await shop.count(EVENTS, "templates.deployed") == 2


async def test_what_a_new_workspace_sets_for_itself_wins(shop: Shop) -> None:
    template = await shop.create()
    workspace = await made_with(shop, template.id, brand={"voice": "Mine."})
    await shop.later()
    after = await shop.look(workspace)
    assert after.brand == {"voice": "Mine.", "pillars": ["Speed"]}


async def test_unknown_templates_make_no_workspace(shop: Shop) -> None:
    other = await a_shop(shop.database, shop.worker)
    mine, strange = await shop.create(), await other.create()
    with pytest.raises(BadFields) as refusal:
        await made_with(shop, mine.id, strange.id, "tmpl_nope")
    assert [error.pointer for error in refusal.value.errors] == ["/templates/1", "/templates/2"]
    assert await shop.count("select count(*) from workspace where agency_id = $1") == 0


async def test_whoever_may_not_set_the_contents_cannot_begin_with_them(shop: Shop) -> None:
    template = await shop.create()
    scopes = frozenset({"workspaces:create", "templates:write", "workspaces:write"})
    caller = agency_caller(shop.home.agency_id, scopes=scopes)
    fields = {"name": "X", "templates": [template.id]}
    async with shop.database.transaction(caller.reach) as tx:
        with pytest.raises(Refused) as refusal:
            await workspaces.create(tx, caller, fields=fields, adopt=templates.adopt)
    assert refusal.value.details == {"scope": "workspaces:govern"}


async def test_what_cannot_be_deployed_says_why_and_is_not_tried_for_ever(shop: Shop) -> None:
    template = await shop.create({"settings": {"byok": {"openai": True}}})
    keyless, archived = await made_with(shop, template.id), await made_with(shop, template.id, name="Old")
    await shop.archive(archived)

    await shop.later()

    for workspace, reason in ((keyless, "settings.byok_without_key"), (archived, "workspace.archived")):
        assert [entry["state"] for entry in await shop.applied(workspace)] == ["failed"]
        sql = "select count(*) from template_deployment where agency_id = $1 and workspace_id = $2"
        assert await shop.count(f"{sql} and error ->> 'reason' = $3", workspace.id, reason) == 1
    assert await deploy_due(shop.worker) == 0
    assert await shop.count(EVENTS, "templates.deploying_failed") == 2


async def test_a_deleted_template_is_not_deployed_any_more(shop: Shop) -> None:
    template = await shop.create()
    workspace = await made_with(shop, template.id)
    async with shop.database.transaction(shop.home.reach) as tx:
        await templates.delete(tx, shop.home.caller, template.id)
    await shop.later()
    assert [entry["state"] for entry in await shop.applied(workspace)] == ["failed"]


async def test_who_follows_gets_each_new_version_and_keeps_what_is_its_own(shop: Shop) -> None:
    template = await shop.create()
    follower, pinned = await shop.brand(), await shop.brand()
    await shop.deploy(template, follower, mode="follow")
    await shop.deploy(template, pinned)
    await shop.set(follower, brand={"pillars": ["Mine"]})

    newer = await shop.change(template, {"brand": {"voice": "Loud.", "pillars": ["Theirs"]}})
    await shop.later()

    after = await shop.look(follower)
    assert after.brand == {"voice": "Loud.", "pillars": ["Mine"]}
    assert (await shop.look(pinned)).brand["voice"] == "Calm."
    assert [(e["version"], e["mode"]) for e in await shop.applied(follower)] == [(newer.version, "follow")]
    assert [(e["version"], e["mode"]) for e in await shop.applied(pinned)] == [(1, "pin")]
    by = "select count(distinct actor_id) from audit_entry where agency_id = $1 and event = 'templates.deployed'"
    assert await shop.count(by) == 1


async def test_versions_that_come_quickly_end_with_the_latest(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    await shop.deploy(template, brand, mode="follow")
    for number in range(4):
        template = await shop.change(template, {"brand": {"voice": f"Voice {number}."}})
    await shop.later()
    assert (await shop.look(brand)).brand["voice"] == "Voice 3."
    assert (await shop.drift(template))[brand.id].behind == 0


async def test_drift_tells_versions_behind_and_what_was_changed_by_hand(shop: Shop) -> None:
    template = await shop.create()
    clean, changed, nowhere = await shop.brand(), await shop.brand(), await shop.brand()
    for brand in (clean, changed):
        await shop.deploy(template, brand)
    await shop.set(changed, brand={"voice": "Mine."}, settings={"approvalPolicy": {"publish": None}})
    template = await shop.change(template, {"brand": {"voice": "Loud."}})

    drift = await shop.drift(template)

    assert set(drift) == {clean.id, changed.id}
    assert nowhere.id not in drift
    assert (drift[clean.id].behind, list(drift[clean.id].changes)) == (1, [])
    found = {change.name: (change.template, change.workspace) for change in drift[changed.id].changes}
    assert found == {"brand.voice": ("Calm.", "Mine."), "settings.approvalPolicy.publish": ("auto", None)}
    async with shop.database.transaction(shop.home.reach) as tx:
        inside = await templates.drift_in(tx, shop.home.caller, changed.id)
    assert inside == [drift[changed.id]]


async def test_drift_of_many_costs_as_many_statements_as_of_few(shop: Shop) -> None:
    template = await shop.create()
    for _ in range(12):
        await shop.deploy(template, await shop.brand())

    async def statements(limit: int) -> int:
        asked: list[Any] = []
        async with shop.database.transaction(shop.home.reach) as tx:
            with tx._connection.query_logger(asked.append):
                await templates.drift_of(tx, shop.home.caller, template.id, templates.Slice(limit=limit))
        return len(asked)

    assert await statements(12) == await statements(1) <= 6


async def start(shop: Shop, template: Template, selection: Selection | None = None, **config: Any) -> BulkAction:
    wish = Wish("template.deploy", selection or Selection(), {"templateId": template.id, **config})
    async with shop.database.transaction(shop.home.reach) as tx:
        return await bulk.start(tx, shop.home.caller, wish)


async def items(shop: Shop, action: BulkAction) -> dict[str, Item]:
    async with shop.database.transaction(shop.home.reach) as tx:
        found, _, _ = await bulk.items(tx, shop.home.caller, action.id, (), Slice(limit=2000))
    return {item.workspace_id: item for item in found}


async def test_a_bulk_deployment_tells_of_each_workspace_and_each_fails_alone(shop: Shop) -> None:
    template = await shop.create({"settings": {"byok": {"openai": True}}, "brand": {"voice": "Calm."}})
    plain, own, archived, there = [await shop.brand(name=name) for name in ("a", "b", "c", "d")]
    await shop.set(own, brand={"voice": "Mine."})
    await shop.archive(archived)
    template = await shop.change(template, {"settings": {"byok": None}})
    await shop.deploy(template, there)

    ids = tuple(one.id for one in (plain, own, archived, there))
    action = await start(shop, template, Selection(ids=ids))

    found = await items(shop, action)
    assert {one: found[one].state for one in ids} == dict(
        zip(ids, ["SUCCEEDED", "SUCCEEDED", "SKIPPED", "SUCCEEDED"], strict=True)
    )
    told = {one: found[one].result or {} for one in ids}
    assert told[plain.id] == {"version": 2, "mode": "pin", "applied": ["brand.voice"], "kept": [], "same": []}
    assert told[own.id]["kept"] == told[there.id]["same"] == ["brand.voice"]
    assert action.counts.succeeded == 3

    failing = await start(shop, template, Selection(ids=ids[:2]), version=1)
    assert failing.counts.failed == 2
    errors = [item.error for item in (await items(shop, failing)).values()]
    assert [error["reason"] for error in errors if error] == ["settings.byok_without_key"] * 2


async def test_a_plan_of_a_bulk_deployment_changes_nothing(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand(brand={"voice": "Mine."})
    wish = Wish("template.deploy", Selection(), {"templateId": template.id, "onConflict": "keep"})
    async with shop.database.transaction(shop.home.reach) as tx:
        (line,) = await bulk.plan(tx, shop.home.caller, wish)
    assert line.outcome.result is not None
    assert line.outcome.result["kept"] == ["brand.voice"]
    assert await shop.applied(brand) == []
    assert await shop.posts(brand) == {}


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({}, "/config/templateId"),
        ({"templateId": "tmpl_01arz3ndektsv4rrffq69g5fav"}, "/config/templateId"),
        ({"templateId": 7}, "/config/templateId"),
        ({"templateId": None, "version": 99}, "/config/version"),
        ({"templateId": None, "version": "1"}, "/config/version"),
        ({"templateId": None, "onConflict": "win"}, "/config/onConflict"),
        ({"templateId": None, "nope": 1}, "/config/nope"),
    ],
)
async def test_a_bad_config_is_refused_as_a_whole(shop: Shop, config: dict[str, Any], pointer: str) -> None:
    template, _ = await shop.create(), await shop.brand()
    if "templateId" in config and config["templateId"] is None:
        config = {**config, "templateId": template.id}
    async with shop.database.transaction(shop.home.reach) as tx:
        with pytest.raises(BadFields) as refusal:
            await bulk.start(tx, shop.home.caller, Wish("template.deploy", Selection(), config))
    assert [error.pointer for error in refusal.value.errors] == [pointer]


async def test_a_thousand_workspaces_take_no_more_memory_each(shop: Shop) -> None:
    template = await shop.create({"brand": {"voice": "Calm."}})
    sql = """
        insert into workspace (agency_id, id, name, sort_name, slug, created_at, updated_at)
        select $1, 'ws_01arz3ndektsv4rrffq' || lpad(n::text, 7, '0'), 'N', 'n', 'n-' || n, now(), now()
        from generate_series(1, 1000) n"""
    async with shop.database.transaction(shop.home.reach) as tx:
        await tx.execute(sql, tx.agency_id)

    async def peak(most: int) -> int:
        async with shop.database.transaction(shop.home.reach) as tx:
            chosen = await workspaces.all_active(tx, tag=None, most=most)
            action = templates.ACTION.read({"templateId": template.id})
            tracemalloc.start()
            outcomes = await action.apply(tx, shop.home.caller, "bulk", chosen)
            told = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert len(outcomes) == len(chosen) == most
        assert {outcome.state for outcome in outcomes} == {"SUCCEEDED"}
        return told

    await peak(5)
    few, many = await peak(100), await peak(1000)
    assert many - few < 900 * 4_000, "what is kept of each is its outcome"


async def test_a_bulk_deployment_and_a_single_one_at_once_come_to_one_result(shop: Shop) -> None:
    template = await shop.create()
    brands = [await shop.brand(name=f"b{number}") for number in range(5)]
    await asyncio.gather(start(shop, template), *(shop.deploy(template, brand) for brand in brands[::-1]))
    assert await shop.count("select count(*) from post where agency_id = $1") == len(brands)
    assert await shop.count(EVENTS, "templates.deployed") == len(brands)


async def test_whoever_may_not_deploy_starts_no_bulk_deployment(shop: Shop) -> None:
    template = await shop.create()
    await shop.brand()
    for scopes in ({"workspaces:write"}, {"templates:write"}, {"templates:write", "workspaces:write"}):
        caller = agency_caller(shop.home.agency_id, scopes=frozenset(scopes))
        async with shop.database.transaction(caller.reach) as tx:
            with pytest.raises(Refused) as refusal:
                await bulk.start(tx, caller, Wish("template.deploy", Selection(), {"templateId": template.id}))
        assert refusal.value.reason == "keys.scope_missing"


async def test_an_order_for_a_template_of_another_agency_is_refused(shop: Shop) -> None:
    other = await a_shop(shop.database, shop.worker)
    strange = await other.create()
    await shop.brand()
    wish = Wish("template.deploy", Selection(), {"templateId": strange.id})
    async with shop.database.transaction(shop.home.reach) as tx:
        with pytest.raises(BadField) as refusal:
            await bulk.start(tx, shop.home.caller, wish)
    assert [error.pointer for error in refusal.value.errors] == ["/config/templateId"]
