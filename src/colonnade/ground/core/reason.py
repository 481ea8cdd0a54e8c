"""What the house says of each of its reasons for a refusal."""

from typing import NamedTuple


class Reason(NamedTuple):
    """The kind of refusal, a title for people, what it means and what to do about it."""

    kind: str
    title: str
    meaning: str
    way_out: str
