"""Deploying: three-way and field by field, posts once, locks and rights kept, nothing lost where two do it at once."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from colonnade.brand import content
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import BadField, NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.outbound import templates
from colonnade.outbound.templates import fields
from colonnade.outbound.templates.fields import Path
from tests.factories import agency_caller
from tests.outbound.templating import Shop, a_shop

EVENTS = "select count(*) from audit_entry where agency_id = $1 and event = $2"


@pytest_asyncio.fixture
async def shop(database: Database, worker_database: Database) -> Shop:
    return await a_shop(database, worker_database)


async def test_a_fresh_workspace_gets_all_of_it(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand(tags=["mine:own"])

    names = await shop.deploy(template, brand)

    assert names["kept"] == names["same"] == []
    assert set(names["applied"]) == {
        *("settings.primaryLanguage", "settings.approvalPolicy.publish", "brand.voice", "brand.pillars"),
        *("whiteLabel.footer", "tags.tier:standard", "posts.welcome"),
    }
    after = await shop.look(brand)
    assert after.settings == {"primaryLanguage": "en", "approvalPolicy": {"publish": "auto"}}
    assert after.brand == {"voice": "Calm.", "pillars": ["Speed"]}
    assert after.tags == ("mine:own", "tier:standard")
    assert list(await shop.posts(brand)) == ["Welcome"]


async def test_deploying_the_same_again_changes_and_records_nothing(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    await shop.deploy(template, brand)
    version, entries = (await shop.look(brand)).version, await shop.count(EVENTS, "templates.deployed")

    names = await shop.deploy(template, brand)

    assert names["applied"] == names["kept"] == []
    assert (await shop.look(brand)).version == version
    assert await shop.count(EVENTS, "templates.deployed") == entries == 1


async def test_what_was_set_by_hand_is_kept_and_the_rest_moves_on(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand(brand={"voice": "Mine."})
    first = await shop.deploy(template, brand)
    await shop.set(brand, settings={"primaryLanguage": "de"})
    newer = await shop.change(
        template,
        {
            "brand": {"voice": "Loud."},
            "settings": {"primaryLanguage": "fr", "approvalPolicy": {"publish": "require_approval"}},
        },
    )

    second = await shop.deploy(newer, brand)

    assert first["kept"] == ["brand.voice"]
    assert set(second["kept"]) == {"brand.voice", "settings.primaryLanguage"}
    assert second["applied"] == ["settings.approvalPolicy.publish"]
    after = await shop.look(brand)
    assert (after.brand["voice"], after.settings["primaryLanguage"]) == ("Mine.", "de")
    assert after.settings["approvalPolicy"] == {"publish": "require_approval"}


async def test_a_conflict_stays_one_until_it_is_overwritten(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand(brand={"voice": "Mine."})
    assert (await shop.deploy(template, brand))["kept"] == ["brand.voice"]
    assert (await shop.deploy(template, brand))["kept"] == ["brand.voice"]
    assert (await shop.deploy(template, brand, overwrite=True))["applied"] == ["brand.voice"]
    assert (await shop.look(brand)).brand["voice"] == "Calm."


async def test_what_was_taken_away_by_hand_is_not_put_back(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    await shop.deploy(template, brand)
    await shop.set(brand, brand={"voice": None}, tags=[])

    names = await shop.deploy(template, brand)

    assert set(names["kept"]) == {"brand.voice", "tags.tier:standard"}
    assert "voice" not in (await shop.look(brand)).brand


async def test_what_a_version_no_longer_names_is_taken_back_where_nobody_touched_it(shop: Shop) -> None:
    template = await shop.create()
    one, two = await shop.brand(), await shop.brand()
    for brand in (one, two):
        await shop.deploy(template, brand)
    await shop.set(two, brand={"voice": "Mine."}, tags=["tier:standard", "mine:own"])
    newer = await shop.change(template, {"brand": {"voice": None}, "tags": None})

    assert set((await shop.deploy(newer, one))["applied"]) == {"brand.voice", "tags.tier:standard"}
    assert (await shop.deploy(newer, two))["applied"] == ["tags.tier:standard"]
    assert "voice" not in (await shop.look(one)).brand
    assert (await shop.look(two)).brand["voice"] == "Mine."
    assert (await shop.look(two)).tags == ("mine:own",)


async def test_an_older_version_can_be_deployed_again(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    newer = await shop.change(template, {"brand": {"voice": "Loud."}})
    await shop.deploy(newer, brand)

    assert (await shop.deploy(newer, brand, version=1))["applied"] == ["brand.voice"]
    assert (await shop.look(brand)).brand["voice"] == "Calm."
    assert [one["version"] for one in await shop.applied(brand)] == [1]


async def test_what_the_agency_has_locked_is_kept_whatever_wins(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    await shop.set_agency(lockedSettings=["approvalPolicy"])

    done = await shop.deployed(template, brand, overwrite=True)

    locked = [field for field in done.fields if field.because == "locked"]
    assert [field.name for field in locked] == ["settings.approvalPolicy.publish"]
    assert "approvalPolicy" not in (await shop.look(brand)).settings


async def test_posts_become_drafts_once_and_are_the_workspaces_own_from_then_on(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    await shop.deploy(template, brand)
    ids = await shop.posts(brand)
    async with shop.database.transaction(shop.home.reach) as tx:
        await content.update(tx, shop.home.caller, ids["Welcome"], patch={"title": "Hello", "body": "Ours."})
    posts = [{"key": "welcome", "title": "Welcome anew", "body": "B"}, {"title": "Second", "body": "B"}]
    newer = await shop.change(template, {"posts": posts})

    names = await shop.deploy(newer, brand, overwrite=True)

    assert names["applied"] == ["posts.second"]
    assert "posts.welcome" in names["same"]
    assert set(await shop.posts(brand)) == {"Hello", "Second"}

    async with shop.database.transaction(shop.home.reach) as tx:
        await content.delete(tx, shop.home.caller, (await shop.posts(brand))["Second"])
    await shop.deploy(newer, brand)
    assert set(await shop.posts(brand)) == {"Hello"}, "what was deleted by hand stays away"


async def test_a_rehearsal_tells_what_a_deployment_does_and_does_nothing(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand(brand={"voice": "Mine."})
    before = await shop.look(brand)

    told = await shop.rehearse(template, brand)

    assert await shop.look(brand) == before
    assert await shop.posts(brand) == {}
    assert await shop.applied(brand) == []
    assert await shop.count(EVENTS, "templates.deployed") == 0
    assert (await shop.deployed(template, brand)).fields == told.fields


@pytest.mark.parametrize(
    "lacking", ["templates:write", "workspaces:write", "workspaces:govern", "content:write", "workspaces:act"]
)
async def test_deploying_takes_the_right_to_all_that_is_set(shop: Shop, lacking: str) -> None:
    template, brand = await shop.create(), await shop.brand()
    scopes = frozenset({"templates:write", "workspaces:write", "workspaces:govern", "content:write", "workspaces:act"})
    caller = agency_caller(shop.home.agency_id, scopes=scopes - {lacking})
    with pytest.raises(Refused) as refusal:
        await shop.deploy(template, brand, caller)
    assert refusal.value.details == {"scope": lacking}
    assert (await shop.look(brand)).settings == {}


async def test_targets_that_are_not_there_are_named(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    other = await a_shop(shop.database, shop.worker)
    strange = await other.brand()
    with pytest.raises(BadField) as refusal:
        await shop.deploy(template, strange)
    assert [error.pointer for error in refusal.value.errors] == ["/workspaceId"]
    with pytest.raises(BadField) as refusal:
        await shop.deploy(template, brand, version=7)
    assert [error.pointer for error in refusal.value.errors] == ["/version"]
    with pytest.raises(NotFound):
        await other.deploy(template, strange)
    await shop.archive(brand)
    with pytest.raises(Refused) as archived:
        await shop.deploy(template, brand)
    assert archived.value.reason == "workspace.archived"


async def test_a_key_deploys_within_its_reach_alone(shop: Shop) -> None:
    template, mine, beside = await shop.create(), await shop.brand(), await shop.brand()
    caller = agency_caller(shop.home.agency_id)
    reach = Reach(shop.home.agency_id, (mine.id,))
    order = templates.Order(template.id)
    async with shop.database.transaction(reach) as tx:
        done = await templates.deploy(tx, caller, mine.id, order)
        assert done.workspace_id == mine.id
        with pytest.raises(BadField):
            await templates.deploy(tx, caller, beside.id, order)


async def test_own_keys_that_are_not_stored_refuse_the_whole(shop: Shop) -> None:
    template = await shop.create({"settings": {"byok": {"openai": True}, "primaryLanguage": "en"}})
    brand = await shop.brand()
    with pytest.raises(Refused) as refusal:
        await shop.deploy(template, brand)
    assert refusal.value.reason == "settings.byok_without_key"
    assert (await shop.look(brand)).settings == {}
    assert await shop.applied(brand) == []


async def test_two_who_deploy_at_once_come_to_one_result(shop: Shop) -> None:
    template, brand = await shop.create(), await shop.brand()
    found = await asyncio.gather(*(shop.deploy(template, brand) for _ in range(6)))

    applied = [names for names in found if names["applied"]]
    assert len(applied) == 1
    assert list(await shop.posts(brand)) == ["Welcome"]
    assert await shop.count("select count(*) from post where agency_id = $1") == 1
    assert await shop.count(EVENTS, "templates.deployed") == 1


async def test_two_templates_at_once_lose_nothing_of_each_other(shop: Shop) -> None:
    one = await shop.create({"brand": {"voice": "Calm."}, "tags": ["a:1"]}, name="one")
    two = await shop.create({"brand": {"pillars": ["Speed"]}, "tags": ["b:2"]}, name="two")
    brand = await shop.brand()
    await asyncio.gather(shop.deploy(one, brand), shop.deploy(two, brand))

    after = await shop.look(brand)
    assert after.brand == {"voice": "Calm.", "pillars": ["Speed"]}
    assert set(after.tags) == {"a:1", "b:2"}


async def test_a_change_by_hand_at_the_same_moment_is_not_overwritten(shop: Shop) -> None:
    template = await shop.create({"brand": {"voice": "Calm."}})
    for _ in range(5):
        brand = await shop.brand()
        names, _ = await asyncio.gather(shop.deploy(template, brand), shop.set(brand, brand={"voice": "Mine."}))
        assert (await shop.look(brand)).brand["voice"] == "Mine."
        assert names["applied"] in ([], ["brand.voice"])


_VALUES = st.dictionaries(st.sampled_from([("brand", name) for name in "abcd"]), st.integers(1, 3), max_size=4)


@given(base=_VALUES, theirs=_VALUES, new=_VALUES)
def test_a_plan_never_touches_what_a_hand_has_changed(
    base: dict[Path, Any], theirs: dict[Path, Any], new: dict[Path, Any]
) -> None:
    planned = fields.plan(base, theirs, new, overwrite=False, locked=lambda _path: False)
    after = dict(theirs)
    for field in planned:
        if field.outcome == "applied":
            after[field.path] = field.template

    for path in {*base, *theirs, *new}:
        if theirs.get(path) != base.get(path):
            assert after.get(path) == theirs.get(path), "changed by hand, so it stays"
        elif path in new:
            assert after.get(path) == new[path]
        else:
            assert after.get(path) is None or path not in base


@given(base=_VALUES, theirs=_VALUES, new=_VALUES)
def test_overwriting_leads_to_what_the_version_says(
    base: dict[Path, Any], theirs: dict[Path, Any], new: dict[Path, Any]
) -> None:
    planned = fields.plan(base, theirs, new, overwrite=True, locked=lambda _path: False)
    assert {field.path for field in planned if field.template is not None} == set(new)
    assert all(field.outcome in ("applied", "same") for field in planned)
