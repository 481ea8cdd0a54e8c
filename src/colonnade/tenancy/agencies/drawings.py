"""SVG made harmless: measured first, filtered by `svg-hush`, and what comes out is looked through once more.

Pure: text in, text or a `ValueError` out that says in one clause what a sender can mend.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from xml.parsers import expat

from py_svg_hush import filter_svg

DEEPEST: Final = 64
MOST_ELEMENTS: Final = 20_000
MOST_DRAWN: Final = 200_000
"""How many elements may be drawn once every `use` is followed: a few lines of them can stand for billions."""

_SVG: Final = "http://www.w3.org/2000/svg"
_PICTURES: Final = re.compile(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=\s]*)", re.ASCII)
_URL: Final = re.compile(r"url\(\s*(['\"]?)(.*?)\1\s*\)", re.DOTALL | re.IGNORECASE)
_LOADING: Final = re.compile(r"@|\\|//|(?<![\w-])(?:image|image-set|src|element|expression)\(", re.IGNORECASE)
"""What a style needs to load something, or to hide that it does."""


class _Unfit(ValueError):
    """What is wrong with a drawing."""


def harmless(content: bytes) -> bytes:
    """The drawing without anything that acts, loads or waits; a `ValueError` for what is none or too much."""
    _measure(content)
    try:
        filtered = filter_svg(content, {"image": ["png", "jpeg"]})
    except ValueError as error:
        raise _Unfit("is not well-formed SVG with the namespace http://www.w3.org/2000/svg") from error
    written: bytes = filtered
    _look_through(written)
    return written


def pictures_in(drawing: bytes) -> Iterator[tuple[str, str]]:
    """The pictures that a harmless drawing carries: `PNG` or `JPEG`, and the text of their bytes in base 64."""
    for found in _PICTURES.finditer(drawing.decode()):
        yield found[1].upper(), found[2]


def _read(content: bytes, **listening: Callable[..., None]) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    for name, hears in listening.items():
        setattr(parser, name, hears)
    try:
        parser.Parse(content, True)
    except _Unfit:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two for encodings that nobody knows
        raise _Unfit("is not well-formed SVG") from error


def _measure(content: bytes) -> None:
    """Refuse what is too deep or too much for those who read it next, and entities, which can grow without bound."""
    depth = elements = 0

    def begin(_name: str, _attributes: Mapping[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > DEEPEST:
            raise _Unfit(f"is nested deeper than {DEEPEST} levels")
        if elements > MOST_ELEMENTS:
            raise _Unfit(f"has more than {MOST_ELEMENTS:,} elements")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def entity(*_declared: Any) -> None:
        raise _Unfit("declares entities, which a logo does not need")

    _read(content, StartElementHandler=begin, EndElementHandler=end, EntityDeclHandler=entity)


def _look_through(content: bytes) -> None:
    """The second opinion: what the filter let through is refused where it could still reach out."""
    drawn = _Drawn()

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        space, _, tag = name.rpartition(" ")
        if space != _SVG or tag.lower() in {"script", "foreignobject", "handler", "listener"}:
            raise _Unfit(f"holds the element `{tag[:40]}`, which no logo needs")
        for attribute, value in attributes.items():
            _require_quiet(attribute.rpartition(" ")[2].lower(), value)
        drawn.begin(tag, attributes)

    def end(name: str) -> None:
        drawn.end(name.rpartition(" ")[2])

    _read(content, StartElementHandler=begin, EndElementHandler=end, CharacterDataHandler=drawn.text)
    drawn.require_bounded()


def _require_quiet(name: str, value: str) -> None:
    if name.startswith("on") or "javascript:" in re.sub(r"\s", "", value).lower():
        raise _Unfit("holds a script")
    if name in {"href", "src"}:
        if not value.startswith("#") and _PICTURES.fullmatch(value) is None:
            raise _Unfit("refers to something outside of itself; embed pictures as PNG or JPEG")
    elif name == "style" or "(" in value:
        _require_quiet_style(value)


def _require_quiet_style(text: str) -> None:
    inner = _URL.sub(lambda found: "" if _is_inside(found[2]) else "@", text)
    if _LOADING.search(inner) or "url(" in inner.lower():
        raise _Unfit("has a style with `@` or one that loads something; only `url(#…)` and embedded pictures will do")


def _is_inside(target: str) -> bool:
    return target.startswith("#") or _PICTURES.fullmatch(target) is not None


class _Drawn:
    """Counts what is drawn: each element once, and again wherever a `use` repeats it."""

    def __init__(self) -> None:
        self._open: list[tuple[str, int, list[str]]] = []
        self._named: dict[str, tuple[int, list[str]]] = {}
        self._style: list[str] = []

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins; `use` and patterns repeat what they name."""
        repeats = [value[1:] for name, value in attributes.items() if name.rpartition(" ")[2] == "href"]
        painted = [found[2][1:] for value in attributes.values() for found in _URL.finditer(value)]
        self._open.append((attributes.get("id", ""), 1, [*repeats, *painted]))
        if tag == "style":
            self._style.clear()

    def end(self, tag: str) -> None:
        """It ends, and its parent is so much larger."""
        name, size, repeats = self._open.pop()
        if name:
            self._named[name] = (size, list(repeats))
        if self._open:
            outer, outer_size, outer_repeats = self._open[-1]
            self._open[-1] = (outer, outer_size + size, [*outer_repeats, *repeats])
        else:
            self._named[""] = (size, repeats)
        if tag == "style":
            _require_quiet_style("".join(self._style))

    def text(self, part: str) -> None:
        """Text, of which only that of styles matters."""
        self._style.append(part)

    def require_bounded(self) -> None:
        """Refuse a drawing that is small to send and endless to draw."""
        known: dict[str, int] = {}

        def drawn(name: str, chain: frozenset[str]) -> int:
            if name in chain or name not in self._named:
                return 0
            if len(chain) > DEEPEST:
                raise _Unfit(f"has parts that refer to each other more than {DEEPEST} deep")
            if name not in known:
                size, repeats = self._named[name]
                inside = chain | {name}
                known[name] = min(size + sum(drawn(one, inside) for one in repeats), MOST_DRAWN + 1)
            return known[name]

        if drawn("", frozenset()) > MOST_DRAWN:
            raise _Unfit("repeats its own parts so often that it would take for ever to draw")
