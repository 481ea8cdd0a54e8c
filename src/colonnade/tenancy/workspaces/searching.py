"""Searching workspaces by any part of their names or by tags, at the same cost whatever the agency's size.

Row security keeps operators that look inside a text away from indexes, so a workspace's terms (grams, tags) lie in a
table of their own. A search follows its rarest term; where even that is common, the list is walked in its order.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Final

from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces.naming import folded
from colonnade.tenancy.workspaces.store import reach_of

_LONG: Final = 3
_ASKED_MOST: Final = 12
"""Grams of one search that are looked at; a longer text is sampled evenly."""
RARE: Final = 1_200
"""Terms of at most so many workspaces, shared among the terms of one search, are worth following."""

_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# The index is read no further than one row behind what is rare.
RAREST: Final = """
select array(
    select workspace_id from workspace_gram
    where agency_id = $1 and ($2::text[] is null or workspace_id = any ($2::text[]))
          and gram >= g.least and gram < g.beyond
    limit $5::integer + 1)
from unnest($3::text[], $4::text[]) with ordinality as g (least, beyond, place) order by place
"""

MATCHES: Final = (
    "(strpos(w.sort_name, {}) > 0 or strpos(w.primary_domain, {}) > 0 or strpos(w.slug, {}) > 0 "
    "or strpos(lower(w.external_id), {}) > 0)"
)
"""Whether a row holds what is asked for, by its four spellings."""


def spellings(asked: str) -> tuple[str, str, str, str]:
    """How the text would stand in the folded name, the domain, the slug and the external id."""
    plain = asked.strip()
    lower = plain.lower()
    # A text of accents alone folds to nothing, which every name holds.
    return folded(plain) or lower, lower, lower, plain.translate(_ASCII_LOWER)


async def candidates(tx: Tx, asked: str | None, tags: Sequence[str]) -> list[str] | None:
    """The ids of the only workspaces that can match, if they are few; none where there may be many."""
    wanted = [] if asked is None else [_sampled(spelling) for spelling in dict.fromkeys(spellings(asked))]
    terms = [f"={tag}" for tag in tags]
    if not wanted and not terms:
        return None
    few = await _few(tx, [*terms, *(gram for grams in wanted for gram in grams)])
    ways = [_fewest(few, grams) for grams in wanted]
    of_text = None if not ways or None in ways else sorted({one for way in ways for one in way or ()})
    return min((one for one in (of_text, _fewest(few, terms)) if one is not None), key=len, default=None)


async def _few(tx: Tx, terms: Sequence[str]) -> dict[str, list[str]]:
    """For each of the terms that are rare the workspaces that have it."""
    most = RARE // len(terms)
    rows = await tx.fetch(RAREST, *reach_of(tx), terms, [_beyond(term) for term in terms], most)
    return {term: row[0] for term, row in zip(terms, rows, strict=True) if len(row[0]) <= most}


def _fewest(few: Mapping[str, list[str]], terms: Sequence[str]) -> list[str] | None:
    return min((few[term] for term in terms if term in few), key=len, default=None)


def _sampled(spelling: str) -> Sequence[str]:
    if len(spelling) <= _LONG:
        return [spelling]
    grams = list(dict.fromkeys(spelling[place : place + _LONG] for place in range(len(spelling) - _LONG + 1)))
    step = max(1, -(-len(grams) // _ASKED_MOST))
    return grams[::step]


def _beyond(term: str) -> str:
    """The first text behind all that begin with the term; only one shorter than a gram begins any other."""
    return term + ("\U0010ffff" if len(term) < _LONG else "\x01")
