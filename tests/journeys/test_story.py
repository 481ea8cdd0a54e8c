"""The whole story of a new user: from an empty folder to approved posts, through a kill in the middle."""

import asyncio
import csv
import io
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.chat_server import ChatServer, chat_server
from tests.fakes.receiver import Receiver
from tests.journeys.installation import Answer, Installation, installation

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

ROSTER = Path(__file__).parents[2] / "examples" / "roster.csv"
VOICE = "Confident, technical, second-person; avoid corporate cliches."


@dataclass(slots=True)
class Story:
    """What the story has at hand as it goes on."""

    house: Installation
    models: ChatServer
    receiver: Receiver
    key: str = ""
    agency_id: str = ""
    workspaces: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def curl(self, *words: str) -> Answer:
        return await self.house.curl(self.key, *words)

    async def post(self, path: str, body: Any, *words: str) -> Answer:
        return await self.curl("-X", "POST", path, "-d", json.dumps(body), *words)

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.curl("-X", "PATCH", path, "-d", json.dumps(body))

    async def all_of(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = (await self.curl(f"{path}&limit=20{cursor}")).json()
            found += answer["data"]
            if answer["nextCursor"] is None:
                return found
            cursor = f"&cursor={answer['nextCursor']}"


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not await what():
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.2)


async def test_the_story_of_a_new_user(tmp_path: Path) -> None:
    async with chat_server() as models, Receiver() as receiver:
        models.delay_seconds = 0.5
        settings = {
            "openai_api_key": models.key,
            "openai_base_url": models.openai_url,
            "default_model": "openai:gpt-5",
            "outbound_allow": f"127.0.0.1/32:{receiver.port}",
            "lease_seconds": "5",
            "log_level": "debug",
        }
        async with installation(tmp_path / "data", **settings) as house:
            story = Story(house, models, receiver)
            await house.up("--no-demo")
            await a_new_agency_has_its_key(story)
            await the_roster_becomes_workspaces(story)
            await voices_and_policies_are_set_and_shown_with_their_sources(story)
            bulk = await every_brand_drafts_a_post_through_a_kill(story)
            await people_decide(story)
            await credits_are_accounted_for(story, bulk)
            await a_key_of_one_brand_reaches_nothing_of_another(story)
            await no_key_stands_in_what_was_printed(story)
            assert await house.stop() == 0


async def a_new_agency_has_its_key(story: Story) -> None:
    words = ("agency", "create", "--name", "Northlight", "--owner-email", "owner@northlight.example", "--json")
    code, out, _ = await story.house.command(*words, "--credits", "500")
    made = json.loads(out)
    assert code == 0
    story.key, story.agency_id = made["apiKey"], made["agencyId"]

    granted = await story.post("/v1/credits/grants", {"amount": 100.5, "note": "A little more"})
    whoami = (await story.curl("/v1/whoami")).json()
    assert granted.status == 201
    assert whoami["agencyId"] == story.agency_id
    assert whoami["kind"] == "agency"


async def the_roster_becomes_workspaces(story: Story) -> None:
    code, out, err = await story.house.command(
        "import", "workspaces", str(ROSTER), "--agency", story.agency_id, "--json"
    )
    assert code == 0, err
    assert len(json.loads(out)["created"]) == 38

    # One call less in a window, and the rest of the story would wait for the next one.
    key = (await story.curl("/v1/whoami")).json()["keyId"]
    freed = await story.patch(f"/v1/api-keys/{key}", {"rateLimit": {"requests": 100_000, "windowSeconds": 60}})
    assert freed.status == 200, freed.body
    rows = await story.all_of("/v1/workspaces?sort=name")
    story.workspaces = {row["name"]: row for row in rows}
    with ROSTER.open(encoding="utf-8") as file:
        assert set(story.workspaces) == {row["name"] for row in csv.DictReader(file)}
    assert story.workspaces["Fjällräven"]["slug"] == "fjallraven"

    again = await story.post("/v1/workspaces", {"name": "Asana", "primaryDomain": "asana.com"})
    assert (again.status, again.json()["reason"]) == (409, "workspace.duplicate_domain")


async def voices_and_policies_are_set_and_shown_with_their_sources(story: Story) -> None:
    asana, linear, oatly = (story.workspaces[name]["id"] for name in ("Asana", "Linear", "Oatly"))
    agency = await story.patch("/v1/agency/settings", {"defaultApprovalPolicy": {"publish": "require_approval"}})
    voice = await story.patch(f"/v1/workspaces/{asana}", {"brand": {"voice": VOICE}})
    overriding = await story.patch(f"/v1/workspaces/{linear}", {"settings": {"approvalPolicy": {"publish": "auto"}}})
    hook = {"publishing": {"kind": "webhook", "url": f"http://127.0.0.1:{story.receiver.port}/articles?token=abc"}}
    publishing = await story.patch(f"/v1/workspaces/{oatly}", {"settings": hook})
    assert [answer.status for answer in (agency, voice, overriding, publishing)] == [200] * 4

    rows = await story.all_of("/v1/workspaces?include=usage,health,lastActiveAt,settings")
    shown = {row["id"]: row for row in rows}
    assert len(shown) == 38
    assert shown[linear]["settings"]["approvalPolicy"]["publish"] == "auto"
    assert shown[linear]["settingSources"]["approvalPolicy.publish"] == {"source": "workspace", "locked": False}
    assert shown[asana]["settings"]["approvalPolicy"]["publish"] == "require_approval"
    assert shown[asana]["settingSources"]["approvalPolicy.publish"] == {"source": "agency", "locked": False}
    assert shown[asana]["usage"]["creditsRemaining"] == 600.5
    assert {"health", "lastActiveAt"} <= set(shown[asana])


async def every_brand_drafts_a_post_through_a_kill(story: Story) -> dict[str, Any]:
    body = {
        "action": "agent.invoke",
        "workspaces": "all",
        "config": {"skill": "draft_post", "input": {"topic": "What is new"}},
    }
    started = await story.post("/v1/workspaces/bulk-action", body, "-H", "Idempotency-Key: story-1")
    assert started.status == 202, started.body
    bulk: dict[str, Any] = started.json()
    assert bulk["counts"]["total"] == 38
    held = (await story.curl("/v1/credits")).json()["agency"]["held"]
    assert held == 38 * 11

    async def some_have_written() -> bool:
        return len(await finished_steps(story, "write")) >= 5

    await until(some_have_written)
    before = await finished_steps(story, "write")
    await story.house.kill()
    asked_before = len(story.models.asked)
    assert len(before) < 38, "everything was done before the kill; the story needs slower models"

    await story.house.up("--no-demo")
    replayed = await story.post("/v1/workspaces/bulk-action", body, "-H", "Idempotency-Key: story-1")
    assert replayed.json()["bulkActionId"] == bulk["bulkActionId"]
    assert replayed.headers["idempotent-replayed"] == "true"

    async def all_wait_or_have_ended() -> bool:
        counts = (await story.curl(bulk["links"]["self"])).json()["counts"]
        return bool(counts["pending"] + counts["running"] == 0)

    await until(all_wait_or_have_ended)
    counts = (await story.curl(bulk["links"]["self"])).json()["counts"]
    assert (counts["waiting"], counts["succeeded"], counts["failed"]) == (37, 1, 0)  # Linear's policy is `auto`
    no_finished_step_was_repeated(story, before, asked_before)
    runs = await story.all_of("/v1/agent/invocations?scope=agency")
    assert Counter(run["workspaceId"] for run in runs) == Counter(row["id"] for row in story.workspaces.values())
    posts = await story.all_of("/v1/posts?scope=agency")
    assert Counter(post["workspaceId"] for post in posts) == Counter(row["id"] for row in story.workspaces.values())
    assert {post["model"] for post in posts} == {"openai:gpt-5"}
    return bulk


async def finished_steps(story: Story, name: str) -> set[str]:
    """The domains of the brands whose run has finished this step."""
    domains = {row["id"]: row["primaryDomain"] for row in story.workspaces.values()}
    found = set()
    for run in await story.all_of("/v1/agent/invocations?scope=agency"):
        steps = (await story.curl(f"/v1/agent/invocations/{run['invocationId']}/steps")).json()["data"]
        if any(step["name"] == name for step in steps):
            found.add(domains[run["workspaceId"]])
    return found


def no_finished_step_was_repeated(story: Story, finished: set[str], asked_before: int) -> None:
    asked = Counter[str]()
    for one in story.models.asked:
        text = json.dumps(one.body)
        asked.update(domain for domain in domains_of(story) if f'\\"primaryDomain\\": \\"{domain}\\"' in text)
    assert set(asked) == set(domains_of(story))
    assert {domain: asked[domain] for domain in finished} == dict.fromkeys(finished, 1)
    # What was under way when the kill came is asked again, once; nothing else is.
    under_way = asked_before - len(finished)
    assert sum(asked.values()) <= 38 + under_way


def domains_of(story: Story) -> Sequence[str]:
    return [row["primaryDomain"] for row in story.workspaces.values()]


async def people_decide(story: Story) -> None:
    inbox = await story.all_of("/v1/agent/approvals?scope=agency")
    assert len(inbox) == 37
    waiting = {approval["workspaceId"]: approval for approval in inbox}
    asana, oatly, trello = (waiting[story.workspaces[name]["id"]] for name in ("Asana", "Oatly", "Trello"))

    edits = {"title": "What is new at Asana", "metaDescription": "Read by a person."}
    edited = await story.post(f"/v1/agent/approvals/{asana['approvalId']}/approve", {"edits": edits})
    plain = await story.post(f"/v1/agent/invocations/{oatly['invocationId']}/approve", {})
    rejected = await story.post(f"/v1/agent/approvals/{trello['approvalId']}/reject", {"reason": "Not our tone"})
    twice = await story.post(f"/v1/agent/approvals/{trello['approvalId']}/approve", {})
    assert [answer.status for answer in (edited, plain, rejected)] == [200] * 3
    assert (twice.status, twice.json()["reason"]) == (409, "approvals.decided")
    assert edited.json()["approved"]["title"] == "What is new at Asana"

    async def told() -> bool:
        posts = await story.all_of("/v1/posts?scope=agency&status=PUBLISHED")
        refused = await story.all_of("/v1/posts?scope=agency&status=REJECTED")
        return len(posts) == 3 and len(refused) == 1

    await until(told)
    posts = {post["workspaceId"]: post for post in await story.all_of("/v1/posts?scope=agency")}
    assert Counter(post["status"] for post in posts.values()) == {"PUBLISHED": 3, "REJECTED": 1, "IN_REVIEW": 34}
    await the_edited_post_is_published_as_approved(story, posts[asana["workspaceId"]])
    the_receiver_got_the_article_once(story, posts[oatly["workspaceId"]])
    assert posts[trello["workspaceId"]]["rejectedReason"] == "Not our tone"
    ended = (await story.curl(f"/v1/agent/invocations/{trello['invocationId']}")).json()
    assert ended["status"] == "CANCELLED"
    assert ended["result"]["decision"]["reason"] == "Not our tone"


async def the_edited_post_is_published_as_approved(story: Story, post: dict[str, Any]) -> None:
    assert (post["title"], post["revision"]) == ("What is new at Asana", 2)
    page = Path(post["publishedUrl"].removeprefix("file://"))
    assert "What is new at Asana" in page.read_text(encoding="utf-8")
    revisions = (await story.curl(f"/v1/posts/{post['id']}/revisions")).json()["data"]
    assert [(one["revision"], one["reason"]) for one in revisions] == [(2, "approved_with_edits"), (1, "written")]


def the_receiver_got_the_article_once(story: Story, post: dict[str, Any]) -> None:
    (request,) = story.receiver.requests
    assert request.method == "POST"
    assert request.headers["idempotency-key"]
    assert request.json()["post"]["title"] == post["title"]
    assert "token=abc" not in post["publishedUrl"]


async def credits_are_accounted_for(story: Story, bulk: dict[str, Any]) -> None:
    answer = await story.curl("/v1/usage?groupBy=workspace,feature&format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.body)))
    assert answer.headers["content-type"].startswith("text/csv")
    charged = Counter[str]()
    for row in rows:
        charged[row["feature"]] += int(float(row["credits"]))
    # Four runs have ended: three published, one rejected after it was written. The others still hold theirs.
    assert charged == {"generation": 40, "publish": 3}
    assert all(count == 1 for count in Counter((row["workspaceId"], row["feature"]) for row in rows).values())
    pool = (await story.curl("/v1/credits")).json()["agency"]
    assert pool["held"] == 34 * 11
    assert pool["used"] == 43
    assert pool["available"] == 600.5 - 34 * 11 - 43
    assert (await story.curl(bulk["links"]["self"])).json()["counts"]["cancelled"] == 1


async def a_key_of_one_brand_reaches_nothing_of_another(story: Story) -> None:
    asana, oatly = story.workspaces["Asana"]["id"], story.workspaces["Oatly"]["id"]
    made = await story.post(f"/v1/workspaces/{asana}/api-keys", {"name": "Asana's own"})
    assert made.status == 201, made.body
    key = made.json()["key"]
    post = next(row for row in await story.all_of("/v1/posts?scope=agency") if row["workspaceId"] == oatly)
    approvals = await story.all_of("/v1/agent/approvals?scope=agency")
    approval = next(row for row in approvals if row["workspaceId"] != asana)
    run = approval["invocationId"]

    for path in (
        f"/v1/workspaces/{oatly}",
        f"/v1/workspaces/{oatly}/usage",
        f"/v1/posts/{post['id']}",
        f"/v1/posts/{post['id']}/revisions",
        f"/v1/agent/invocations/{run}",
        f"/v1/agent/invocations/{run}/events",
        f"/v1/agent/approvals/{approval['approvalId']}",
    ):
        assert (await story.house.curl(key, path)).status == 404, path
    for path in (f"/v1/agent/approvals/{approval['approvalId']}/approve", f"/v1/agent/invocations/{run}/cancel"):
        assert (await story.house.curl(key, "-X", "POST", path)).status == 404, path
    foreign = await story.house.curl(key, "/v1/posts", "-H", f"X-Workspace-Id: {oatly}")
    assert (foreign.status, foreign.json()["reason"]) == (403, "workspace.other")
    for words in (("/v1/agency/settings",), ("/v1/posts?scope=agency",), ("-X", "POST", "/v1/workspaces", "-d", "{}")):
        refused = await story.house.curl(key, *words)
        assert (refused.status, refused.json()["code"]) == (403, "FORBIDDEN"), words
    own = (await story.house.curl(key, "/v1/workspaces")).json()["data"]
    assert [row["id"] for row in own] == [asana]


async def no_key_stands_in_what_was_printed(story: Story) -> None:
    printed = "\n".join(story.house.printed)
    for secret in (story.key, story.models.key, "token=abc"):
        assert secret not in printed
