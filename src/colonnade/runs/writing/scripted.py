"""The scripted writer: an article composed from the brand's own facts by fixed sentences, without any model.

It claims nothing that the facts do not say, and says of itself what it is in every text.
"""

import json
import re
from typing import Final

from colonnade.runs.writing.model import META_MAX, TITLE_MAX, Article, Brief, Written, one_line
from colonnade.runs.writing.prompts import facts_of

NAME: Final = "scripted"
NOTICE: Final = (
    "This text was composed by Colonnade's scripted writer from the brand's own facts, without a language model."
)

_OPENING: Final = (
    "This page introduces {subject} and what {brand} has to say about it. It collects the facts that the brand states "
    "about itself, adds the questions that a careful reader would ask, and leaves the answers that depend on a "
    "situation to the reader. Nothing here is a measurement, a price or a promise."
)
_FIT: Final = (
    "Whoever reads this can test the fit in a few minutes. Write down the task that should become easier, who does it "
    "today, how often it comes up, and what happens when it goes wrong. If the description above speaks to that task, "
    "the rest of this page is worth the time; if not, it is better to know early."
)
_QUESTIONS: Final = (
    "- Which problem does it solve, and is it the problem at hand?\n"
    "- What has to be in place before it can be used?\n"
    "- Who will work with it every day, and have they been asked?\n"
    "- What does it cost in the first year, in money and in hours?\n"
    "- How would one notice after three months that it was the right choice?\n"
    "- How does one leave again, and what can be taken along?"
)
_COMPARING: Final = (
    "A fair comparison puts the same questions to every candidate and writes the answers side by side. Two or three "
    "candidates are enough for most decisions. Answers that were seen at work count for more than answers that were "
    "read, and a short trial with a real task shows more than a long list of features."
)

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~!#&])")
_ITEMS_MAX = 6
_NAME_MAX = 80
_FACT_MAX = 500


class ScriptedWriter:
    """Writes the same article for the same brief, at once and for nothing."""

    name = NAME

    async def write(self, brief: Brief) -> Written:
        """The composed article; never fails."""
        article = compose(brief)
        asked = json.dumps(facts_of(brief), ensure_ascii=False, indent=1)
        return Written(article, NAME, tokens_in=0, tokens_out=0, prompt=asked, answer=article.body)


def compose(brief: Brief) -> Article:
    """The article as a pure function of the brief."""
    brand, subject = _name(brief), _subject(brief)
    sections = {
        f"What {brand} does": _about(brief, brand),
        "Who this is for": _readers(brief, brand),
        f"What to look at in {subject}": _questions(brief, subject),
        "Comparing the options": _comparison(brief, brand),
        "Next steps": _next_steps(brief, brand),
    }
    body = "\n\n".join(
        [f"> {NOTICE}", _opening(brand, subject)]
        + [f"## {_inline(heading)}\n\n{text}" for heading, text in sections.items()]
    )
    title = f"{subject[:1].upper()}{subject[1:]}: an introduction by {brand}"
    meta = one_line(brief.short_description or "", _FACT_MAX) or f"An introduction to {subject}."
    return Article.of(
        one_line(title, TITLE_MAX),
        body,
        outline=list(sections),
        meta_description=one_line(f"{brand}: {meta}", META_MAX),
    )


def _name(brief: Brief) -> str:
    return one_line(brief.brand_name, _NAME_MAX) or one_line(brief.primary_domain or "", _NAME_MAX) or "the brand"


def _subject(brief: Brief) -> str:
    wanted = [brief.topic, brief.keyword, *brief.primary_keywords[:1], brief.industry]
    return next((line for text in wanted if (line := one_line(text or "", _NAME_MAX))), "the offer")


def _inline(text: str, limit: int = _FACT_MAX) -> str:
    """A fact inside our Markdown, with its own markup made harmless."""
    return _MARKUP.sub(r"\\\1", one_line(text, limit))


def _sentence(text: str) -> str:
    line = _inline(text)
    return line if line.endswith((".", "!", "?", "。")) else f"{line}."


def _bullets(texts: tuple[str, ...]) -> str:
    items = [item for text in texts if (item := _inline(text, 200))]
    return "\n".join(f"- {item}" for item in items[:_ITEMS_MAX])


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _opening(brand: str, subject: str) -> str:
    return _OPENING.format(subject=_inline(subject), brand=_inline(brand))


def _about(brief: Brief, brand: str) -> str:
    name = _inline(brand)
    described = [one_line(text or "", _FACT_MAX) for text in (brief.short_description, brief.detailed_description)]
    says = [f"In its own words: {_sentence(described[0])}"] if described[0] else []
    says += [_sentence(described[1])] if described[1] and described[1] != described[0] else []
    if not says:
        says = [f"{name} has not yet written down a description of itself; the subject of this page stands in for one."]
    industry, location = one_line(brief.industry or "", 200), one_line(brief.location or "", 200)
    if industry:
        says.append(f"{name} names its field as {_inline(industry)}.")
    if location:
        says.append(f"The place it gives is {_inline(location)}.")
    return _joined([" ".join(says), _pillars(brief)])


def _pillars(brief: Brief) -> str:
    themes = _bullets(brief.pillars)
    return f"The themes it returns to are these:\n\n{themes}" if themes else ""


def _readers(brief: Brief, brand: str) -> str:
    readers = _bullets(brief.icps)
    known = f"{_inline(brand)} writes for these readers:\n\n{readers}" if readers else ""
    return _joined([known, _FIT])


def _questions(brief: Brief, subject: str) -> str:
    terms = _bullets(brief.primary_keywords)
    more = f"Terms under which more can be found:\n\n{terms}" if terms else ""
    return _joined([f"These questions apply to {_inline(subject)} whoever offers it:", _QUESTIONS, more])


def _comparison(brief: Brief, brand: str) -> str:
    others = _bullets(brief.competitors)
    known = f"Readers who look at {_inline(brand)} may also look at these names:\n\n{others}" if others else ""
    return _joined([known, _COMPARING])


def _next_steps(brief: Brief, brand: str) -> str:
    domain = one_line(brief.primary_domain or "", 200)
    where = f" More from {_inline(brand)} is at {_inline(domain)}." if domain else ""
    return (
        "Pick one question from the list above that matters most, and ask it first. Note the answer together with its "
        f"date, for offers change.{where} Then decide whether a second look is worth it."
    )
