"""Reports of leaked keys by a partner who scans for them: signed, and believed for the signature alone.

As GitHub's secret scanning partner program does it: ECDSA on P-256 with SHA-256 over the raw body, by a key that the
partner publishes under an identifier.
"""

import asyncio
import base64
import binascii
import hashlib
import json
import time
from collections.abc import Container, Mapping, Sequence
from typing import Final

import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from colonnade.ground.outgoing import OutgoingClient, OutgoingLimits, OutgoingRefused

_log = structlog.get_logger("colonnade.keys")

_LIMITS: Final = OutgoingLimits(connect_seconds=5, total_seconds=10, body_bytes=256 * 1024)
_FRESH_SECONDS: Final = 3600.0
_AGAIN_SECONDS: Final = 60.0
"""An identifier that is not known may be new, but whoever invents some makes us ask no more often than this."""

PublicKeys = Mapping[str, EllipticCurvePublicKey]


class PartnerKeys:
    """The keys that a partner publishes, remembered for an hour; one for each process."""

    def __init__(self, client: OutgoingClient, url: str | None) -> None:
        self._client = client
        self._url = url
        self._keys: PublicKeys = {}
        self._asked: float | None = None
        self._asking = asyncio.Lock()

    async def has_signed(self, body: bytes, identifier: str, signature: str) -> bool:
        """Whether the partner signed this body. Without a URL to ask nobody is a partner."""
        if self._url is None:
            return False
        async with self._asking:
            wait = _FRESH_SECONDS if identifier in self._keys else _AGAIN_SECONDS
            if self._asked is None or time.monotonic() - self._asked > wait:
                await self._ask(self._url)
        key = self._keys.get(identifier)
        return key is not None and _verifies(key, body, signature)

    async def _ask(self, url: str) -> None:
        """Read the keys anew; those that were known stay where there is no answer."""
        self._asked = time.monotonic()
        try:
            answer = await self._client.request("GET", url, headers={"accept": "application/json"}, limits=_LIMITS)
        except OutgoingRefused as refused:
            _log.warning("keys.partner_unreachable", reason=refused.reason)
            return
        keys = read_keys(answer.body) if answer.status == 200 else {}
        if not keys:
            _log.warning("keys.partner_told_no_keys", status=answer.status)
            return
        self._keys = keys


def read_keys(body: bytes) -> PublicKeys:
    """The P-256 keys of a published list, by their identifiers; what is none is left out."""
    try:
        published = json.loads(body)["public_keys"]
        pairs = [(one["key_identifier"], one["key"]) for one in published]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    read = {name: _key(pem) for name, pem in pairs if isinstance(name, str) and isinstance(pem, str)}
    return {name: key for name, key in read.items() if key is not None}


def _key(pem: str) -> EllipticCurvePublicKey | None:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1) else None


def _verifies(key: EllipticCurvePublicKey, body: bytes, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), body, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def labels(matches: Sequence[tuple[str, str]], known: Container[str]) -> list[dict[str, str]]:
    """What a partner is told of each text and its type: whether it was a key of ours. The text itself is not said."""
    return [
        {
            "token_hash": hashlib.sha256(text.encode()).hexdigest(),
            "token_type": kind,
            "label": "true_positive" if text in known else "false_positive",
        }
        for text, kind in matches
    ]
