"""Entries of the audit log, the canonical text their digest is taken of, and what may never stand in them."""

import functools
import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from colonnade.ground.core.secrets import SHOWN_ONCE

CANONICAL_VERSION: Final = "colonnade.audit.1"
"""Names the way in which the canonical text is made; another way gets another name."""

_KEYS = re.compile(SHOWN_ONCE)
_quoted: Final = json.encoder.encode_basestring_ascii


@dataclass(frozen=True, slots=True)
class Fact:
    """What a command did: the event, the thing it happened to, and how it looked before and after."""

    event: str
    resource_id: str
    workspace_id: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(slots=True)  # many of them in a moment: frozen ones take longer to make
class Entry:
    """One line of the audit log."""

    agency_id: str
    id: str
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    event: str
    resource_id: str
    workspace_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    payload_digest: bytes | None
    request_id: str
    address: str | None


@dataclass(frozen=True, slots=True)
class Announcement:
    """A fact that was committed: ids alone; whoever reacts reads what is true by then."""

    agency_id: str
    id: str
    workspace_id: str | None
    event: str
    resource_id: str
    audit_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries a page shows; a field that is none does not restrict."""

    event: str | None = None
    resource_id: str | None = None
    workspace_id: str | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def without_keys(value: Any) -> Any:
    """The same value with the text of every API key and every token in it blotted out, whoever put it there."""
    if isinstance(value, str):
        return _KEYS.sub("col_…", value)
    if isinstance(value, Mapping):
        return {_KEYS.sub("col_…", name): without_keys(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_keys(item) for item in value]
    return value


def _number(value: float) -> str:
    exact = Decimal(repr(value))
    return str(int(exact)) if exact == exact.to_integral_value() else format(exact, "f")


def canonical_json(value: Any) -> str:
    """JSON text that is the same before and after a stay in a jsonb column: sorted names, plain numbers, ASCII."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)}:{canonical_json(item)}" for name, item in sorted(value.items()))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical_json(item) for item in value) + "]"
    return _number(value) if isinstance(value, float) else json.dumps(value)


def flat_json(values: list[str | int | None]) -> str:
    """The same text for a list without anything inside, made at once."""
    parts = [_quoted(one) if isinstance(one, str) else "null" if one is None else str(int(one)) for one in values]
    return f"[{','.join(parts)}]"


def payload_digest(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bytes | None:
    """SHA-256 of before and after; it stands in for them in the entry's own digest, so that they can be erased."""
    if before is None and after is None:
        return None
    return hashlib.sha256(canonical_json([before, after]).encode()).digest()


@functools.lru_cache(maxsize=4096)
def known_address(text: str | None) -> str | None:
    """The address in one spelling; none when it is no address."""
    try:
        return None if text is None else ipaddress.ip_address(text).exploded
    except ValueError:
        return None


def canonical_text(entry: Entry) -> str:
    """What the entry's keyed digest is taken of; depends on nothing but the entry itself."""
    return canonical_texts([entry])[0]


def canonical_texts(entries: Sequence[Entry]) -> list[str]:
    """The same for each; what neighbours share is written out once."""
    shared: dict[tuple[object, ...], tuple[str, str, str]] = {}
    texts: list[str] = []
    for one in entries:
        like = (one.agency_id, one.at, one.workspace_id, one.actor_kind, one.actor_id, one.actor_name, one.address)
        parts = shared.get(like)
        if parts is None:
            parts = shared[like] = _shared(one)
        head, middle, address = parts
        digest = "null" if one.payload_digest is None else f'"{one.payload_digest.hex()}"'
        mine = f"{_quoted(one.request_id)},{address},{_quoted(one.event)},{_quoted(one.resource_id)}"
        texts.append(f"[{head},{_quoted(one.id)},{middle},{mine},{digest}]")
    return texts


def _shared(entry: Entry) -> tuple[str, str, str]:
    """The text before the id, between id and request, and of the address."""
    instant = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    actor = [entry.actor_kind, entry.actor_id, entry.actor_name]
    head, middle, address = (
        flat_json([*values])[1:-1]
        for values in (
            [CANONICAL_VERSION, entry.agency_id],
            [instant, entry.workspace_id, *actor],
            [known_address(entry.address)],
        )
    )
    return head, middle, address
