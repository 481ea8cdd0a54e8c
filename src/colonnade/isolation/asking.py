"""Asking an installation: requests as values, answers as values, patience where a limit says so."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from colonnade.isolation.credentials import Credential

PATIENCE_SECONDS: Final = 30.0
_LONGEST_WAIT_SECONDS: Final = 70
_MOST_WAITS: Final = 3
_MOST_TEXT: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request, but for the credential."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def line(self) -> str:
        """As reports show it."""
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        named = "".join(f" [{name}: {value}]" for name, value in self.headers.items())
        return f"{self.method} {self.path}{'?' if query else ''}{query}{named}"


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """The body, read; none where it is no JSON."""
        if "json" not in self.headers.get("content-type", ""):
            return None
        return httpx2.Response(200, text=self.text).json()


class Silence(Exception):
    """No answer came."""


async def ask(client: httpx2.AsyncClient, credential: Credential, wanted: Wanted, *, patient: bool = True) -> Answered:
    """One request with this credential; where a good credential's limit is used up, its next window is waited for."""
    for _ in range(_MOST_WAITS if patient and credential.kind != "none" else 0):
        answered = await _ask(client, credential, wanted)
        waited = int(answered.headers.get("retry-after", "0"))
        if answered.status != 429 or waited > _LONGEST_WAIT_SECONDS:
            return answered
        await asyncio.sleep(max(waited, 1))
    return await _ask(client, credential, wanted)


async def _ask(client: httpx2.AsyncClient, credential: Credential, wanted: Wanted) -> Answered:
    headers = {**credential.next_headers(), **wanted.headers}
    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            client.stream(
                wanted.method, wanted.path, params=dict(wanted.query) or None, headers=headers, json=wanted.body
            ) as response,
        ):
            return Answered(response.status_code, dict(response.headers), await _text_of(response))
    except (TimeoutError, httpx2.HTTPError) as error:
        raise Silence(f"no answer: {type(error).__name__}") from error


async def _text_of(response: httpx2.Response) -> str:
    """The body as text, up to a bound; nothing is waited for of a stream that goes on."""
    told = bytearray()
    async for part in response.aiter_bytes():
        told += part
        if len(told) > _MOST_TEXT or response.headers.get("content-type", "").startswith("text/event-stream"):
            break
    return told.decode("utf-8", "replace")
