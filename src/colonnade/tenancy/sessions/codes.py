"""Second factors: codes of an authenticator (TOTP, RFC 6238) and recovery codes to be written down. Pure."""

import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyotp
import segno

from colonnade.ground.core.ids import ALPHABET
from colonnade.ground.core.secrets import Pepper, Secret

STEP_SECONDS: Final = 30
_EARLIER, _LATER = 1, 1
"""How many steps the clock of a telephone may be off."""

RECOVERY_CODES: Final = 10
_RECOVERY_LETTERS: Final = 10
"""Ten letters of 32 are 50 random bits; a code may be tried twelve times in an hour."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator must be told; shown once."""

    secret: Secret
    uri: Secret
    picture: Secret
    """The URI as a QR code: an SVG in a `data:` URI."""


def enrolment(email: str, issuer: str) -> Enrolment:
    """A fresh secret for the person with this address, in the name of the agency."""
    secret = pyotp.random_base32()
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)
    return Enrolment(Secret(secret), Secret(uri), Secret(segno.make(uri, error="m").svg_data_uri(scale=5)))


def step_of(secret: str, code: str, at: datetime) -> int | None:
    """The time step whose code this is, near this instant; none for a wrong code."""
    sent = "".join(code.split())
    now = int(at.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    fitting = [
        step
        for step in range(now - _EARLIER, now + _LATER + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), sent.encode("utf-8", "replace"))
    ]
    return fitting[-1] if fitting else None


def new_recovery_codes() -> list[Secret]:
    """Fresh codes, `abcde-fghjk` each."""
    return [Secret(_recovery_code()) for _ in range(RECOVERY_CODES)]


def recovery_digests(pepper: Pepper, code: str) -> list[bytes]:
    """Under which digests a recovery code may be kept, however its letters were typed; the current one first."""
    return pepper.digests("recovery code " + "".join(_letters(code)))


def _recovery_code() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(_RECOVERY_LETTERS))
    return f"{letters[:5]}-{letters[5:]}"


def _letters(code: str) -> Iterator[str]:
    yield from (letter for letter in code.lower() if letter in ALPHABET)
