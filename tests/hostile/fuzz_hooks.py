"""What the fuzzer is told besides the document: ids that exist, where to note what came of each call.

Read by the fuzzer's own process, which names this module in its environment.
"""

import json
import os
from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.core.transport import Response

from tests.hostile.fuzz_world import WORLD

_STAYS: Final = 3
"""So many of the first ids of a sort stay in use, and as many of the newest."""


class Ids:
    """Ids that exist, or did: those of the start, and the latest that the fuzzer itself has made."""

    def __init__(self, at_first: dict[str, list[str]]) -> None:
        self._first = at_first
        self._made: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_STAYS))
        self._calls = 0

    def tick(self) -> int:
        """The number of this call; every choice follows from it, so that a run can be repeated."""
        self._calls += 1
        return self._calls

    def one(self, name: str) -> str | None:
        """One of the ids for this parameter."""
        known = [*self._first.get(name, []), *self._made[name]]
        return known[self._calls % len(known)] if known else None

    def learn(self, answer: Any) -> None:
        """Remember what an answer says was made."""
        for field, name in (("invocationId", "invocation_id"), ("bulkActionId", "bulk_action_id")):
            if isinstance(answer.get(field), str):
                self._made[name].append(answer[field])
        made = answer.get("id")
        if isinstance(made, str):
            self._made[_PARAMETERS.get(made.partition("_")[0], "")].append(made)


_PARAMETERS: Final = {"ws": "workspace_id", "key": "key_id", "post": "post_id"}

ids = Ids(json.loads(Path(os.environ[WORLD]).read_text()))


@schemathesis.hook
def before_call(_context: HookContext, case: "Case[Any]", kwargs: dict[str, Any]) -> None:
    """Let most well-formed calls meet something that is there, and each come from an address of its own."""
    number = ids.tick()
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if case.meta is None or case.meta.generation.mode.is_negative or number % 4 == 0:
        return
    streams = case.operation.path.endswith("/events")
    for name in case.path_parameters:
        found = ids.one("ended" if streams else name)
        if found is not None:
            case.path_parameters[name] = found
    workspace = ids.one("workspace_id")
    if "X-Workspace-Id" in {parameter.name for parameter in case.operation.headers} and workspace is not None:
        case.headers["X-Workspace-Id"] = workspace
    if number % 8:
        _forget(case)
    if isinstance(case.body, dict):
        case.body = {**case.body, **_known(case.operation.path, case.body)}


def _known(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What is said instead of things that nobody finds by chance."""
    if path == "/v1/agent/invoke":
        # A run that waits for a person answers in the foreground after 55 seconds: true, and of no use here.
        return {"skill": "draft_post", "mode": "BACKGROUND"}
    named = [name for name in _WORKSPACES if isinstance(body.get(name), str)]
    return {name: ids.one("workspace_id") for name in named}


_WORKSPACES: Final = ("workspaceId", "fromWorkspaceId", "toWorkspaceId")
_UNGUESSABLE: Final = ("cursor", "include", "workspaceId")
"""Parameters whose good values nobody finds by chance: mostly left out, so that the others are tried at all."""


def _forget(case: "Case[Any]") -> None:
    for name in _UNGUESSABLE:
        case.query.pop(name, None)
    for name in ("If-Match", "Idempotency-Key"):
        case.headers.pop(name, None)


@schemathesis.hook
def after_call(_context: HookContext, case: "Case[Any]", response: Response) -> None:
    """Learn what was made, and leave a line for whoever looks at the run."""
    answer = _json(response)
    if response.status_code in {201, 202} and isinstance(answer, dict):
        ids.learn(answer)
    mode = "?" if case.meta is None else case.meta.generation.mode.value
    line = {"operation": case.operation.label, "mode": mode, "status": response.status_code}
    if response.status_code >= 400 and isinstance(answer, dict):
        line |= {"reason": answer.get("reason"), "errors": answer.get("errors", answer.get("detail"))}
    with Path(f"{os.environ[WORLD]}.calls").open("a") as calls:
        calls.write(json.dumps(line) + "\n")


def _json(response: Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
