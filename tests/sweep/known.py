"""What was made to be secret while tests ran, and how it is found again in anything."""

import re
from collections import defaultdict
from typing import Final

from colonnade.ground.core.secrets import SHOWN_ONCE, is_key_text, is_token

LEAST: Final = 10
LEAST_DIFFERENT: Final = 4
"""Texts that are shorter, or repeat fewer characters, stand in many places by chance, and are no secrets of ours."""

SESSION, CSRF = "session", "csrf token"
RECOVERY_CODE, TOTP_SECRET, TOTP_URI, TOTP_PICTURE = "recovery code", "TOTP secret", "TOTP URI", "TOTP picture"
PASSWORD, CREDENTIAL = "password", "credential"

_OURS: Final = re.compile(SHOWN_ONCE.encode())
_RECOVERY: Final = re.compile(rb"\b[a-z0-9]{5}-[a-z0-9]{5}\b")
_TOTP: Final = re.compile(rb"\b[A-Z2-7]{32}\b")
_CSRF: Final = re.compile(rb"\b[0-9a-f]{24}\b")
_SHAPES: Final = {RECOVERY_CODE: _RECOVERY, TOTP_SECRET: _TOTP, CSRF: _CSRF}
_STARTS: Final = {b"otpauth://": TOTP_URI, b"data:image/": TOTP_PICTURE}
_START: Final = 10


def kind_of(text: bytes) -> str:
    """What a secret is, told by its shape: `agency_live`, `reset`, a recovery code, or somebody's credential."""
    if _OURS.fullmatch(text):
        return text.decode()[4:-39]
    for start, kind in _STARTS.items():
        if text.startswith(start):
            return kind
    return next((kind for kind, shape in _SHAPES.items() if shape.fullmatch(text)), CREDENTIAL)


class Known:
    """The secrets that were made so far; a text is searched for all of them at once."""

    def __init__(self) -> None:
        self._kinds: dict[bytes, str] = {}
        self._spared: set[bytes] = set()
        self._by_start: dict[bytes, list[bytes]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._kinds)

    def counts(self) -> dict[str, int]:
        """How many were made of each kind."""
        found: dict[str, int] = defaultdict(int)
        for kind in list(self._kinds.values()):
            found[kind] += 1
        return dict(sorted(found.items()))

    def note(self, text: str, kind: str | None = None) -> None:
        """Remember a secret."""
        secret = text.encode("utf-8", "surrogatepass")
        if len(secret) < LEAST or len(set(secret)) < LEAST_DIFFERENT or secret in self._kinds or secret in self._spared:
            return
        self._kinds[secret] = kind or kind_of(secret)
        if not _OURS.fullmatch(secret) and self._kinds[secret] not in _SHAPES:
            self._by_start[secret[:_START]].append(secret)

    def spare(self, text: str) -> None:
        """Look for this one no longer: a test plays somebody who writes it where everybody may read."""
        self._spared.add(text.encode())
        self._kinds.pop(text.encode(), None)

    def found(self, content: bytes, *, strangers: bool = False) -> dict[bytes, str]:
        """The secrets that stand in a content, with their kinds.

        With `strangers` also keys and tokens that are good by shape and checksum: other processes make some too.
        """
        ours = set(_OURS.findall(content)) if b"col_" in content else set()
        found = {one: self._kinds[one] for one in ours if one in self._kinds}
        if strangers:
            found |= {
                one: f"{kind_of(one)} of another process" for one in ours - found.keys() - self._spared if _is_good(one)
            }
        for kind, shape in _SHAPES.items():
            found |= {one: kind for one in shape.findall(content) if self._kinds.get(one) == kind}
        for start, secrets in list(self._by_start.items()):
            if start in content:
                found |= {one: self._kinds[one] for one in secrets if one in content}
        return found


def _is_good(text: bytes) -> bool:
    decoded = text.decode()
    return is_key_text(decoded) or is_token(kind_of(text), decoded)
