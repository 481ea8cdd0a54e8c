"""How a workspace is named: its domain as a bare host, its slug, and the folded name that lists are sorted by."""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

import idna

SLUG_MOST: Final = 48
_LETTERS: Final = str.maketrans(
    {
        **dict(zip("øłđðıħ", "olddih", strict=True)),
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        **dict.fromkeys("'’‘ʼ`´", ""),
    }
)
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")
_WEB_ADDRESS = re.compile(r"https?://([^/]*)/?", re.IGNORECASE)


def normalized_domain(text: str) -> str:
    """The bare host in lower case and ASCII (IDNA 2008, RFC 5891); a ValueError says what it has that no host has.

    `https://Acme.com/` is taken for the host in it; a path, a port or a user name is refused rather than lost.
    """
    host = text.strip()
    written_as_address = _WEB_ADDRESS.fullmatch(host)
    if written_as_address is not None:
        host = written_as_address[1]
    if "://" in host or "/" in host or "?" in host or "#" in host:
        raise ValueError("must be a host alone, such as acme.com, without a path")
    if "@" in host or ":" in host:
        raise ValueError("must be a host alone, such as acme.com, without a user name or a port")
    ascii_host = _ascii(host.removesuffix("."))
    if _HOST.fullmatch(ascii_host) is None:
        raise ValueError("must be a host name such as acme.com")
    return ascii_host


def _ascii(host: str) -> str:
    lower = host.lower()
    if lower.isascii() and "xn--" not in lower:
        return lower
    try:
        return idna.encode(lower, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError("must be a host name such as acme.com or bücher.example") from error


def folded(text: str) -> str:
    """The text without case and accents, its white space made single."""
    # Twice, as compatibility characters such as a mathematical A show their case only once they are taken apart.
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.casefold()).casefold())
    plain = apart.translate(_LETTERS)
    kept = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def slug_base(name: str, domain: str | None) -> str:
    """A slug from the name in Latin letters, else from the domain: `Fjällräven` is fjallraven, `Arc'teryx` arcteryx."""
    return _slugged(name) or _slugged(domain or "") or "workspace"


def _slugged(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", folded(text)).strip("-")[:SLUG_MOST].rstrip("-")


class FreeSlugs:
    """Gives out slugs that nobody has: the base, or the base with the first free number from 2 on."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._following: dict[str, Iterator[str]] = {}

    def take(self, base: str) -> str:
        """One that is free, never longer than a slug may be; from now on it is taken."""
        following = self._following.setdefault(base, _slugs(base))
        slug = next(one for one in following if one not in self._taken)
        self._taken.add(slug)
        return slug

    def leave(self, slug: str) -> None:
        """This one is not to be given out."""
        self._taken.add(slug)


def beginning(base: str) -> str:
    """With what every numbered slug of this base begins."""
    return f"{base}-"[: SLUG_MOST - len("-9999999")]


def _slugs(base: str) -> Iterator[str]:
    yield base
    yield from (_numbered(base, number) for number in itertools.count(2))


def _numbered(base: str, number: int) -> str:
    """`acme-2`; a long base gives way to the number."""
    tail = f"-{number}"
    return base[: SLUG_MOST - len(tail)].rstrip("-") + tail
