"""Cursors: where a list goes on, opaque to callers and sealed, so that nobody can make one up."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from colonnade.ground.core.refusals import BadField
from colonnade.ground.core.secrets import Pepper


def encode_cursor(pepper: Pepper, what: str, position: Sequence[Any]) -> str:
    """A cursor for the list `what` (its route and sort order) after this position."""
    text = json.dumps(list(position), separators=(",", ":"))
    return base64.urlsafe_b64encode(f"{pepper.sign(f'cursor {what}', text)}{text}".encode()).decode().rstrip("=")


def decode_cursor(pepper: Pepper, what: str, cursor: str | None) -> list[Any] | None:
    """The position behind a cursor of this very list; anything else is a bad field."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError, UnicodeDecodeError):
        text = ""
    if not text or pepper.sign(f"cursor {what}", text[24:]) != text[:24]:
        raise BadField("?cursor", "is not a cursor of this list in this order; start without one")
    position: list[Any] = json.loads(text[24:])
    return position


def dated_position(position: list[Any] | None) -> tuple[datetime, str] | None:
    """The instant and the id behind a cursor of a list that is ordered by both."""
    return None if position is None else (datetime.fromisoformat(position[0]), str(position[1]))


def dated_cursor(position: tuple[datetime, str] | None) -> list[Any] | None:
    """The same as a cursor keeps it."""
    return None if position is None else [position[0].isoformat(), position[1]]
