"""Approvals over HTTP: the inbox, decisions by approval and by invocation, remarks, and every no."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database
from colonnade.runs.approvals.routes import ENSURE_RUN, routes
from colonnade.runs.invocations import ensure_in_reach
from colonnade.tenancy.agencies.routes import routes as agency_routes
from colonnade.tenancy.keys.routes import routes as key_routes
from tests.factories import a_workspace
from tests.runs.approval_homes import PREVIEW, Desk, a_desk
from tests.serving import a_key, served

INBOX = "/v1/agent/approvals"


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [agency_routes, key_routes, routes], {ENSURE_RUN: ensure_in_reach}) as client:
        yield client


@pytest_asyncio.fixture
async def desk(database: Database, worker_database: Database) -> Desk:
    return await a_desk(database, worker_database)


async def test_an_approval_is_read_with_all_that_a_decision_needs(desk: Desk, http: httpx2.AsyncClient) -> None:
    approval = await desk.ask()
    key = await a_key(desk.database, desk.home)

    answer = await http.get(f"{INBOX}/{approval.id}", headers=key)
    shown = answer.json()

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"v1"'
    assert {name: shown[name] for name in ("approvalId", "invocationId", "workspaceId", "skill", "gate", "step")} == {
        "approvalId": approval.id,
        "invocationId": approval.run_id,
        "workspaceId": desk.workspace.id,
        "skill": "draft_post",
        "gate": "publish",
        "step": "approval",
    }
    assert shown["preview"] == PREVIEW
    assert (shown["status"], shown["decision"], shown["approved"]) == ("PENDING", None, None)
    assert shown["comments"] == []
    assert shown["raisedAt"] == shown["createdAt"] < shown["timeoutAt"]


async def test_a_yes_with_edits_answers_with_the_version_that_may_be_acted_on(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    approval = await desk.ask()
    key = await a_key(desk.database, desk.home)
    body = {"edits": {"title": "Capacity, in short"}, "reason": "Shorter."}

    answer = await http.post(f"{INBOX}/{approval.id}/approve", headers=key, json=body)
    shown = answer.json()

    assert answer.status_code == 200
    assert shown["status"] == "APPROVED"
    assert shown["approved"] == {**PREVIEW, "title": "Capacity, in short"}
    assert shown["preview"] == PREVIEW
    assert shown["decision"]["edits"] == {"title": "Capacity, in short"}
    assert shown["decision"]["reason"] == "Shorter."
    assert shown["decision"]["by"].startswith("key_")


async def test_an_empty_body_is_a_plain_yes_or_no(desk: Desk, http: httpx2.AsyncClient) -> None:
    first, second = await desk.ask(), await desk.ask()
    key = await a_key(desk.database, desk.home)

    approved = await http.post(f"{INBOX}/{first.id}/approve", headers=key)
    rejected = await http.post(f"{INBOX}/{second.id}/reject", headers=key)

    assert approved.json()["approved"] == PREVIEW
    assert (rejected.json()["status"], rejected.json()["approved"]) == ("REJECTED", None)


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_second_decision_is_a_conflict_that_tells_the_first(
    desk: Desk, http: httpx2.AsyncClient, verb: str
) -> None:
    approval = await desk.ask()
    key = await a_key(desk.database, desk.home)
    first = await http.post(f"{INBOX}/{approval.id}/reject", headers=key)

    second = await http.post(f"{INBOX}/{approval.id}/{verb}", headers=key)

    assert (second.status_code, second.json()["reason"]) == (409, "approvals.decided")
    assert second.json()["details"]["status"] == "REJECTED"
    assert second.json()["details"]["decidedBy"] == first.json()["decision"]["by"]
    assert second.json()["details"]["decidedAt"] == first.json()["decision"]["at"]


async def test_a_repeated_decision_with_its_key_is_the_same_decision(desk: Desk, http: httpx2.AsyncClient) -> None:
    approval = await desk.ask()
    headers = {**await a_key(desk.database, desk.home), "idempotency-key": "once"}

    first = await http.post(f"{INBOX}/{approval.id}/approve", headers=headers)
    again = await http.post(f"{INBOX}/{approval.id}/approve", headers=headers)

    assert again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("verb", "body", "wrong"),
    [
        ("approve", {"edits": {"title": 7, "postId": "x"}}, {"/edits/title", "/edits/postId"}),
        ("approve", {"edits": []}, {"/edits"}),
        ("approve", {"comment": "fine"}, {"/comment"}),
        ("reject", {"reason": ""}, {"/reason"}),
        ("reject", {"edits": {}}, {"/edits"}),
        ("comment", {}, {"/text"}),
    ],
)
async def test_bad_fields_are_named_and_decide_nothing(
    desk: Desk, http: httpx2.AsyncClient, verb: str, body: dict[str, Any], wrong: set[str]
) -> None:
    approval = await desk.ask()

    answer = await http.post(f"{INBOX}/{approval.id}/{verb}", headers=await a_key(desk.database, desk.home), json=body)

    assert answer.status_code == 400
    assert {error["pointer"] for error in answer.json()["errors"]} == wrong
    assert (await desk.get(approval)).is_pending


async def test_an_invocation_is_decided_without_knowing_its_approval(desk: Desk, http: httpx2.AsyncClient) -> None:
    asked, rejected, silent = await desk.ask(), await desk.ask(), await desk.a_run()
    key = await a_key(desk.database, desk.home)

    yes = await http.post(f"/v1/agent/invocations/{asked.run_id}/approve", headers=key)
    no = await http.post(f"/v1/agent/invocations/{rejected.run_id}/reject", headers=key, json={"reason": "No."})
    again = await http.post(f"/v1/agent/invocations/{asked.run_id}/approve", headers=key)
    nothing = await http.post(f"/v1/agent/invocations/{silent.id}/approve", headers=key)
    nowhere = await http.post(f"/v1/agent/invocations/{new_id('inv')}/approve", headers=key)

    assert (yes.json()["approvalId"], yes.json()["status"]) == (asked.id, "APPROVED")
    assert (no.json()["status"], no.json()["decision"]["reason"]) == ("REJECTED", "No.")
    for conflict in (again, nothing):
        assert (conflict.status_code, conflict.json()["reason"]) == (409, "runs.not_waiting")
    assert nowhere.status_code == 404


async def test_the_inbox_is_one_workspaces_or_all_of_them(desk: Desk, http: httpx2.AsyncClient) -> None:
    other = await a_workspace(desk.database, desk.home, name="Beta", tags=["tier:premium"])
    here, there = await desk.ask(), await desk.ask(await desk.a_run(other))
    master = await a_key(desk.database, desk.home)
    own = await a_key(desk.database, desk.home, desk.workspace.id)

    async def listed(headers: dict[str, str], query: str = "") -> list[str]:
        answer = await http.get(f"{INBOX}{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [approval["approvalId"] for approval in answer.json()["data"]]

    assert await listed(own) == [here.id]
    assert await listed({**master, "x-workspace-id": other.id}) == [there.id]
    assert await listed(master, "?scope=agency") == [there.id, here.id]
    assert await listed(master, "?scope=agency&tag=tier:premium") == [there.id]
    assert await listed(master, "?scope=agency&skill=draft_post&routedTo=nobody") == []
    assert await listed(own, "?status=approved&status=Rejected") == []
    assert await listed(own, "?status=pending&status=Rejected") == [here.id]
    assert (await http.get(INBOX, headers=master)).status_code == 400
    assert (await http.get(f"{INBOX}?scope=agency", headers=own)).status_code == 403
    for query in ("status=LOST", "limit=0", "raisedAfter=yesterday", "cursor=x", "unknown=1"):
        assert (await http.get(f"{INBOX}?{query}", headers=own)).status_code == 400, query


async def test_the_inbox_is_paged_from_the_newest_on(desk: Desk, http: httpx2.AsyncClient) -> None:
    asked = [(await desk.ask()).id for _ in range(3)]
    key = await a_key(desk.database, desk.home, desk.workspace.id)

    first = (await http.get(f"{INBOX}?limit=2", headers=key)).json()
    rest = (await http.get(INBOX, headers=key, params={"limit": 2, "cursor": first["nextCursor"]})).json()

    assert [approval["approvalId"] for approval in first["data"] + rest["data"]] == asked[::-1]
    assert (first["total"], rest["nextCursor"]) == (3, None)


async def test_remarks_are_shown_on_the_approval(desk: Desk, http: httpx2.AsyncClient) -> None:
    approval = await desk.ask()
    key = await a_key(desk.database, desk.home)

    said = await http.post(f"{INBOX}/{approval.id}/comment", headers=key, json={"text": "Is it true?"})
    read = await http.get(f"{INBOX}/{approval.id}", headers=key)

    assert said.status_code == 200
    assert said.json()["status"] == "PENDING"
    assert [remark["text"] for remark in read.json()["comments"]] == ["Is it true?"]
    assert read.json() == said.json()


async def test_with_self_approval_off_the_starting_key_is_refused_and_another_is_not(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    starter, other = await a_key(desk.database, desk.home), await a_key(desk.database, desk.home)
    whoami = (await http.get("/v1/whoami", headers=starter)).json()
    free, bound = await desk.ask(started_by=whoami["keyId"]), await desk.ask(started_by=whoami["keyId"])
    rules = {"approvalRules": {"publish": {"selfApproval": False}}}

    before = await http.post(f"{INBOX}/{free.id}/approve", headers=starter)
    assert (await http.patch("/v1/agency/settings", headers=other, json=rules)).status_code == 200
    after = await http.post(f"{INBOX}/{bound.id}/approve", headers=starter)
    by_another = await http.post(f"{INBOX}/{bound.id}/approve", headers=other)

    assert before.status_code == 200
    assert (after.status_code, after.json()["reason"]) == (403, "approvals.own_run")
    assert after.json()["details"] == {"gate": "publish"}
    assert by_another.status_code == 200


async def test_approvals_out_of_reach_are_not_there(desk: Desk, http: httpx2.AsyncClient) -> None:
    approval = await desk.ask()
    other = await a_workspace(desk.database, desk.home, name="Beta")
    strangers = [
        await a_key(desk.database, desk.home, other.id),
        await a_key(desk.database, (await a_desk(desk.database, desk.workers)).home),
    ]

    for key in strangers:
        for tail in ("/approve", "/reject"):
            assert (await http.post(f"{INBOX}/{approval.id}{tail}", headers=key)).status_code == 404
            path = f"/v1/agent/invocations/{approval.run_id}{tail}"
            assert (await http.post(path, headers=key)).status_code == 404
        assert (await http.get(f"{INBOX}/{approval.id}", headers=key)).status_code == 404
        said = await http.post(f"{INBOX}/{approval.id}/comment", headers=key, json={"text": "Hm."})
        assert said.status_code == 404
    assert (await desk.get(approval)).is_pending


async def test_scopes_stand_before_everything_else(desk: Desk, http: httpx2.AsyncClient) -> None:
    approval = await desk.ask()
    reader = await a_key(desk.database, desk.home, desk.workspace.id, scopes=["approvals:read"])
    management = await a_key(desk.database, desk.home, preset="management")

    assert (await http.get(INBOX)).status_code == 401
    assert (await http.post(f"{INBOX}/{approval.id}/approve", headers=reader)).status_code == 403
    assert (await http.get(f"{INBOX}/{approval.id}", headers=management)).status_code == 403
    assert (await http.get(f"{INBOX}/{approval.id}", headers=reader)).status_code == 200
