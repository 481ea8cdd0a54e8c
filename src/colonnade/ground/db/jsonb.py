"""How jsonb columns become Python values and back: one way, for every connection."""

import json
from typing import Any

from pydantic_core import to_json


def encode(value: Any) -> str:
    """JSON text. No number is bent: what JSON cannot say (NaN, infinity) the database refuses."""
    return to_json(value, inf_nan_mode="constants").decode()


def decode(text: str) -> Any:
    """The value; numbers with a point become floats, which is enough for everything that is not money."""
    return json.loads(text)
