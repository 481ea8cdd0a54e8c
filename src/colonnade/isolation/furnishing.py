"""Filling a probe agency over HTTP until it has one of everything that paths name; what is there already is kept."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

from colonnade.isolation.asking import Answered, Wanted, ask
from colonnade.isolation.belongings import Harvest
from colonnade.isolation.catalogue import Described, with_ids_of
from colonnade.isolation.credentials import Credential

_LEFT_ALONE: Final = (
    "/v1/members",
    "/v1/invitations",
    "/v1/auth",
    "/v1/me",
    "/v1/api-keys",
    "/v1/workspaces",
    "/company",
)
"""Where nothing is made by example: people would get mail, keys come from the operator, workspaces have names."""

_PATIENCE_SECONDS: Final = 30
_UNDER_WAY: Final = {"PENDING", "RUNNING"}

RUN: Final = {"skill": "draft_post", "input": {"topic": "A fair comparison"}, "approval": {"required": True}}


class CannotFurnish(Exception):
    """The installation refused what every agency may do."""


class Furnishing:
    """Makes things with the agency's master key."""

    def __init__(
        self, client: httpx2.AsyncClient, operations: Sequence[Described], master: Credential, marker: str
    ) -> None:
        self._client = client
        self._operations = operations
        self._master = master
        self._marker = marker

    async def all(self) -> tuple[str, str]:
        """One of everything in the first workspace, and a second beside it: their ids."""
        first, second = [await self._workspace(number) for number in ("one", "two")]
        await self._examples(first)
        await self._run(first)
        await self._bulk(first, second)
        return first, second

    async def _workspace(self, number: str) -> str:
        # The other side has external ids of its own: one that both had would rightly find one's own workspace.
        external_id = f"{self._marker.lower().replace(' ', '-')}-{number}"
        there = await self._ask("GET", f"/v1/workspaces/ext:{external_id}")
        if there.status == 404:
            body = {
                "name": f"{self._marker} {number}",
                "externalId": external_id,
                "settings": {"defaultModel": "scripted"},
                "tags": ["made-by:verify-isolation"],
            }
            there = await self._made("POST", "/v1/workspaces", body)
        identity: str = there.json()["id"]
        if not there.json()["active"]:  # a walk that found a leak may have left it so
            await self._made("POST", f"/v1/workspaces/{identity}/restore", {})
        return identity

    async def _examples(self, first: str) -> None:
        """By the document's own examples, whatever has a list that is empty so far."""
        has = await Harvest(self._client, self._operations, [self._master]).all()
        named = {one.collection(name) for one in self._operations for name in one.ids}
        for operation in self._operations:
            empty = operation.path in named and not has.things.get(operation.path)
            if operation.method == "POST" and empty and not operation.path.startswith(_LEFT_ALONE):
                body = with_ids_of(operation.example() or {}, {**has.by_prefix(first), "ws": first})
                await self._ask("POST", operation.path, body, operation.place_headers(first, self._master))

    async def _run(self, first: str) -> None:
        """A run that waits for its approval; one that waits already is as good."""
        waiting = await self._ask("GET", "/v1/agent/approvals?scope=agency")
        if not waiting.json()["data"]:
            await self._made("POST", "/v1/agent/invoke", RUN, {"X-Workspace-Id": first})
            await self._until("/v1/agent/approvals?scope=agency", lambda body: bool(body["data"]))

    async def _bulk(self, *workspaces: str) -> None:
        path = "/v1/workspaces/bulk-actions"
        if not (await self._ask("GET", path)).json()["data"]:
            body = {"action": "workspace.update", "workspaces": list(workspaces), "config": {"industry": "a probe"}}
            await self._made("POST", "/v1/workspaces/bulk-action", body)
        await self._until(path, lambda body: all(one["status"] not in _UNDER_WAY for one in body["data"]))

    async def _until(self, path: str, fits: Any) -> None:
        """Until the workers have done their part; without them it stays as it is, and the report says so."""
        for _ in range(_PATIENCE_SECONDS * 4):
            if fits((await self._ask("GET", path)).json()):
                return
            await asyncio.sleep(0.25)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        return await ask(self._client, self._master, Wanted(method, path, headers=headers or {}, body=body))

    async def _made(
        self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Answered:
        answered = await self._ask(method, path, body, headers)
        if answered.status >= 300:
            raise CannotFurnish(f"{method} {path} was answered with {answered.status}: {answered.text[:500]}")
        return answered
