"""A model provider on loopback: OpenAI's chat completions and Anthropic's messages, with usage, errors and nonsense."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

Plan = Literal["article", "malformed", "chatter", "silence", "cut off", "redirect", 400, 401, 403, 404, 429, 500, 529]

ARTICLE: dict[str, Any] = {
    "title": "Choosing Oat Drinks for Cafés",
    "slug": "choosing-oat-drinks",
    "outline": ["Taste", "Foam"],
    "body": "## Taste\n\n" + "Oats taste of oats, and that is the point. " * 6 + "\n\n## Foam\n\nIt foams.",
    "meta_description": "How a café chooses an oat drink.",
}
TOKENS_IN, TOKENS_OUT = 321, 123


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the provider saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class ChatServer:
    """The provider: it takes one key, and answers by its plan, then always with the article."""

    address: str
    key: str = "sk-right-key-0123456789abcdef"
    article: dict[str, Any] = field(default_factory=lambda: dict(ARTICLE))
    plan: list[Plan] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    delay_seconds: float = 0

    @property
    def openai_url(self) -> str:
        return f"{self.address}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.address

    async def completions(self, request: Request) -> Response:
        step, body = await self._next(request)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        refusal = await self._refusal(401 if key != self.key else step)
        return refusal or JSONResponse(_completion(body, self._arguments(step), cut=step == "cut off"))

    async def messages(self, request: Request) -> Response:
        step, body = await self._next(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        refusal = await self._refusal(401 if request.headers.get("x-api-key", bearer) != self.key else step)
        return refusal or JSONResponse(_message(body, self._arguments(step), cut=step == "cut off"))

    async def _next(self, request: Request) -> tuple[Plan, dict[str, Any]]:
        body = json.loads(await request.body())
        self.asked.append(Asked(request.url.path, dict(request.headers), body))
        await asyncio.sleep(self.delay_seconds)
        return (self.plan.pop(0) if self.plan else "article"), body

    async def _refusal(self, step: Plan) -> Response | None:
        if step == "silence":
            await asyncio.sleep(30)
        if step == "redirect":
            return RedirectResponse("http://192.0.2.1/elsewhere", status_code=307)
        if not isinstance(step, int):
            return None
        # The worst of providers: it repeats the key in its answer.
        words = f"Refused with {step}: the key was {self.key}, the model is unknown or the request odd."
        error = {"type": "invalid_request_error", "message": words, "code": None}
        return JSONResponse({"type": "error", "error": error}, status_code=step, headers={"set-cookie": "who=you"})

    def _arguments(self, step: Plan) -> str | None:
        if step == "chatter":
            return None
        return '{"title": 7, "body": "too short"}' if step == "malformed" else json.dumps(self.article)


def _completion(body: dict[str, Any], arguments: str | None, *, cut: bool) -> dict[str, Any]:
    """OpenAI's answer: a tool call when a tool is offered, else the JSON as content."""
    message: dict[str, Any] = {"role": "assistant", "content": "Hello! How can I help?", "refusal": None}
    if arguments is not None and body.get("tools"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": arguments[:40] if cut else arguments}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    elif arguments is not None:
        message["content"] = arguments[:40] if cut else arguments
    reason = "length" if cut else "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }


def _message(body: dict[str, Any], arguments: str | None, *, cut: bool) -> dict[str, Any]:
    """Anthropic's answer: a tool_use block when a tool is offered, else text."""
    content: dict[str, Any] = {"type": "text", "text": arguments or "Hello! How can I help?"}
    if arguments is not None and body.get("tools"):
        filled = {"title": "Choos"} if cut else json.loads(arguments)
        content = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": filled}
    reason = "max_tokens" if cut else "tool_use" if content["type"] == "tool_use" else "end_turn"
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [content],
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT},
    }


@asynccontextmanager
async def chat_server() -> AsyncIterator[ChatServer]:
    """A running provider on a free port of loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    fake = ChatServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
    routes = [
        Route("/v1/chat/completions", fake.completions, methods=["POST"]),
        Route("/v1/messages", fake.messages, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), log_config=None, ws="none", lifespan="off")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield fake
    finally:
        server.should_exit = True
        await serving
        listening.close()
