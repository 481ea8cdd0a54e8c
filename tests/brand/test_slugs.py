"""Slugs: what becomes of any title, and which one is free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.brand.content.model import SLUG_MOST, free_slug, is_slug, slugify


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Hello, World!", "hello-world"),
        ("Größe & Maß", "grosse-mass"),
        ("Crème brûlée — à la carte", "creme-brulee-a-la-carte"),
        ("Don't panic", "dont-panic"),
        ("日本語", "post"),
        ("  --  ", "post"),
    ],
)
def test_a_title_becomes_a_slug(title: str, slug: str) -> None:
    assert slugify(title) == slug


@given(st.text(max_size=400))
def test_whatever_the_title_its_slug_is_one(title: str) -> None:
    assert is_slug(slugify(title))


def test_a_long_title_is_cut_between_words() -> None:
    slug = slugify("wordy " * 40)

    assert len(slug) <= SLUG_MOST
    assert slug.endswith("wordy")


@given(st.integers(min_value=0, max_value=30), st.sampled_from(["a", "a-2", "x" * SLUG_MOST, "ab-" * 26 + "ab"]))
def test_a_free_slug_is_a_slug_that_nobody_has(others: int, wanted: str) -> None:
    taken: set[str] = set()

    for _ in range(others):
        slug = free_slug(wanted, frozenset(taken))
        assert is_slug(slug)
        assert slug not in taken
        taken.add(slug)


def test_the_second_of_the_same_name_gets_a_two() -> None:
    assert free_slug("a", frozenset({"a"})) == "a-2"
    assert free_slug("a", frozenset({"a", "a-2", "a-4"})) == "a-3"
