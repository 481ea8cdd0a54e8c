"""JSON as text, as the engine's tables hold it."""

import json
import re
from typing import Any

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def dumps(value: Any) -> str:
    """Strict JSON text that the database can hold; for what has none, a TypeError or ValueError."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()
    if _NUL.search(text):
        raise ValueError("text with a NUL character cannot be kept")
    return text


def loads(text: str | None) -> Any:
    """The value; none for a column that is null."""
    return None if text is None else json.loads(text)
