"""Usage of work done elsewhere: told in batches, recorded once and always, charged where something can pay."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade import credits
from colonnade.credits import event_routes
from colonnade.credits.event_model import MOST_EVENTS, ToldEvent
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.ground.web.applications import body_limit
from colonnade.ground.web.envelope import MOST_BYTES
from colonnade.tenancy import workspaces
from tests.credits.homes import a_home, account_balances
from tests.credits.telling import PATH, an_event, broken, rows, statuses, tell
from tests.house.operations import application
from tests.serving import a_key, served


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [event_routes.routes]) as client:
        yield client


_EVENTS = """
select external_id, feature, credits, would_cost, is_funded from usage_event where agency_id = $1 order by id
"""
_DAYS = "select feature, credits, events from usage_daily where agency_id = $1 order by feature"
_CHARGES = """
select feature, amount, rule from credit_transfer where agency_id = $1 and kind = 'charge' order by feature
"""


async def test_what_is_told_is_recorded_and_charged_by_workspace_and_feature(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    key = await a_key(database, home.origin)

    told = [
        an_event(first, id="a", credits=1.5),
        an_event(first, id="b", credits=2),
        an_event(first, id="c", feature="rank_check", quantity=3),
        an_event(second, id="d", credits=0.25),
        an_event(second, id="e", credits=0),
    ]
    outcomes = await tell(http, key, told)

    assert outcomes == [{"id": name, "status": "recorded", "reason": None, "detail": None} for name in "abcde"]
    balances = await account_balances(home)
    assert (balances[f"used:{first}"], balances[f"used:{second}"]) == (5_000, 250)
    assert balances["pool"] == 100_000 - 5_250
    charges = await rows(home, _CHARGES)
    assert sorted(charges) == [("image", 250, "pool"), ("image", 3_500, "pool"), ("rank_check", 1_500, "pool")]
    assert {row[0]: row[2] for row in await rows(home, _EVENTS)} == {
        "a": 1_500, "b": 2_000, "c": 1_500, "d": 250, "e": 0,
    }  # fmt: skip
    assert await broken(home) == []


async def test_an_event_counts_once_whoever_repeats_it(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=100_000)
    first, second = home.workspaces
    key, own = await a_key(database, home.origin), await a_key(database, home.origin, first)
    told = [an_event(first, id="1"), an_event(first, id="2")]

    before = await tell(http, key, told)
    repeats = await tell(http, own, [{**told[0], "credits": 50}, told[1], an_event(first, id="3")])
    others = await tell(http, key, [{**told[0], "source": "another"}, {**told[0], "workspaceId": second}])

    assert statuses(before) == ["recorded", "recorded"]
    assert statuses(repeats) == ["duplicate", "duplicate", "recorded"]
    assert statuses(others) == ["recorded", "recorded"]
    assert (await account_balances(home))["pool"] == 100_000 - 5_000
    assert await broken(home) == []


async def test_of_equal_events_in_one_call_the_first_counts(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=100_000)
    key = await a_key(database, home.origin)
    event = an_event(home.workspaces[0], id="twice")

    outcomes = await tell(http, key, [event, {**event, "credits": 9}])

    assert statuses(outcomes) == ["recorded", "duplicate"]
    assert (await account_balances(home))["pool"] == 99_000


_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"id": None}, "/id must be a text"),
    "an empty id": ({"id": ""}, "/id must have at least 1 character"),
    "an id that is too long": ({"id": "x" * 256}, "/id must have at most 255 characters"),
    "another field": ({"colour": "red"}, "/colour is not a field of this request"),
    "both amounts": ({"credits": 1, "quantity": 1}, "/credits must be sent, or `quantity`, and not both"),
    "less than nothing": ({"credits": -1}, "/credits must be greater than or equal to 0"),
    "a broken milli-credit": ({"credits": 0.0001}, "/credits has more than three decimal places"),
    "a name that is no feature": ({"feature": "Image!"}, "/feature must match pattern"),
    "a feature without a price": ({"credits": None, "quantity": 1}, "/feature has no price"),
    "more than can be paid": ({"feature": "generation", "credits": None, "quantity": 1e12}, "/quantity costs more"),
    "a time without a zone": ({"time": "2026-02-01T00:00:00"}, "/time must say its zone"),
    "a time long ago": ({"time": "2020-02-01T00:00:00Z"}, "/time must lie within"),
    "a time to come": ({"time": "2999-02-01T00:00:00Z"}, "/time must lie within"),
    "an unknown workspace": ({"workspaceId": new_id("ws")}, "/workspaceId names no workspace within this key's reach"),
    "metadata that is no object": ({"metadata": [1]}, "/metadata must be an object"),
}


@pytest.mark.parametrize("wrong", _WRONG)
async def test_what_is_no_event_is_told_so_and_hinders_no_other(
    database: Database, http: httpx2.AsyncClient, wrong: str
) -> None:
    home = await a_home(database, granted=100_000, workspaces=1)
    key = await a_key(database, home.origin)
    fields, detail = _WRONG[wrong]
    bad = {**an_event(home.workspaces[0]), **fields}

    outcomes = await tell(http, key, [an_event(home.workspaces[0]), bad, an_event(home.workspaces[0])])

    assert statuses(outcomes) == ["recorded", "invalid", "recorded"]
    assert outcomes[1]["id"] == bad["id"]
    assert outcomes[1]["reason"] == "request.invalid"
    assert detail in outcomes[1]["detail"]
    assert (await account_balances(home))["pool"] == 98_000


@pytest.mark.parametrize("sent", [[], [1], ["x"], [None], [[]], {"a": 1}, "all", None])
async def test_a_body_that_holds_no_events_is_refused_or_told_so(
    database: Database, http: httpx2.AsyncClient, sent: Any
) -> None:
    home = await a_home(database, workspaces=1)
    answer = await http.post(PATH, headers=await a_key(database, home.origin), json={"events": sent})

    if isinstance(sent, list) and sent:
        assert answer.json()["data"] == [
            {"id": None, "status": "invalid", "reason": "request.invalid", "detail": "must be an object"}
        ]
    else:
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == "/events"


async def test_a_bare_list_is_taken_and_more_than_a_thousand_are_not(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=10_000_000, workspaces=1)
    key = await a_key(database, home.origin)
    many = [an_event(home.workspaces[0]) for _ in range(MOST_EVENTS + 1)]

    all_of_them = await http.post(PATH, headers=key, json=many[:-1])
    too_many = await http.post(PATH, headers=key, json=many)

    assert statuses(all_of_them.json()["data"]) == ["recorded"] * MOST_EVENTS
    assert too_many.status_code == 400
    assert await rows(home, _DAYS) == [("image", MOST_EVENTS * 1000, MOST_EVENTS)]
    assert await broken(home) == []


def test_a_call_may_bring_eight_mebibytes_and_others_one() -> None:
    most = body_limit(application(), MOST_BYTES)

    assert most(PATH) == 8 * 1024 * 1024
    assert most("/v1/usage") == most("/v1/credits/charges") == 1024 * 1024


async def test_what_nothing_can_pay_for_is_kept_and_charged_nothing(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=5_000, workspaces=1)
    (place,) = home.workspaces
    key = await a_key(database, home.origin)

    told = [an_event(place, id=name, credits=amount) for name, amount in (("a", 3), ("b", 3), ("c", 2), ("d", 0))]
    outcomes = await tell(http, key, told)
    again = await tell(http, key, told)

    assert statuses(outcomes) == ["recorded", "unfunded", "recorded", "recorded"]
    assert outcomes[1]["reason"] == "credits.exhausted"
    assert "needs 3 credits" in outcomes[1]["detail"]
    assert statuses(again) == ["duplicate"] * 4
    assert sorted(await rows(home, _EVENTS)) == [
        ("a", "image", 3_000, None, True),
        ("b", "image", 0, 3_000, False),
        ("c", "image", 2_000, None, True),
        ("d", "image", 0, None, True),
    ]
    assert await rows(home, _DAYS) == [("image", 5_000, 4)]
    assert "pool" not in await account_balances(home)
    assert await broken(home) == []


async def test_a_cap_leaves_what_passes_it_unfunded(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=50_000, workspaces=1)
    (place,) = home.workspaces
    key = await a_key(database, home.origin)
    async with database.transaction(home.caller.reach) as tx:
        await credits.set_cap(tx, home.caller, MilliCredits(4_000), workspace_id=place, feature="image")

    told = [an_event(place, credits=amount) for amount in (3, 2, 1)]
    outcomes = await tell(http, key, [*told, an_event(place, feature="video", credits=10)])

    assert statuses(outcomes) == ["recorded", "unfunded", "recorded", "recorded"]
    assert outcomes[1]["reason"] == "credits.cap_exceeded"
    assert (await account_balances(home))["pool"] == 36_000
    assert await broken(home) == []


async def test_own_credits_go_first_and_the_agencys_up_to_the_limit(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=50_000)
    first, second = home.workspaces
    key = await a_key(database, home.origin)
    async with database.transaction(home.caller.reach) as tx:
        settings = {"creditPool": "workspace", "borrowLimit": 5}
        await workspaces.update(tx, home.caller, first, patch={"settings": settings})
        await credits.grant(tx, home.caller, amount=MilliCredits(2_000), workspace_id=first)
        await credits.grant(tx, home.caller, amount=MilliCredits(1_000), workspace_id=first)

    outcomes = await tell(http, key, [an_event(first, credits=2.5), an_event(second), an_event(first, credits=3)])
    too_much = await tell(http, key, [an_event(first, credits=3), an_event(first, credits=2)])

    assert statuses(outcomes) == ["recorded"] * 3
    assert statuses(too_much) == ["unfunded", "recorded"]
    assert (await account_balances(home))["pool"] == 50_000 - 1_000 - 2_500 - 2_000
    lent = await rows(home, "select amount from credit_transfer where agency_id = $1 and kind = 'borrow' order by id")
    assert lent == [(2_500,), (2_000,)]
    assert await broken(home) == []


async def test_work_in_an_archived_workspace_is_kept_and_charged_nothing(
    database: Database, http: httpx2.AsyncClient
) -> None:
    home = await a_home(database, granted=5_000)
    first, second = home.workspaces
    key = await a_key(database, home.origin)
    async with database.transaction(home.caller.reach) as tx:
        await workspaces.archive(tx, home.caller, first)

    outcomes = await tell(http, key, [an_event(first), an_event(second), an_event(first, credits=0)])

    assert statuses(outcomes) == ["unfunded", "recorded", "recorded"]
    assert outcomes[0]["reason"] == "workspace.archived"
    assert (await account_balances(home))["pool"] == 4_000


async def test_a_key_tells_of_workspaces_in_its_reach_alone(database: Database, http: httpx2.AsyncClient) -> None:
    home, other = await a_home(database, granted=5_000), await a_home(database, granted=5_000)
    first, second = home.workspaces
    own = await a_key(database, home.origin, first)

    told = [an_event(first), an_event(second), an_event(other.workspaces[0])]
    outcomes = await tell(http, own, told)
    for_all = await tell(http, await a_key(database, home.origin), told[1:])

    assert statuses(outcomes) == ["recorded", "invalid", "invalid"]
    assert outcomes[1]["detail"] == outcomes[2]["detail"]
    assert statuses(for_all) == ["recorded", "invalid"]
    assert await rows(other, "select id from usage_event_id where agency_id = $1") == []
    assert (await account_balances(other))["pool"] == 5_000


async def test_a_key_without_the_scope_tells_nothing(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, workspaces=1)
    key = await a_key(database, home.origin, preset="read_only")

    answer = await http.post(PATH, headers=key, json=[an_event(home.workspaces[0])])

    assert (answer.status_code, answer.json()["reason"]) == (403, "keys.scope_missing")


async def test_work_of_the_past_counts_on_its_day_and_is_paid_now(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=5_000, workspaces=1, timezone="Pacific/Auckland")
    key = await a_key(database, home.origin)
    now = datetime.now(UTC)
    past = (now - timedelta(days=200)).replace(hour=23)

    told = [an_event(home.workspaces[0], time=at.isoformat()) for at in (past, now, now + timedelta(minutes=4))]
    outcomes = await tell(http, key, told)

    assert statuses(outcomes) == ["recorded"] * 3
    days = await rows(home, "select day, events from usage_daily where agency_id = $1 order by day")
    assert days[0] == ((past + timedelta(days=1)).date(), 1)
    lies = await rows(home, "select tableoid::regclass::text from usage_event where agency_id = $1 order by at limit 1")
    assert lies == [(f"usage_event_{past:%Y_%m}",)]
    used = await rows(home, "select used from credit_tally where agency_id = $1 and subject = 'agency'")
    assert used == [(3_000,)]


async def test_a_stored_answer_is_given_again(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=5_000, workspaces=1)
    key = await a_key(database, home.origin)
    event = an_event(home.workspaces[0])

    first = await tell(http, key, [event], **{"Idempotency-Key": "batch-1"})
    again = await tell(http, key, [event], **{"Idempotency-Key": "batch-1"})

    assert first == again
    assert statuses(again) == ["recorded"]


async def test_a_batch_leaves_one_record_and_a_repeat_none(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=1_500, workspaces=1)
    (place,) = home.workspaces
    key = await a_key(database, home.origin)
    told = [an_event(place), an_event(place)]

    await tell(http, key, told)
    await tell(http, key, told)

    found = await rows(
        home, "select workspace_id, after from audit_entry where agency_id = $1 and event = 'usage.reported'"
    )
    assert found == [(place, {"events": 2, "credits": 1, "unfunded": 1, "unfundedCredits": 1})]


async def test_what_is_rolled_back_was_not_told(database: Database) -> None:
    home = await a_home(database, granted=5_000, workspaces=1)
    event = ToldEvent("1", "tests", home.workspaces[0], "image", MilliCredits(1_000))

    async def told_and_lost() -> None:
        async with database.transaction(home.caller.reach) as tx:
            await credits.report_usage(tx, home.caller, [event])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await told_and_lost()
    async with database.transaction(home.caller.reach) as tx:
        (outcome,) = await credits.report_usage(tx, home.caller, [event])

    assert outcome.status.value == "recorded"
    assert (await account_balances(home))["pool"] == 4_000


async def test_the_same_events_told_by_many_at_once_count_once(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=1_000_000)
    key = await a_key(database, home.origin)
    told = [an_event(home.workspaces[number % 2], id=str(number)) for number in range(100)]

    answers = await asyncio.gather(*(tell(http, key, told[::step]) for step in (1, -1) * 4))

    recorded = [one["id"] for outcomes in answers for one in outcomes if one["status"] == "recorded"]
    assert sorted(recorded) == sorted(str(number) for number in range(100))
    assert (await account_balances(home))["pool"] == 900_000
    assert await broken(home) == []


async def test_many_batches_at_once_never_take_more_than_there_is(database: Database, http: httpx2.AsyncClient) -> None:
    home = await a_home(database, granted=100_000)
    key = await a_key(database, home.origin)
    batches = [[an_event(home.workspaces[n % 2], credits=1 + n % 3) for n in range(20)] for _ in range(10)]

    answers = await asyncio.gather(*(tell(http, key, batch) for batch in batches))

    paid = sum(
        event["credits"]
        for batch, outcomes in zip(batches, answers, strict=True)
        for event, one in zip(batch, outcomes, strict=True)
        if one["status"] == "recorded"
    )
    assert paid == 100
    assert {one["status"] for outcomes in answers for one in outcomes} == {"recorded", "unfunded"}
    assert len(await rows(home, _EVENTS)) == 200
    assert await broken(home) == []
