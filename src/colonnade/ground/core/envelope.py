"""The envelope for secrets of third parties: AES-256-GCM under a data key of its own, wrapped by a master key. Pure.

What is sealed is bound to where it lies: the context (table, row, agency and so on) is authenticated with it, so a
sealed value that is moved elsewhere cannot be opened there.
"""

import hmac
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT: Final = 1
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_MARK_BYTES: Final = 8
_HEAD: Final = struct.Struct(f">BH{_MARK_BYTES}s")
_WRAPPED_BYTES: Final = _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_LEAST_BYTES: Final = _HEAD.size + _WRAPPED_BYTES + _NONCE_BYTES + _TAG_BYTES


class CannotOpen(Exception):
    """A sealed value that cannot be opened; nothing of its content is in the message."""


class OtherMasterKey(CannotOpen):
    """It was sealed under a master key that this installation does not have: the installation's secret has changed."""


class Tampered(CannotOpen):
    """The master key is right, but the value is damaged, or lies where it was not sealed for."""


@dataclass(frozen=True, slots=True, repr=False)
class MasterKeys:
    """The installation's master keys by number: new values are sealed under the current one, older ones still open."""

    keys: Mapping[int, bytes]
    current: int

    def __post_init__(self) -> None:
        if self.current not in self.keys or any(len(key) != _KEY_BYTES for key in self.keys.values()):
            raise ValueError("master keys are 32 bytes each, and the current one is among them")

    def __repr__(self) -> str:
        return f"MasterKeys(current={self.current})"

    @classmethod
    def single(cls, key: bytes) -> "MasterKeys":
        """The usual case: one key."""
        return cls({1: key}, 1)


def seal(masters: MasterKeys, secret: str, context: Sequence[str]) -> bytes:
    """The secret under a fresh data key, and the data key under the current master key."""
    master = masters.keys[masters.current]
    head = _HEAD.pack(_FORMAT, masters.current, _mark(master))
    data_key = AESGCM.generate_key(8 * _KEY_BYTES)
    wrapped = _encrypt(master, data_key, _bound(head, "data key", context))
    return head + wrapped + _encrypt(data_key, secret.encode(), _bound(head, "secret", context))


def unseal(masters: MasterKeys, sealed: bytes, context: Sequence[str]) -> str:
    """The secret; raises `OtherMasterKey` or `Tampered` when it cannot be opened here."""
    if len(sealed) < _LEAST_BYTES or sealed[0] != _FORMAT:
        raise Tampered("the sealed value is cut short or of no known format")
    head, rest = sealed[: _HEAD.size], sealed[_HEAD.size :]
    master = _master(masters, head)
    data_key = _decrypt(master, rest[:_WRAPPED_BYTES], _bound(head, "data key", context))
    return _decrypt(data_key, rest[_WRAPPED_BYTES:], _bound(head, "secret", context)).decode()


def _master(masters: MasterKeys, head: bytes) -> bytes:
    _, number, mark = _HEAD.unpack(head)
    # The mark tells the key; its number may be another one where older keys have been dropped.
    for master in masters.keys.values():
        if hmac.compare_digest(_mark(master), mark):
            return master
    raise OtherMasterKey(f"the value was sealed under another master key (number {number})")


def _mark(master: bytes) -> bytes:
    # Tells keys apart without telling anything of them, so that a wrong key is not taken for damage.
    return hmac.digest(master, b"colonnade envelope mark", "sha256")[:_MARK_BYTES]


def _bound(head: bytes, what: str, context: Sequence[str]) -> bytes:
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") are different contexts.
    return head + json.dumps([what, *context]).encode()


def _encrypt(key: bytes, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _decrypt(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except InvalidTag as error:
        raise Tampered("the sealed value is damaged, or lies where it was not sealed for") from error
