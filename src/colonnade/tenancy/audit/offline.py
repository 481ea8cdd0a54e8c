"""Checking an exported audit log without the database: each line by itself, and how the lines follow one another. Pure.

Everything but the signatures can be followed by anybody; those take the installation's secret.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from colonnade.ground.core.secrets import Pepper
from colonnade.tenancy.audit.model import CANONICAL_VERSION, known_address, payload_digest
from colonnade.tenancy.audit.seals import Place, Signed, chain_hash, link_text, wrong_mac

_SAYS: Final = {
    "unreadable": "The line is none of an export of the audit log.",
    "tampered": "The line is not what was sealed.",
    "misplaced": "The line does not follow the one before it in the chain.",
    "other_key": "The line was signed under a secret that is not known here.",
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """The first line that is wrong."""

    line: int
    problem: str
    entry_id: str | None

    @property
    def says(self) -> str:
        """The same in a sentence."""
        return _SAYS[self.problem]


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What was found in a file: how much of the chain it holds, and what is wrong with it, if anything."""

    agency_id: str | None
    lines: int
    sealed: int
    erased: int
    first: Place | None
    last: Place | None
    gaps: int
    """Places between the first and the last at which the file leaves entries out; a filter does that."""
    bad: BadLine | None

    @property
    def ok(self) -> bool:
        """Whether every line is as it was sealed."""
        return self.bad is None


class _Wrong(Exception):
    """What is wrong with a line."""


@dataclass(slots=True)
class _Reader:
    pepper: Pepper | None
    agency_id: str | None = None
    lines: int = 0
    sealed: int = 0
    erased: int = 0
    first: Place | None = None
    last: Place | None = None
    ends: dict[int, str] = field(default_factory=dict)
    """Hashes that the next line has to name, by their position."""
    wanted: dict[int, str] = field(default_factory=dict)
    """Hashes that a line has named and that were not seen yet."""

    def read(self, text: str) -> str | None:
        """Check one line; the id of its entry."""
        try:
            shown: dict[str, Any] = json.loads(text)
            seal: dict[str, Any] = shown["seal"]
            signed: list[Any] = json.loads(seal["text"])
            version, agency_id = signed[:2]
            place = (seal["position"], seal["previousHash"], seal["hash"])
            self._belongs(version, agency_id)
            self._payload(shown, signed)
            if not _agrees(shown, signed):
                raise _Wrong("tampered")
            self._mac(seal["text"], seal["mac"], seal["keyId"])
            if place[0] is not None:
                self._link(seal, place)
            return str(shown["id"])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise _Wrong("unreadable") from error

    def _belongs(self, version: Any, agency_id: Any) -> None:
        self.agency_id = self.agency_id or str(agency_id)
        if version != CANONICAL_VERSION or agency_id != self.agency_id:
            raise _Wrong("unreadable")

    def _payload(self, shown: dict[str, Any], signed: list[Any]) -> None:
        digest = payload_digest(shown["before"], shown["after"])
        if digest is not None and digest.hex() != signed[12]:
            raise _Wrong("tampered")
        self.erased += digest is None and signed[12] is not None

    def _mac(self, text: str, mac: str, key_id: int) -> None:
        problem = None if self.pepper is None else wrong_mac(self.pepper, text, bytes.fromhex(mac), key_id)
        if problem is not None:
            raise _Wrong(problem)

    def _link(self, seal: dict[str, Any], place: tuple[int, str | None, str]) -> None:
        position, previous, link_hash = place
        before = None if previous is None else bytes.fromhex(previous)
        made = chain_hash(str(self.agency_id), position, before, Signed(seal["text"], bytes.fromhex(seal["mac"])))
        if made.hex() != link_hash or (previous is None) != (position == 1):
            raise _Wrong("tampered")
        self._mac(link_text(made), seal["linkMac"], seal["linkKeyId"])
        self._follows(position, previous, link_hash)
        self.sealed += 1
        here = Place(position, made)
        self.first = here if self.first is None or position < self.first.position else self.first
        self.last = here if self.last is None or position > self.last.position else self.last

    def _follows(self, position: int, previous: str | None, link_hash: str) -> None:
        """Lines come in any order, mostly from the newest on; what has met its neighbours is forgotten."""
        if position in self.ends or self.wanted.get(position, link_hash) != link_hash:
            raise _Wrong("misplaced")
        if self.wanted.pop(position, None) is None:
            self.ends[position] = link_hash
        if previous is None:
            return
        if self.ends.get(position - 1, previous) != previous:
            raise _Wrong("misplaced")
        if self.ends.pop(position - 1, None) is None:
            self.wanted[position - 1] = previous

    def verdict(self, bad: BadLine | None) -> FileVerdict:
        """What was found, up to here."""
        first, last = self.first, self.last
        gaps = sum(1 for position in self.wanted if first and position > first.position)
        if bad is None and first and last and self.sealed + gaps > last.position - first.position + 1:
            bad = BadLine(self.lines, "misplaced", None)  # a line stands twice
        return FileVerdict(self.agency_id, self.lines, self.sealed, self.erased, first, last, gaps, bad)


def _agrees(shown: dict[str, Any], signed: list[Any]) -> bool:
    """Whether what a line shows is what its signed text says."""
    actor = shown["actor"]
    there = {"id": 2, "workspaceId": 4, "requestId": 8, "event": 10, "resourceId": 11}
    return (
        all(shown[name] == signed[number] for name, number in there.items())
        and [actor["kind"], actor["id"], actor["name"]] == signed[5:8]
        and known_address(shown["address"]) == signed[9]
        and str(shown["at"])[:23] == str(signed[3])[:23]
    )


def check_lines(lines: Iterable[str], pepper: Pepper | None = None) -> FileVerdict:
    """Check the lines of an export one after the other, in memory that does not grow with them.

    With the installation's keys the signatures are checked as well.
    """
    reader = _Reader(pepper)
    for text in lines:
        if not text.strip():
            continue
        reader.lines += 1
        try:
            reader.read(text)
        except _Wrong as wrong:
            return reader.verdict(BadLine(reader.lines, str(wrong), _id_in(text)))
    return reader.verdict(None)


def _id_in(text: str) -> str | None:
    try:
        return str(json.loads(text)["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
