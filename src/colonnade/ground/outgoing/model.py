"""The nouns of an outgoing call: its limits, its answer, and why it was refused. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "address_refused",
    "bad_url",
    "lookup_failed",
    "timeout",
    "too_large",
    "connection_failed",
    "protocol_error",
]


@dataclass(frozen=True, slots=True)
class OutgoingLimits:
    """What one call may take: seconds until connected, seconds in all, bytes of the answer's body."""

    connect_seconds: float = 5
    total_seconds: float = 20
    body_bytes: int = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. The names of headers are found in any case; the body is complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_redirect(self) -> bool:
        """Redirects are never followed: whoever asked decides, and a webhook takes one as a failure."""
        return 300 <= self.status < 400


class OutgoingRefused(Exception):
    """The call was not made, or was cut short. The sentence is safe to show to a tenant: it names no address."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason
        self.sentence = sentence
