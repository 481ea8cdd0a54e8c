"""Searching workspaces by any part of their names or by tags, at the same cost whatever the agency's size.

Row security keeps operators that look inside a text away from indexes, so a workspace's terms (grams, tags, whether it
is archived) lie in a table of their own. A search follows its rare terms; tags that are all common are joined in there.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces.model import Filters
from colonnade.tenancy.workspaces.naming import folded
from colonnade.tenancy.workspaces.store import reach_of

_LONG: Final = 3
_ASKED_MOST: Final = 12
"""Grams of one spelling that are looked at; a longer text is sampled evenly."""
_ASKED_AGAIN: Final = 3
"""How many are looked at more closely where none of them is rare."""
_RARE: Final = 1_200
"""How many workspaces the terms of one search may name together at first sight."""
FEW: Final = 100
"""So many rows by their ids cost about what it costs to walk a list in its order until a page is full."""
NAMED: Final = 1_000
"""Workspaces are named by their ids up to here."""
_ARCHIVED: Final = "!archived"
"""The term of archived workspaces. Longer than any gram and unlike any tag, it is nothing else's."""

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

# Joined by `intersect`, which PostgreSQL does list by list and never row by row.
HOLDERS: Final = """
select workspace_id from workspace_gram
where agency_id = $1 and ($2::text[] is null or workspace_id = any ($2::text[])) and gram = ${:d}
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


@dataclass(frozen=True, slots=True)
class Found:
    """The only workspaces that can pass the filters; none where there may be more than are named."""

    ids: Sequence[str] | None = None
    are_all: bool = False
    """Whether the terms decide alone: each of these passes, or more pass than are named."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the workspaces must have: whole terms, and a text in one of these spellings."""

    terms: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def decides(self) -> bool:
        """Whether who has the terms passes. Of several grams a workspace may have each in another place."""
        # A tag as short as a gram might be one.
        is_whole = all(len(term) > _LONG for term in self.terms) and all(len(text) == _LONG for text in self.texts)
        return is_whole and len(self.texts) <= 1


async def found(tx: Tx, filters: Filters) -> Found:
    """What the terms tell of the workspaces that pass the filters."""
    terms = [f"={tag}" for tag in dict.fromkeys(filters.tags)] + [_ARCHIVED] * (filters.active is False)
    wanted = _Wanted(tuple(terms), tuple(dict.fromkeys(spellings(filters.text))) if filters.text else ())
    asked = [*wanted.terms, *wanted.texts]
    if filters.ids is not None or not asked:
        return Found()
    if not wanted.decides:
        ids = await _named(tx, wanted, _ASKED_MOST, _RARE)
        # Where no term is rare, what several share may be.
        is_closer = ids is None and any(len(text) > _LONG for text in wanted.texts)
        return Found(await _named(tx, wanted, _ASKED_AGAIN, None) if is_closer else ids)
    ids = await _named(tx, wanted, 1, FEW * len(asked)) if len(asked) > 1 else None
    return Found(ids) if ids is not None else await _holding(tx, asked, is_active=filters.active is True)


async def _named(tx: Tx, wanted: _Wanted, grams: int, together: int | None) -> list[str] | None:
    """The only workspaces that can match, by terms that name so many together (none: each as many as may be)."""
    ways = [_sampled(text, grams) for text in wanted.texts]
    asked = [*wanted.terms, *(gram for way in ways for gram in way)]
    few = await _few(tx, asked, NAMED if together is None else together // len(asked))
    of_texts = [_shared(few, way) for way in ways]
    of_text = None if not ways or None in of_texts else {one for way in of_texts for one in way or ()}
    known = [one for one in (of_text, _shared(few, wanted.terms)) if one is not None]
    return sorted(set.intersection(*known)) if known else None


async def _few(tx: Tx, terms: Sequence[str], most: int) -> dict[str, list[str]]:
    """For each of the terms that are rare the workspaces that have it."""
    rows = await tx.fetch(RAREST, *reach_of(tx), terms, [_beyond(term) for term in terms], most)
    return {term: row[0] for term, row in zip(terms, rows, strict=True) if len(row[0]) <= most}


async def _holding(tx: Tx, terms: Sequence[str], *, is_active: bool) -> Found:
    """The workspaces that have all of these terms, by the index alone."""
    several = " intersect ".join(HOLDERS.format(place) for place in range(3, len(terms) + 3))
    less = f" except {HOLDERS.format(len(terms) + 3)}" if is_active else ""
    sql = f"select array(select workspace_id from ({several}{less}) as held limit {NAMED + 1})"
    ids: list[str] = await tx.fetchval(sql, *reach_of(tx), *terms, *[_ARCHIVED] * is_active)
    return Found(ids if len(ids) <= NAMED else None, are_all=True)


def _shared(few: Mapping[str, list[str]], terms: Sequence[str]) -> set[str] | None:
    """The workspaces that have all of the terms that are rare; none where no term is."""
    known = [set(few[term]) for term in terms if term in few]
    return set.intersection(*known) if known else None


def _sampled(spelling: str, most: int) -> Sequence[str]:
    if len(spelling) <= _LONG:
        return [spelling]
    grams = list(dict.fromkeys(spelling[place : place + _LONG] for place in range(len(spelling) - _LONG + 1)))
    step = max(1, -(-len(grams) // most))
    return grams[::step]


def _beyond(term: str) -> str:
    """The first text behind all that begin with the term; only one shorter than a gram begins any other."""
    return term + ("\U0010ffff" if len(term) < _LONG else "\x01")
