"""Secrets: texts that never show themselves, key texts with a checksum, and the keyed digests that are stored."""

import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_LENGTH: Final = 32
"""32 characters of base 62 carry 190 random bits."""

KEY_PATTERN: Final = r"col_(agency|ws)_(live|test)_[0-9A-Za-z]{38}"
"""The regular expression that scanners may use; the last six characters are a CRC-32 of what stands before."""

SHOWN_ONCE: Final = r"col_[a-z]+(?:_(?:live|test))?_[0-9A-Za-z]{38}"
"""Every text that this project makes to be shown once: keys, and the tokens in links."""

_KEY = re.compile(KEY_PATTERN)


_OURS = re.compile(r"(col_(?:[a-z]+_)+)[0-9A-Za-z]{20,}")


def masked(text: str) -> str:
    """The text with every key and token of ours in it cut to its kind: for what callers put where logs are made of."""
    return _OURS.sub(r"\1…", text) if "col_" in text else text


class Secret:
    """A text that must not be shown: printing, formatting and comparing by `==` do not reveal it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    @property
    def hint(self) -> str:
        """The last four characters, by which people tell keys apart."""
        return self._text[-4:]

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits.rjust(width, "0")


def _checksum(text: str) -> str:
    return _base62(binascii.crc32(text.encode()), 6)


def new_key_text(kind: str, mode: str) -> Secret:
    """A fresh key text: `col_agency_live_…` or `col_ws_test_…`, 190 random bits and a checksum."""
    return _random_text(f"col_{'agency' if kind == 'agency' else 'ws'}_{mode}_")


def new_token(kind: str) -> Secret:
    """A fresh token for a link or a session of this kind: `col_KIND_…`, 190 random bits and a checksum."""
    return _random_text(f"col_{kind}_")


def _random_text(start: str) -> Secret:
    body = start + "".join(secrets.choice(_BASE62) for _ in range(_BODY_LENGTH))
    return Secret(body + _checksum(body))


def is_key_text(text: str) -> bool:
    """Whether the text is a key by shape and checksum, told without asking the database."""
    return _KEY.fullmatch(text) is not None and _sums_up(text)


def is_token(kind: str, text: str) -> bool:
    """The same for a token of this kind."""
    return re.fullmatch(rf"col_{kind}_[0-9A-Za-z]{{38}}", text) is not None and _sums_up(text)


def _sums_up(text: str) -> bool:
    return hmac.compare_digest(_checksum(text[:-6]), text[-6:])


@dataclass(frozen=True, slots=True)
class Pepper:
    """The installation's secret bytes for keyed digests, by key id, so that they can be changed without ending keys."""

    keys: Mapping[int, bytes]
    current: int

    def digest(self, text: str, key_id: int | None = None) -> bytes:
        """HMAC-SHA256 (RFC 2104) of a high-entropy text under the named key; this is all that is stored of it."""
        return hmac.digest(self.keys[key_id or self.current], text.encode(), "sha256")

    def digests(self, text: str) -> list[bytes]:
        """The digests under every key, the current one first: what a look-up has to try."""
        every = dict.fromkeys([self.keys[self.current], *self.keys.values()])
        return [hmac.digest(key, text.encode(), "sha256") for key in every]

    def sign(self, purpose: str, text: str) -> str:
        """A short hexadecimal seal over a text for one purpose (a cursor, say), made with the current key."""
        return hmac.digest(self.keys[self.current], f"{purpose}\0{text}".encode(), "sha256").hex()[:24]

    def __repr__(self) -> str:
        return f"Pepper(current={self.current})"
