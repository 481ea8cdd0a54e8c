"""What the tests of outgoing calls share: a resolver with a script, a client with a few ports open, long answers."""

from collections.abc import AsyncIterator, Awaitable, Sequence

import pytest

from colonnade.ground.outgoing import AllowList, Lookup, OutgoingClient, OutgoingLimits, OutgoingRefused
from tests.fakes.receiver import Receiver

NAME = "hooks.example.com"


def names(*answers: Sequence[str]) -> tuple[Lookup, list[str]]:
    """A resolver that gives these answers one after the other, the last one for ever, and notes what it was asked."""
    asked: list[str] = []

    async def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return lookup, asked


def client_for(*receivers: Receiver, lookup: Lookup | None = None, **limits: float) -> OutgoingClient:
    allow = AllowList.parse(" ".join(f"127.0.0.1/32:{receiver.port}" for receiver in receivers))
    bounds = OutgoingLimits(**limits)  # type: ignore[arg-type]
    return OutgoingClient(allow, bounds, lookup=lookup) if lookup else OutgoingClient(allow, bounds)


async def reason_of(call: Awaitable[object]) -> str:
    with pytest.raises(OutgoingRefused) as caught:
        await call
    return caught.value.reason


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536
