"""Ids: a prefix that tells the noun, an underscore, and 26 characters of a time-sortable UUIDv7 (RFC 9562)."""

import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

PREFIXES: Final = {
    "agency": "agency account",
    "ws": "workspace",
    "key": "API key",
    "person": "person",
    "mem": "member of an agency",
    "invite": "invitation",
    "sess": "signed-in session",
    "inv": "invocation of a skill",
    "step": "step of an invocation",
    "agt": "agent session",
    "appr": "approval",
    "bulk": "bulk action",
    "sched": "schedule",
    "skill": "skill",
    "file": "file",
    "post": "post",
    "rev": "revision of a post",
    "kw": "keyword",
    "rfn": "refiner",
    "tmpl": "template",
    "grant": "grant of credits",
    "hold": "hold on credits",
    "chg": "charge of credits",
    "xfer": "transfer of credits",
    "led": "ledger entry",
    "cap": "credit cap",
    "alert": "usage alert",
    "stmt": "statement",
    "price": "price list entry",
    "client": "client",
    "areq": "access request",
    "page": "access page",
    "form": "intake form",
    "conn": "connected account",
    "aud": "audit entry",
    "evt": "event",
    "whk": "webhook",
}
"""Every prefix an id may have, and the noun it stands for. `req_` belongs to request ids alone."""

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u."""

_TAIL = re.compile(rf"[0-7][{ALPHABET}]{{25}}")
_REQUEST = re.compile(r"[A-Za-z0-9._:-]{1,80}")


def _uuid7() -> int:
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    sub_millisecond = rest * 4096 // 1_000_000
    return (
        (milliseconds & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | sub_millisecond << 64
        | 0b10 << 62
        | int.from_bytes(os.urandom(8)) >> 2
    )


_PAIRS: Final = [first + second for first in ALPHABET for second in ALPHABET]
_TRIPLES: Final = [pair + third for pair in _PAIRS for third in ALPHABET]
_LATE_DIGITS: Final = 12
"""The last digits of an id, 60 bits that are random in any case."""
_DIGITS: Final = (ALPHABET * 8).encode()
"""A digit for each value of a byte."""
_MOST_AHEAD: Final = 128
_SHIFTS: Final = tuple(range(105, -1, -15))


def _text(number: int) -> str:
    """26 characters: two of the highest bits, and eight times three."""
    return _PAIRS[number >> 120] + "".join([_TRIPLES[(number >> shift) & 32767] for shift in _SHIFTS])


def new_id(prefix: str) -> str:
    """A fresh id of this noun; ids made later sort later."""
    if prefix not in PREFIXES:
        raise ValueError(f"{prefix!r} is not one of the id prefixes")
    return f"{prefix}_{_text(_uuid7())}"


def new_ids(prefix: str, many: int) -> list[str]:
    """So many fresh ids of one instant, in their order: much cheaper than one by one."""
    head = new_id(prefix)[:-_LATE_DIGITS]
    drawn = os.urandom(_LATE_DIGITS * many).translate(_DIGITS).decode()
    tails = [drawn[place : place + _LATE_DIGITS] for place in range(0, len(drawn), _LATE_DIGITS)]
    return [head + tail for tail in sorted(tails)]


def id_stream(prefix: str) -> Iterator[str]:
    """Fresh ids without end, each behind the one before: nearly as cheap as many at once, whatever is taken of them."""
    many = 1
    while True:
        yield from new_ids(prefix, many)
        many = min(many * 2, _MOST_AHEAD)


def first_id(prefix: str, at: datetime, *, later_seconds: int = 0) -> str:
    """The least id of this noun that could have been made so long after this instant: where that time begins."""
    milliseconds = int(at.timestamp() * 1000) + later_seconds * 1000
    return f"{prefix}_{_text(min(max(milliseconds, 0), 0xFFFF_FFFF_FFFF) << 80)}"


def new_request_id() -> str:
    """A fresh name for one request, for its answer and every log line about it."""
    return f"req_{_text(_uuid7())}"


def is_id(prefix: str, text: str) -> bool:
    """Whether the text has the shape of an id of this noun; says nothing about existence."""
    return text.startswith(prefix + "_") and _TAIL.fullmatch(text, len(prefix) + 1) is not None


def is_sane_request_id(text: str) -> bool:
    """Whether a caller's own request id may be kept: short, printable, harmless in a log line."""
    return _REQUEST.fullmatch(text) is not None
