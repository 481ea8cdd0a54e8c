"""Skills and invocations over HTTP, with the approvals in between and a background process that works."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest_asyncio

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.doorway import Doorway
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.runs.approvals import routes as approvals_routes
from colonnade.runs.invocations import RunState, ensure_in_reach
from colonnade.runs.invocations import routes as invocations_routes
from colonnade.tenancy import keys, workspaces
from colonnade.tenancy.keys import Draft, KeyKeeper
from tests.factories import a_workspace
from tests.runs.run_fixtures import Bench, a_bench, alone, bench, working
from tests.serving import an_address

__all__ = ["alone", "bench"]

Answer = dict[str, Any]
ROUTERS = [approvals_routes.routes, invocations_routes.routes]


@dataclass(frozen=True)
class Client:
    """Calls as one key, about the bench's workspace."""

    http: httpx2.AsyncClient
    headers: dict[str, str]

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.get(path, headers={**self.headers, **options.pop("headers", {})}, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.post(path, headers={**self.headers, **options.pop("headers", {})}, **options)

    async def invoke(self, **body: Any) -> httpx2.Response:
        return await self.post("/v1/agent/invoke", json={"skill": "draft_post", **body})

    async def waiting(self, invocation_id: str) -> Answer:
        """The invocation once it waits for its approval."""
        async with asyncio.timeout(100):
            while True:
                shown: Answer = (await self.get(f"/v1/agent/invocations/{invocation_id}")).json()
                if shown["status"] == "WAITING_APPROVAL":
                    return shown
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module")
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async def find(caller: Caller, named: str) -> str | None:
        async with database.transaction(caller.reach) as tx:
            return named if await workspaces.exists(tx, named) else None

    keeper = KeyKeeper(database)
    await keeper.start()
    app = assemble(House(database, find), ROUTERS)
    setattr(app.state, approvals_routes.ENSURE_RUN, ensure_in_reach)
    served = Envelope(Doorway(app, keeper), EnvelopeOptions(), lambda _visit: None)
    transport = httpx2.ASGITransport(app=served, client=an_address())
    async with httpx2.AsyncClient(transport=transport, base_url="http://house.test") as client:
        yield client
    await keeper.close()


async def client_of(http: httpx2.AsyncClient, bench: Bench, **fields: Any) -> Client:
    """A master key that names the bench's workspace in the header."""
    async with bench.database.transaction(bench.home.reach) as tx:
        minted = await keys.mint(tx, bench.home.caller, Draft("Master", preset="master", rate_limit=None, **fields))
    headers = {"Authorization": f"Bearer {minted.secret.reveal()}", "X-Workspace-Id": bench.workspace.id}
    return Client(http, headers)


@pytest_asyncio.fixture
async def client(http: httpx2.AsyncClient, bench: Bench) -> Client:
    return await client_of(http, bench)


async def test_the_skills_tell_their_input_their_gates_and_their_price(client: Client) -> None:
    answer = await client.get("/v1/agent/skills")

    (skill,) = answer.json()["skills"]
    assert (skill["slug"], skill["gates"], skill["price"]) == ("draft_post", ["publish"], 11)
    assert set(skill["inputSchema"]["properties"]) == {"topic", "keyword", "instructions", "publish"}


async def test_invoking_answers_a_handle_whose_links_lead_to_the_run(client: Client, bench: Bench) -> None:
    answer = await client.invoke(input={"topic": "Comparing tools"})

    shown = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == shown["links"]["self"]
    assert set(shown) == {"invocationId", "workspaceId", "agentId", "skill", "status", "estimatedCost", "links"}
    assert (shown["status"], shown["workspaceId"]) == ("PENDING", bench.workspace.id)
    assert shown["estimatedCost"] == {"credits": 11, "durationSeconds": 60}
    for path in shown["links"].values():
        if not path.endswith("/events"):
            assert (await client.get(path)).json()["invocationId"] == shown["invocationId"]


async def test_a_form_content_type_and_an_empty_input_are_enough(client: Client) -> None:
    answer = await client.post(
        "/v1/agent/invoke",
        content=b'{"skill": "draft_post"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 202


async def test_every_bad_field_of_the_input_is_named_under_input(client: Client) -> None:
    answer = await client.invoke(input={"topic": "", "publish": "yes", "colour": "red"})

    assert answer.status_code == 400
    assert {one["pointer"] for one in answer.json()["errors"]} == {"/input/topic", "/input/publish", "/input/colour"}


async def test_an_unknown_skill_is_refused_with_the_known_ones(client: Client) -> None:
    answer = await client.post("/v1/agent/invoke", json={"skill": "juggle"})

    problem = answer.json()
    assert (answer.status_code, problem["reason"], problem["errors"][0]["pointer"]) == (
        400,
        "runs.skill_unknown",
        "/skill",
    )
    assert problem["details"]["skills"] == ["draft_post"]


async def test_an_agency_key_that_names_no_workspace_is_asked_for_one(client: Client) -> None:
    nameless = Client(client.http, {"Authorization": client.headers["Authorization"]})
    answer = await nameless.invoke()
    assert (answer.status_code, answer.json()["reason"]) == (400, "workspace.required")


async def test_without_credits_the_answer_is_402_and_nothing_is_kept(
    http: httpx2.AsyncClient, database: Database
) -> None:
    poor = await a_bench(database, granted="10.999")
    client = await client_of(http, poor)

    answer = await client.invoke()

    assert (answer.status_code, answer.json()["code"]) == (402, "INSUFFICIENT_CREDITS")
    told = answer.json()["details"]
    assert (told["required"], told["available"], told["cap"], told["source"]) == (11, 10.999, None, "agency")
    assert (await client.get("/v1/agent/invocations")).json() == {"data": [], "nextCursor": None, "total": 0}


async def test_a_repeated_invoke_with_its_idempotency_key_is_one_run(client: Client) -> None:
    first, second = [
        await client.post("/v1/agent/invoke", json={"skill": "draft_post"}, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert second.json() == first.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert (await client.get("/v1/agent/invocations")).json()["total"] == 1


async def test_a_run_of_another_agency_or_workspace_is_not_found(
    client: Client, http: httpx2.AsyncClient, bench: Bench, database: Database
) -> None:
    foreign = await client_of(http, await a_bench(database))
    sibling = await a_workspace(database, bench.home, name="Sibling")
    beside = Client(http, {**client.headers, "X-Workspace-Id": sibling.id})
    run = (await client.invoke()).json()["invocationId"]

    for other in (foreign, beside):
        for tail in ("", "/steps", "/tree", "/events"):
            assert (await other.get(f"/v1/agent/invocations/{run}{tail}")).status_code == 404
        for tail in ("/cancel", "/approve", "/reject"):
            assert (await other.post(f"/v1/agent/invocations/{run}{tail}", json={})).status_code == 404
        assert (await other.get("/v1/agent/invocations")).json()["data"] == []


async def test_the_list_filters_by_state_in_any_case_and_goes_on_by_cursor(client: Client) -> None:
    runs = [(await client.invoke()).json()["invocationId"] for _ in range(3)]
    await client.post(f"/v1/agent/invocations/{runs[0]}/cancel")

    pending = (await client.get("/v1/agent/invocations", params={"status": "pending"})).json()
    first = (await client.get("/v1/agent/invocations", params={"limit": 2})).json()
    rest = (await client.get("/v1/agent/invocations", params={"limit": 2, "cursor": first["nextCursor"]})).json()

    assert [run["invocationId"] for run in pending["data"]] == [runs[2], runs[1]]
    assert [run["invocationId"] for run in first["data"] + rest["data"]] == list(reversed(runs))
    assert (first["total"], rest["nextCursor"]) == (3, None)


async def test_cancelling_a_pending_run_ends_it_at_once_and_again_is_409(client: Client, bench: Bench) -> None:
    run = (await client.invoke()).json()["invocationId"]

    answer = await client.post(f"/v1/agent/invocations/{run}/cancel")
    again = await client.post(f"/v1/agent/invocations/{run}/cancel")

    assert (answer.status_code, answer.json()["status"], answer.json()["creditsUsed"]) == (200, "CANCELLED", 0)
    assert (again.status_code, again.json()["reason"]) == (409, "runs.finished")
    assert await bench.balances() == {"pool": 100_000, "issued": -100_000}


async def test_the_first_story_by_http_alone(client: Client, bench: Bench, address: Address, tmp_path: Path) -> None:
    async with working(address, tmp_path):
        run = (await client.invoke(input={"keyword": "capacity tracking"})).json()["invocationId"]
        waiting = await client.waiting(run)
        inbox = (await client.get("/v1/agent/approvals")).json()["data"]
        assert [one["approvalId"] for one in inbox] == [waiting["approvalId"]]

        edited = await client.post(
            f"/v1/agent/invocations/{run}/approve", json={"edits": {"title": "Capacity, tracked"}}
        )
        assert edited.status_code == 200
        await bench.in_state(run, RunState.SUCCEEDED, RunState.FAILED)

    shown = (await client.get(f"/v1/agent/invocations/{run}")).json()
    assert (shown["status"], shown["creditsUsed"], shown["error"]) == ("SUCCEEDED", 11, None)
    assert (shown["result"]["title"], shown["result"]["status"]) == ("Capacity, tracked", "PUBLISHED")
    assert shown["approvalId"] is None
    (decision,) = shown["decisions"]
    assert (decision["status"], decision["approvalId"]) == ("APPROVED", waiting["approvalId"])
    assert shown["steps"][1]["facts"] == {"model": "scripted", "tokensIn": 0, "tokensOut": 0}


async def test_foreground_answers_with_the_ended_run(
    http: httpx2.AsyncClient, database: Database, address: Address, tmp_path: Path
) -> None:
    bench = await a_bench(database)
    client = await client_of(http, bench)
    async with working(address, tmp_path):
        answer = await client.invoke(input={"publish": False}, mode="FOREGROUND")

    assert (answer.status_code, answer.json()["status"]) == (200, "SUCCEEDED")
    assert answer.json()["result"]["status"] == "DRAFT"
    assert await bench.balances() == {"pool": 90_000, "issued": -100_000, f"used:{bench.workspace.id}": 10_000}


def frames(text: str) -> list[tuple[int, str, Answer]]:
    """Number, event and data of every frame; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_events_are_followed_to_the_last_one_and_resumed_after_a_break(
    client: Client, bench: Bench, address: Address, tmp_path: Path
) -> None:
    run = (await client.invoke()).json()["invocationId"]
    following = asyncio.create_task(client.get(f"/v1/agent/invocations/{run}/events"))
    async with working(address, tmp_path):
        await client.waiting(run)
        await client.post(f"/v1/agent/invocations/{run}/reject", json={"reason": "off voice"})
        whole = frames((await following).text)

    assert [number for number, _, _ in whole] == list(range(1, len(whole) + 1))
    states = [data["status"] for _, event, data in whole if event == "state"]
    assert states == ["PENDING", "RUNNING", "WAITING_APPROVAL", "RUNNING", "CANCELLED"]
    resumed = await client.get(
        f"/v1/agent/invocations/{run}/events", params={"after": 1}, headers={"Last-Event-ID": "4"}
    )
    assert resumed.headers["content-type"].startswith("text/event-stream")
    assert frames(resumed.text) == whole[4:]
    assert frames((await client.get(f"/v1/agent/invocations/{run}/events", params={"after": 2})).text) == whole[2:]
    assert (await client.get(f"/v1/agent/invocations/{run}/events", params={"after": 999})).text == ""
    bad = await client.get(f"/v1/agent/invocations/{run}/events", headers={"Last-Event-ID": "x"})
    assert bad.status_code == 400


async def test_a_rejected_run_is_cancelled_with_the_decision_and_charged_for_the_writing_alone(
    client: Client, bench: Bench, address: Address, tmp_path: Path
) -> None:
    async with working(address, tmp_path):
        run = (await client.invoke()).json()["invocationId"]
        await client.waiting(run)
        await client.post(f"/v1/agent/invocations/{run}/reject", json={"reason": "off voice"})
        await bench.in_state(run, RunState.CANCELLED, RunState.FAILED)

    shown = (await client.get(f"/v1/agent/invocations/{run}")).json()
    assert (shown["status"], shown["creditsUsed"], shown["error"]) == ("CANCELLED", 10, None)
    assert shown["result"]["status"] == "REJECTED"
    assert (shown["result"]["decision"]["status"], shown["result"]["decision"]["reason"]) == ("REJECTED", "off voice")
    assert await bench.balances() == {"pool": 90_000, "issued": -100_000, f"used:{bench.workspace.id}": 10_000}
