"""Signing reports: Ed25519 (RFC 8032) over the canonical JSON of all that a report says, checked offline by anybody."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY_PATH: Final = "/.well-known/colonnade/isolation-key.json"
_ALGORITHM: Final = "Ed25519"


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a report is what was signed, and in one sentence why."""

    ok: bool
    says: str


def canonical(report: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: everything but the signature, names sorted, no space, UTF-8."""
    told = {name: part for name, part in report.items() if name != "signature"}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def public_key(seed: bytes) -> str:
    """The public key of this installation, as it stands in reports and is served."""
    return _public_text(Ed25519PrivateKey.from_private_bytes(seed).public_key())


def fingerprint(key: str) -> str:
    """By which people compare two public keys: the first 32 hexadecimal digits of its SHA-256, in groups."""
    digits = hashlib.sha256(base64.b64decode(key)).hexdigest()[:32]
    return " ".join(digits[start : start + 4] for start in range(0, 32, 4))


def signed(report: Mapping[str, Any], seed: bytes) -> dict[str, Any]:
    """The report with its signature."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    told = base64.b64encode(key.sign(canonical(report))).decode()
    public = _public_text(key.public_key())
    return {**report, "signature": {"algorithm": _ALGORITHM, "publicKey": public, "value": told}}


def check(report: Any, key: str) -> Checked:
    """Whether this report was signed, as it stands, by the installation with this public key."""
    try:
        signature = report["signature"]
        value, own = base64.b64decode(signature["value"], validate=True), str(signature["publicKey"])
        known = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.strip(), validate=True))
        known.verify(value, canonical(report))
    except InvalidSignature:
        if own != key.strip():
            return Checked(ok=False, says=f"it was signed with another key ({fingerprint(own)}), or was changed")
        return Checked(ok=False, says="it was changed after it was signed")
    except (ValueError, KeyError, TypeError):
        return Checked(ok=False, says="it is no signed report, or the key is no public key of an installation")
    return Checked(ok=True, says=f"it is as it was signed by the installation with the key {fingerprint(key)}")


def mount(app: Starlette, seed: bytes) -> None:
    """Serve the public key, by which those who are handed a report can check it."""
    key = public_key(seed)
    body = {"algorithm": _ALGORITHM, "publicKey": key, "fingerprint": fingerprint(key)}

    async def show(_request: Request) -> Response:
        return JSONResponse(body, headers={"Cache-Control": "max-age=3600"})

    app.router.routes.append(Route(KEY_PATH, show))


def _public_text(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
