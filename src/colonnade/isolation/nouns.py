"""Which nouns names stand for: of `workspace_id` in a path, of `fromWorkspaceId` in a body."""

import re
from typing import Final

from colonnade.ground.core.ids import PREFIXES

_CALLED_OTHERWISE: Final = {"owner": "mem", "user": "mem", "session": "sess", "actor": "key", "resource": "ws"}
"""What ids are called by the part that their noun plays."""

_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")

ID: Final = re.compile(r"\b[a-z]+_[0-7][0-9a-z]{25}\b")
"""Everything that has the shape of an id, request ids included."""


def ids_in(text: str) -> set[str]:
    """Everything in a text that has the shape of an id."""
    return {found for found in ID.findall(text) if not found.startswith("req_")}


def prefix_of(name: str) -> str | None:
    """The prefix of the ids that a parameter or field of this name takes; none where the name says nothing of it.

    `key_id`, `toWorkspaceId`, `memberIds`, `templates`: the longest end of the name that is a noun counts.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if words and words[-1] in {"id", "ids"}:
        words.pop()
    for start in range(len(words)):
        found = _prefix_of_noun(" ".join(words[start:])) or _prefix_of_noun(" ".join(words[start:]).removesuffix("s"))
        if found is not None:
            return found
    return None


def _prefix_of_noun(noun: str) -> str | None:
    if noun in _CALLED_OTHERWISE:
        return _CALLED_OTHERWISE[noun]
    if noun in PREFIXES:
        return noun
    named = [prefix for prefix, told in PREFIXES.items() if told == noun or told.startswith(f"{noun} ")]
    return named[0] if len(named) == 1 else None
