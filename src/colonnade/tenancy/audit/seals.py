"""The seal: how entries are linked into a chain, how its end is signed, and what may be found wrong with it. Pure.

The chain is a plain SHA-256, so that anybody can follow it; what signs it is a key that the database does not have.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from colonnade.ground.core.secrets import Pepper
from colonnade.tenancy.audit.model import Entry, flat_json

CHAIN_VERSION: Final = "colonnade.seal.1"
"""Names the way in which a link is made of its entry; another way gets another name."""

CHECKPOINT_ENTRIES: Final = 10_000
CHECKPOINT_SECONDS: Final = 3600

PROBLEMS: Final[Mapping[str, str]] = {
    "tampered": "The entry, or its link in the chain, is not what was written.",
    "missing": "An entry, or its link in the chain, is no longer there.",
    "misplaced": "The entry is genuine, but does not stand where it was sealed.",
    "other_key": "The entry was written or sealed under a secret that this installation does not have (any more).",
    "unsealed": "The entry was never sealed and waits for no seal.",
    "cut": "The chain ends before the place where it is known to have been.",
}
"""What may be wrong, and what that means."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain, made of an entry and of the link before it."""

    position: int
    entry_id: str
    previous_hash: bytes | None
    hash: bytes
    mac: bytes
    key_id: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry with its own digest and its link; none yet for a young one, or for who may not see the chain."""

    entry: Entry
    own_mac: bytes
    own_key_id: int
    link: Link | None


@dataclass(frozen=True, slots=True)
class Head:
    """The signed end of a chain, at an instant."""

    agency_id: str
    position: int
    hash: bytes
    at: datetime
    mac: bytes
    key_id: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the chain: what a verification reached, or what somebody wrote down to compare with."""

    position: int
    hash: bytes
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """The first thing that is wrong: where, and what."""

    problem: str
    position: int | None
    entry_id: str | None

    @property
    def says(self) -> str:
        """The same in a sentence."""
        return PROBLEMS[self.problem]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: how far the seal reaches, how much lies beyond it, and what is wrong, if anything."""

    sealed_to: Place | None
    checked: int
    unsealed: int
    erased: int
    bad: Bad | None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return self.bad is None


@dataclass(frozen=True, slots=True)
class Signed:
    """What a link is made of besides its place: an entry's canonical text and the digest of it."""

    text: str
    mac: bytes


def chain_hash(agency_id: str, position: int, previous: bytes | None, signed: Signed) -> bytes:
    """The hash at this place of the chain."""
    before = None if previous is None else previous.hex()
    linked = flat_json([CHAIN_VERSION, agency_id, position, before, signed.text, signed.mac.hex()])
    return hashlib.sha256(linked.encode()).digest()


def link_text(link_hash: bytes) -> str:
    """What the signature of a link is made of; its hash says already whose it is and where it stands."""
    return flat_json(["colonnade.link.1", link_hash.hex()])


def end_text(kind: str, agency_id: str, place: Place) -> str:
    """What the signature of a head or of a checkpoint is made of; one can never stand for the other."""
    assert place.at is not None, "an end is signed with its instant"
    at = place.at.astimezone(UTC).isoformat(timespec="microseconds")
    return flat_json([f"colonnade.{kind}.1", agency_id, place.position, place.hash.hex(), at])


def signed_end(pepper: Pepper, kind: str, agency_id: str, place: Place) -> Head:
    """The end of the chain with its signature under the current key; `kind` is `head` or `checkpoint`."""
    assert place.at is not None, "an end is signed with its instant"
    mac = pepper.digest(end_text(kind, agency_id, place))
    return Head(agency_id, place.position, place.hash, place.at, mac, pepper.current)


def wrong_end(pepper: Pepper, kind: str, end: Head) -> str | None:
    """What is wrong with the signature of a head or of a checkpoint; none when it is good."""
    return wrong_mac(pepper, end_text(kind, end.agency_id, Place(end.position, end.hash, end.at)), end.mac, end.key_id)


def wrong_mac(pepper: Pepper, text: str, mac: bytes, key_id: int) -> str | None:
    """`other_key` where the key is not known here, `tampered` where it is and the digest is another one."""
    if key_id not in pepper.keys:
        return "other_key"
    return None if hmac.compare_digest(pepper.digest(text, key_id), mac) else "tampered"


def is_checkpoint_due(last: Head | None, position: int, at: datetime) -> bool:
    """Whether a checkpoint is to be set at this place, given the last one."""
    if last is None:
        return True
    return position - last.position >= CHECKPOINT_ENTRIES or (at - last.at).total_seconds() >= CHECKPOINT_SECONDS
