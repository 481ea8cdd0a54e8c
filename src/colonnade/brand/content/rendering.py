"""From Markdown to HTML that is safe to show: raw HTML is text, links go to the web or to mail. Pure."""

from collections.abc import Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def to_html(markdown: str, *, title: str) -> str:
    """The body of a page whose only first-level heading is its title.

    A first-level heading at the start that repeats the title is left out; other headings move one level down if any
    of them is of the first level.
    """
    tokens = _MARKDOWN.parse(markdown)
    if _repeats(tokens, title):
        tokens = tokens[3:]
    if any(token.tag == "h1" for token in tokens):
        _lower(tokens)
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _repeats(tokens: Sequence[Token], title: str) -> bool:
    return len(tokens) >= 3 and tokens[0].tag == "h1" and tokens[1].content.strip() == title.strip()


def _lower(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
