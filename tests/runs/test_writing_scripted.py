"""The scripted writer: valid for every brief, the same each time, and honest about itself."""

import re
from dataclasses import replace

from hypothesis import given, settings

from colonnade.runs.writing import Brief
from colonnade.runs.writing.scripted import NOTICE, ScriptedWriter, compose
from tests.runs.writing_briefs import BARE, FULL, any_brief


@settings(deadline=None)
@given(any_brief())
def test_every_brief_becomes_a_whole_article_that_says_what_it_is(brief: Brief) -> None:
    article = compose(brief)

    assert NOTICE in article.body
    assert len(article.body.split()) >= 250
    assert 4 <= len(article.outline) <= 5
    assert 1 <= len(article.title) <= 200
    assert 1 <= len(article.meta_description) <= 160
    assert re.fullmatch(r"[a-z0-9-]{1,80}", article.slug)
    assert article.body.count("\n## ") == len(article.outline)
    assert article.body.encode()


@settings(deadline=None)
@given(any_brief())
def test_the_same_brief_gives_the_same_article(brief: Brief) -> None:
    assert compose(brief) == compose(brief)


def test_the_facts_are_in_the_article() -> None:
    body = compose(FULL).body

    for fact in ("Drinks made of oats.", "plant-based drinks", "cafés", "barista oat milk", "Alpro", "oatly.com"):
        assert fact in body


def test_markup_in_a_fact_stays_text() -> None:
    body = compose(replace(BARE, short_description="[win](javascript:x) <script>\n# Big")).body

    assert r"\[win\](javascript:x) \<script\> \# Big" in body


async def test_it_names_itself_and_uses_no_tokens() -> None:
    written = await ScriptedWriter().write(FULL)

    assert written.model == "scripted"
    assert (written.tokens_in, written.tokens_out) == (0, 0)
    assert "Drinks made of oats." in written.prompt
    assert NOTICE in written.answer
