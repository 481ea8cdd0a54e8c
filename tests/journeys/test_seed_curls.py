"""Commands that agencies already type against services of this sort: they work here with host, key and ids changed."""

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.journeys.installation import Answer, Installation, installation

pytestmark = pytest.mark.journey

LIST = """
curl -H "Authorization: Bearer sk_live_agency_***" \\
https://api.example.com/v1/workspaces
"""
CREATE = """
curl -X POST -H "Authorization: Bearer sk_live_agency_***" \\
https://api.example.com/v1/workspaces \\
-d '{
"name": "Beta Project Management",
"primaryDomain": "betapm.com",
"settings": { "primaryLocation": "uk", "primaryLanguage": "en" }
}'
"""
ACT = """
curl -X POST -H "Authorization: Bearer sk_live_agency_***" \\
-H "X-Workspace-Id: ws_beta" \\
https://api.example.com/v1/agent/invoke \\
-d '{ "skill": "draft_post", "input": { "topic": "project management for design teams" } }'
"""
BULK = """
curl -X POST -H "Authorization: Bearer sk_live_agency_***" \\
https://api.example.com/v1/workspaces/bulk-action \\
-d '{
"action": "agent.invoke",
"workspaces": "all",
"config": {
"skill": "rank_monitor",
"input": { "alertOn": { "drop": 5 } }
}
}'
"""
BULK_DRAFT = BULK.replace("rank_monitor", "draft_post").replace('{ "alertOn": { "drop": 5 } }', "{}")
BOOTSTRAP = """
curl -X POST -H "Authorization: Bearer sk_live_agency_***" https://api.example.com/v1/agent/invoke -d '{
"skill": "bootstrap_brand",
"input": { "domain": "newclient.com", "workspace": "auto" }
}'
"""
SETTINGS = """
curl -X PATCH -H "Authorization: Bearer sk_live_agency_***" https://api.example.com/v1/agency/settings -d '{
"defaultApprovalPolicy": { "outreach_send": "require_approval", "publish": "auto" }
}'
"""
AUDIT = """
curl -G https://api.example.com/v1/workspaces -H "Authorization: Bearer sk_live_agency_***" \\
--data-urlencode "include=usage,health,lastActiveAt"
"""


@dataclass
class Typist:
    """Types commands against a running installation."""

    place: Installation
    key: str
    created: int = 0

    async def types(self, command: str, *, key: str | None = None, workspace: str = "ws_beta") -> Answer:
        """The command as it stands, but for host, key and id."""
        changed = command.replace("https://api.example.com", self.place.url).replace("ws_beta", workspace)
        changed = changed.replace("\\\n", " ")  # as a shell joins lines
        words = shlex.split(changed.replace("sk_live_agency_***", self.key if key is None else key))
        return await _run(*words)

    async def creates(self) -> Any:
        self.created += 1
        answer = await self.types(CREATE.replace("betapm.com", f"beta-{self.created}.com"))
        assert answer.status == 201, answer.body
        return answer.json()


async def _run(program: str, *words: str) -> Answer:
    process = await asyncio.create_subprocess_exec(program, "-sS", "-i", *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    head, _, body = out.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def _typing(data: Path) -> AsyncIterator[Typist]:
    async with installation(data, log_level="error") as place:
        await place.up("--no-demo")
        words = ("agency", "create", "--name", "Northlight", "--owner-email", "o@northlight.example")
        code, out, err = await place.command(*words, "--credits", "1000", "--json")
        assert code == 0, err
        yield Typist(place, json.loads(out)["apiKey"])


@pytest_asyncio.fixture(scope="module")
async def typist(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Typist]:
    async with _typing(tmp_path_factory.mktemp("typed") / "data") as typist:
        yield typist


async def test_workspaces_are_created_from_what_curl_sends_as_a_form(typist: Typist) -> None:
    answer = await typist.types(CREATE)

    assert answer.status == 201, answer.body
    made = answer.json()
    assert answer.headers["location"] == f"/v1/workspaces/{made['id']}"
    assert (made["name"], made["primaryDomain"]) == ("Beta Project Management", "betapm.com")
    assert (made["settings"]["primaryLocation"], made["settings"]["primaryLanguage"]) == ("uk", "en")


async def test_workspaces_are_listed(typist: Typist) -> None:
    made = await typist.creates()

    answer = await typist.types(LIST)

    assert answer.status == 200
    assert made["id"] in [workspace["id"] for workspace in answer.json()["data"]]


async def test_an_agency_key_acts_in_the_workspace_that_the_header_names(typist: Typist) -> None:
    made = await typist.creates()

    answer = await typist.types(ACT, workspace=made["id"])

    assert answer.status == 202, answer.body
    assert answer.json()["workspaceId"] == made["id"]
    assert (await typist.types(ACT)).status == 404


async def test_a_bulk_action_starts_one_run_in_every_workspace(typist: Typist) -> None:
    await typist.creates()

    answer = await typist.types(BULK_DRAFT)

    assert answer.status == 202, answer.body
    listed = (await typist.types(LIST)).json()["data"]
    assert answer.json()["counts"]["total"] == len(listed)


async def test_a_skill_that_is_not_here_is_named_with_those_that_are(typist: Typist) -> None:
    made = await typist.creates()
    header = f'-H "X-Workspace-Id: {made["id"]}" -X POST'

    bulk = await typist.types(BULK)
    single = await typist.types(BOOTSTRAP.replace("-X POST", header))

    for answer, pointer in ((bulk, "/config/skill"), (single, "/skill")):
        problem = answer.json()
        assert (answer.status, problem["code"], problem["reason"]) == (400, "BAD_REQUEST", "runs.skill_unknown")
        (error,) = problem["errors"]
        assert error["pointer"] == pointer
        assert "draft_post" in error["detail"]


async def test_a_run_without_a_workspace_is_asked_for_one(typist: Typist) -> None:
    answer = await typist.types(BOOTSTRAP)

    assert (answer.status, answer.json()["reason"]) == (400, "workspace.required")


async def test_the_agency_sets_the_approval_policy_that_workspaces_inherit(typist: Typist) -> None:
    made = await typist.creates()

    answer = await typist.types(SETTINGS)

    assert answer.status == 200, answer.body
    settings = (await typist.types(LIST.replace("/v1/workspaces", f"/v1/workspaces/{made['id']}/settings"))).json()
    policy = settings["settings"]["approvalPolicy"]
    assert (policy["outreach_send"], policy["publish"]) == ("require_approval", "auto")
    assert settings["settingSources"]["approvalPolicy.publish"]["source"] == "agency"


async def test_one_call_tells_usage_health_and_activity_of_all(typist: Typist) -> None:
    await typist.creates()

    answer = await typist.types(AUDIT)

    assert answer.status == 200, answer.body
    for workspace in answer.json()["data"]:
        assert {"creditsUsedThisCycle", "creditsRemaining", "cycleEndsAt"} <= set(workspace["usage"])
        assert isinstance(workspace["health"], dict)
        assert "lastActiveAt" in workspace


async def test_keys_that_are_missing_or_wrong_are_told_apart(typist: Typist) -> None:
    made = await typist.creates()
    at = f"https://api.example.com/v1/workspaces/{made['id']}/api-keys"
    mint = LIST.replace("curl", "curl -X POST").replace("https://api.example.com/v1/workspaces", at)
    workspace_key = (await typist.types(mint + """ -d '{"name": "Inside"}'""")).json()["key"]

    missing = await typist.types("curl https://api.example.com/v1/workspaces")
    invalid = await typist.types(LIST, key="ord_c_0123456789")
    wrong_kind = await typist.types(CREATE, key=workspace_key)

    assert (missing.status, missing.json()["code"]) == (401, "UNAUTHORIZED")
    assert (invalid.status, invalid.json()["code"]) == (401, "UNAUTHORIZED")
    assert (wrong_kind.status, wrong_kind.json()["code"]) == (403, "FORBIDDEN")
    assert missing.headers["www-authenticate"] == invalid.headers["www-authenticate"] == "Bearer"


async def _minted(typist: Typist, **draft: Any) -> Any:
    body = json.dumps({"name": "Mine", "preset": "master", **draft})
    at = LIST.replace("/v1/workspaces", "/v1/api-keys")
    return (await typist.types(f"{at.rstrip()} -d {shlex.quote(body)}")).json()


async def test_a_revoked_key_is_forbidden(typist: Typist) -> None:
    minted = await _minted(typist)
    revoke = LIST.replace("curl", "curl -X DELETE").replace("/v1/workspaces", f"/v1/api-keys/{minted['id']}")

    assert (await typist.types(LIST, key=minted["key"])).status == 200
    assert (await typist.types(revoke)).status == 204
    answer = await typist.types(LIST, key=minted["key"])

    assert (answer.status, answer.json()["code"], answer.json()["reason"]) == (403, "FORBIDDEN", "keys.revoked")


async def test_a_key_that_asks_too_often_is_told_when_to_come_back(typist: Typist) -> None:
    minted = await _minted(typist, rateLimit={"requests": 2, "windowSeconds": 600})

    statuses = [(await typist.types(LIST, key=minted["key"])).status for _ in range(2)]
    answer = await typist.types(LIST, key=minted["key"])

    assert statuses == [200, 200]
    assert (answer.status, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert 0 < int(answer.headers["retry-after"]) <= 600
