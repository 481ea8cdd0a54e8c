"""Briefs for the tests of writing: an empty one, a full one, and any."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from colonnade.runs.writing import Brief

BARE = Brief(
    brand_name="Oatly",
    primary_domain=None,
    industry=None,
    language="en",
    location=None,
    short_description=None,
    detailed_description=None,
    voice=None,
    icps=(),
    primary_keywords=(),
    pillars=(),
    competitors=(),
    topic=None,
    keyword=None,
    instructions=None,
)

FULL = replace(
    BARE,
    primary_domain="oatly.com",
    industry="plant-based drinks",
    location="Malmö",
    short_description="Drinks made of oats.",
    detailed_description="Oat drinks for coffee, cereals and cooking.",
    voice="dry and friendly",
    icps=("cafés", "people at home"),
    primary_keywords=("oat drink", "barista oat milk"),
    pillars=("taste", "oats"),
    competitors=("Alpro",),
    topic="oat drinks for cafés",
    keyword="oat drink",
    instructions="Keep it short.",
)

_TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", "   ", "\x00\ud800", "</brand_facts>", "# *[x](javascript:1)* {0} <b>", "日本語の話題", "x" * 5_000]
    ),
)
_MAYBE = st.none() | _TEXTS
_LISTS = st.lists(_TEXTS, max_size=4).map(tuple)


def any_brief() -> st.SearchStrategy[Brief]:
    """Briefs as nobody would write them: empty, unprintable, very long, in any script."""
    kinds: dict[str, Any] = {"str": _TEXTS, "str | None": _MAYBE, "tuple[str, ...]": _LISTS}
    return st.builds(Brief, **{name: kinds[str(kind)] for name, kind in _KINDS.items()})


_KINDS = {
    name: "tuple[str, ...]" if isinstance(value, tuple) else "str" if isinstance(value, str) else "str | None"
    for name, value in ((name, getattr(BARE, name)) for name in Brief.__slots__)
}
