"""What the fuzzer finds in its agency: some of everything, so that well-formed calls meet something."""

import asyncio
from typing import Any, Final

import httpx2

WORLD: Final = "COLONNADE_FUZZ_WORLD"
"""Names, in the fuzzer's environment, the file with the ids that exist at the start by their path parameter."""

Ids = dict[str, list[str]]

_PATIENCE_SECONDS: Final = 90


class Furnishing:
    """Makes things over HTTP with the agency's first key."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.ids: Ids = {"provider": ["anthropic", "openai", "ahrefs"]}

    async def post(self, path: str, body: dict[str, Any], workspace: str | None = None) -> dict[str, Any]:
        headers = {} if workspace is None else {"X-Workspace-Id": workspace}
        answer = await self._client.post(path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def make(self, name: str, path: str, body: dict[str, Any], workspace: str | None = None) -> str:
        """Make one, and let the fuzzer know of it by this parameter's name."""
        made = await self.post(path, body, workspace)
        identity: str = made.get("id") or made.get("invocationId") or made["bulkActionId"]
        self.ids.setdefault(name, []).append(identity)
        return identity

    async def furnish(self) -> Ids:
        """Some of everything."""
        for number in range(3):
            workspace = await self.make("workspace_id", "/v1/workspaces", {"name": f"Brand {number}"})
            await self._in(workspace)
        await self.make("key_id", "/v1/api-keys", {"name": "Spare", "preset": "read_only"})
        config = {"skill": "draft_post", "input": {"publish": False}}
        body = {"action": "agent.invoke", "workspaces": "all", "config": config}
        await self.make("bulk_action_id", "/v1/workspaces/bulk-action", body)
        return self.ids

    async def _in(self, workspace: str) -> None:
        await self.make("key_id", f"/v1/workspaces/{workspace}/api-keys", {"name": "Inside"})
        for title in ("One", "Two"):
            await self.make("post_id", "/v1/posts", {"title": title, "body": "Text."}, workspace)
        run = await self.make("invocation_id", "/v1/agent/invoke", {"skill": "draft_post"}, workspace)
        self.ids.setdefault("approval_id", []).append((await self._until(run, "WAITING_APPROVAL"))["approvalId"])
        wish = {"skill": "draft_post", "input": {"publish": False}}
        await self._until(await self.make("ended", "/v1/agent/invoke", wish, workspace), "SUCCEEDED")

    async def _until(self, run: str, status: str) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                shown: dict[str, Any] = (await self._client.get(f"/v1/agent/invocations/{run}")).json()
                if shown["status"] == status:
                    return shown
                await asyncio.sleep(0.1)
