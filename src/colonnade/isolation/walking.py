"""Trying everything: each attempt is asked, its answer judged, and what was wrong is kept in full."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from colonnade.isolation.asking import Answered, Silence, Wanted, ask
from colonnade.isolation.attempts import Attempt
from colonnade.isolation.credentials import Credential
from colonnade.isolation.nouns import ids_in

AT_ONCE: Final = 8
_MOST_SHOWN: Final = 2000
_LOGS_OF_CALLS: Final = {"/v1/request-log"}
_CALLED: Final = re.compile(r'"path":\s*"[^"]*"')
_OWN_TO_EACH: Final = frozenset(
    {"x-request-id", "date", "content-length", "ratelimit", "ratelimit-policy", "retry-after", "set-cookie"}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that told, touched or hinted at something."""

    credential: str
    operation: str
    place: str
    named: str
    request: str
    status: int
    wrong: str
    answer: str


@dataclass(slots=True)
class Walk:
    """What has been tried, and what came of it."""

    tried: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Requests by credential, operation and place."""
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answers by credential and status."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self.tried.total()


class Hidden:
    """What no answer may tell: ids, and words that are the victim's alone."""

    def __init__(self, ids: Iterable[str], words: Iterable[str]) -> None:
        self.ids = frozenset(ids)
        longest_first = sorted(set(words), key=len, reverse=True)
        self._words = re.compile("|".join(re.escape(word) for word in longest_first)) if longest_first else None

    def told_in(self, text: str, sent: str) -> str | None:
        """The first of it in a text that the request itself did not hold."""
        for one in sorted(ids_in(text) & self.ids):
            if one not in sent:
                return one
        for found in self._words.finditer(text) if self._words is not None else ():
            if found[0] not in sent:
                return found[0]
        return None


class Walker:
    """Asks and judges; several attempts at once, each beside its twin."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        hidden: Hidden,
        walk: Walk | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._hidden = hidden
        self._done = done
        self.walk = walk or Walk()

    async def try_all(self, credential: Credential, attempts: Iterable[Attempt]) -> None:
        """Every attempt of this credential."""
        waiting = iter(attempts)

        async def follow() -> None:
            for attempt in waiting:
                await self._try(credential, attempt)
                self._done()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(follow())

    async def _try(self, credential: Credential, attempt: Attempt) -> None:
        for wrong, answered in await self._judged(credential, attempt):
            self.walk.failures.append(
                Failure(
                    credential.name,
                    attempt.operation.name,
                    attempt.place,
                    attempt.named,
                    attempt.wanted.line,
                    answered.status if answered else 0,
                    wrong,
                    answered.text[:_MOST_SHOWN] if answered else "",
                )
            )

    async def _judged(self, credential: Credential, attempt: Attempt) -> list[tuple[str, Answered | None]]:
        try:
            answered = await self._ask(credential, attempt, attempt.wanted)
            unseen = None if attempt.twin is None else await self._ask(credential, attempt, attempt.twin)
        except Silence as silence:
            return [(str(silence), None)]
        return [(wrong, answered) for wrong in self._wrongs(attempt, answered, unseen) if wrong is not None]

    async def _ask(self, credential: Credential, attempt: Attempt, wanted: Wanted) -> Answered:
        answered = await ask(self._client, credential, wanted, patient=429 not in (attempt.expected or ()))
        self.walk.tried[credential.name, attempt.operation.name, attempt.place] += 1
        self.walk.statuses[credential.name, answered.status] += 1
        return answered

    def _wrongs(self, attempt: Attempt, answered: Answered, unseen: Answered | None) -> list[str | None]:
        told = self._hidden.told_in(
            _own_words(attempt, answered) + json.dumps(dict(answered.headers)), _sent(attempt.wanted)
        )
        return [
            f"the answer tells of `{told}`" if told is not None else None,
            _wrong_status(attempt, answered),
            None if unseen is None else _difference(attempt, answered, unseen),
        ]


def _own_words(attempt: Attempt, answered: Answered) -> str:
    """The answer, but for the addresses in a log of calls: whoever called with an id finds it there again."""
    return _CALLED.sub("", answered.text) if attempt.operation.path in _LOGS_OF_CALLS else answered.text


def _sent(wanted: Wanted) -> str:
    return f"{wanted.line}{json.dumps(wanted.body)}"


def _wrong_status(attempt: Attempt, answered: Answered) -> str | None:
    if answered.status >= 500:
        return f"was answered with {answered.status}"
    if attempt.expected is not None and answered.status not in attempt.expected:
        wanted = " or ".join(str(status) for status in sorted(attempt.expected))
        return f"was answered with {answered.status} instead of {wanted}"
    if attempt.pointer is None or answered.status != 400:
        return None
    named = _pointers(answered.json())
    fits = any(one == attempt.pointer or one.startswith(f"{attempt.pointer}/") for one in named)
    return None if fits else f"the refusal names {named} instead of {attempt.pointer}"


def _pointers(problem: Any) -> list[str]:
    """The fields that a refusal names: as a problem document does, or flat as other products' shapes do."""
    if not isinstance(problem, dict):
        return []
    flat = problem.get("data")
    if isinstance(flat, dict) and isinstance(flat.get("errors"), dict):
        return [f"/{name}" for name in flat["errors"]]
    return [error["pointer"] for error in problem.get("errors", ())]


def _difference(attempt: Attempt, answered: Answered, unseen: Answered) -> str | None:
    """How the answer is not the one for an id that never was."""
    if 429 in {answered.status, unseen.status} and 429 in (attempt.expected or ()):
        return None  # it tells of how often nobody in particular has called, and of nothing else
    if answered.status != unseen.status:
        return f"an id that never was is answered with {unseen.status}, this one with {answered.status}"
    first, second = (_comparable(one, attempt) for one in (answered, unseen))
    return None if first == second else "the answer is not the one for an id that never was"


def _comparable(answered: Answered, attempt: Attempt) -> tuple[Any, frozenset[str]]:
    text = answered.text
    for pair in attempt.swapped:
        for one in pair:
            text = text.replace(one, "ID")
    text = re.sub(r'"requestId":\s*"[^"]*"', '"requestId":""', text)
    return text, frozenset(answered.headers) - _OWN_TO_EACH
