"""How jsonb columns become Python values and back: one way, for every connection."""

import json
from typing import Any


def encode(value: Any) -> str:
    """JSON text; times and the like must be turned into text by their owner before."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Any:
    """The value; numbers with a point become floats, which is enough for everything that is not money."""
    return json.loads(text)
