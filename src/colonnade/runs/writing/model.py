"""The nouns of writing and their pure rules: what a writer is told, what an article is, how writing fails.

Not here: how a model is asked, and which model a name means.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, Protocol, Self

from colonnade.ground.core.secrets import Secret

TITLE_MAX: Final = 200
SLUG_MAX: Final = 80
META_MAX: Final = 160
OUTLINE_MAX: Final = 20
BODY_MAX: Final = 60_000

FailureReason = Literal[
    "model.unavailable",
    "model.refused_key",
    "model.rate_limited",
    "model.bad_answer",
    "model.not_configured",
    "model.timeout",
]

_SLUG = re.compile(rf"[a-z0-9-]{{1,{SLUG_MAX}}}")
# Letters that Unicode does not take apart into a base letter and a mark.
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything that a writer may know: the brand's own facts, and what this one article is to be about."""

    brand_name: str
    primary_domain: str | None
    industry: str | None
    language: str
    location: str | None
    short_description: str | None
    detailed_description: str | None
    voice: str | None
    icps: tuple[str, ...]
    primary_keywords: tuple[str, ...]
    pillars: tuple[str, ...]
    competitors: tuple[str, ...]
    topic: str | None
    keyword: str | None
    instructions: str | None


@dataclass(frozen=True, slots=True)
class Article:
    """A finished article. The body is Markdown from a model, hence untrusted: whoever shows it sanitises it."""

    title: str
    slug: str
    outline: tuple[str, ...]
    body: str
    meta_description: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.title) <= TITLE_MAX:
            raise ValueError("the article has no title of a fitting length")
        if _SLUG.fullmatch(self.slug) is None:
            raise ValueError("the article's slug is not one")
        if not 1 <= len(self.body) <= BODY_MAX:
            raise ValueError("the article has no body of a fitting length")
        if len(self.meta_description) > META_MAX:
            raise ValueError("the article's meta description is too long")

    @classmethod
    def of(
        cls, title: str, body: str, *, slug: str = "", outline: Iterable[str] = (), meta_description: str = ""
    ) -> Self:
        """An article out of what a writer said: cleaned, cut to size, the slug derived from the title when it is
        missing and the meta description from the body. No title or no body is a ValueError."""
        clean_title, clean_body = one_line(title.lstrip("# "), TITLE_MAX), markdown(body)
        headings = [heading for text in outline if (heading := one_line(text.lstrip("# "), TITLE_MAX))]
        return cls(
            title=clean_title,
            slug=slug_of(slug or clean_title),
            outline=tuple(headings[:OUTLINE_MAX]),
            body=clean_body,
            meta_description=one_line(meta_description, META_MAX) or first_words(clean_body),
        )


@dataclass(frozen=True, slots=True)
class Written:
    """An article, the model that wrote it, what it used, and the words that went in and came out."""

    article: Article
    model: str
    tokens_in: int
    tokens_out: int
    prompt: str
    answer: str


class WritingFailed(Exception):
    """No article came. The sentence may be shown to the tenant and holds no key; a temporary failure is worth a
    second try as it is, any other wants a person first."""

    def __init__(self, reason: FailureReason, sentence: str, *, is_temporary: bool = False) -> None:
        super().__init__(reason, sentence)
        self.reason: FailureReason = reason
        self.sentence = sentence
        self.is_temporary = is_temporary


class Writer(Protocol):
    """Whoever can turn a brief into an article; the name says which model it is."""

    @property
    def name(self) -> str: ...

    async def write(self, brief: Brief) -> Written:
        """The article for this brief, or WritingFailed. Nothing is remembered between two briefs."""


def storable(text: str) -> str:
    """The text without what a database or a page cannot hold: control characters and halves of surrogate pairs."""
    even = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in even if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})


def one_line(text: str, limit: int) -> str:
    """The text on one line, trimmed at a word when it is longer than the limit."""
    # Only the beginning is looked at: a tenant's megabytes must not hold up the process for one line.
    line = " ".join(storable(text[: 8 * limit + 1_000]).split())
    if len(line) <= limit:
        return line
    cut = line[: limit + 1].rpartition(" ")[0] or line[:limit]
    return cut.rstrip(" ,;:–-")


def markdown(text: str) -> str:
    """The body without blank ends and without its first line when that only fences the Markdown in."""
    body = storable(text).strip()
    fenced = re.fullmatch(r"```(?:markdown|md)?\n(.*)\n```", body, re.DOTALL)
    body = fenced[1].strip() if fenced else body
    return body if len(body) <= BODY_MAX else body[:BODY_MAX].rpartition("\n\n")[0] or body[:BODY_MAX]


def slug_of(text: str) -> str:
    """A slug in `[a-z0-9-]{1,80}`. A text without Latin letters gets one made of its digest, so that two differ."""
    folded = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    plain = "".join(c for c in folded if not unicodedata.combining(c)).replace("'", "").replace("’", "")
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not words:
        return f"article-{sha256(text.encode(errors='replace')).hexdigest()[:8]}"
    if len(words) <= SLUG_MAX:
        return words
    return words[: SLUG_MAX + 1].rpartition("-")[0] or words[:SLUG_MAX]


def first_words(body: str) -> str:
    """The beginning of the first paragraph that is plain text, short enough for a meta description."""
    paragraphs = [part.strip() for part in body.split("\n\n")]
    plain = [part for part in paragraphs if part and part[0] not in "#>|-*`<![{0123456789"]
    return one_line(re.sub(r"[*_`]", "", (plain or paragraphs)[0]), META_MAX)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is asked, under which name, with which key and how long; no base URL means the vendor's own."""

    provider: Literal["anthropic", "openai"]
    model: str
    key: Secret | None
    base_url: str | None
    timeout_seconds: float
