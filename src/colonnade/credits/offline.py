"""Checking a statement without the database: each line, the blocks of the chain that they lie in, and all totals. Pure.

Everything but the signatures can be followed by anybody; those take the installation's secret.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TextIO

from colonnade.credits import statement_files as files
from colonnade.credits.ledger_seals import (
    Chain,
    Line,
    Statement,
    Totals,
    Unfunded,
    block_text,
    digest_of,
    entry_text,
    statement_text,
    unfunded_digest,
    wrong_mac,
)
from colonnade.credits.statement_files import COLUMNS, RECORDS, Edged, Told, Unreadable, Values
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.secrets import Pepper

LATE: Final = timedelta(minutes=10)
"""What began in a month may be entered a little after its end; it stands in the next one then."""

_SAYS: Final = {
    "unreadable": "It is no statement of this house, or not written as one.",
    "tampered": "It is not what was sealed.",
    "missing": "An entry that belongs here is not there.",
    "misplaced": "It does not stand where it was sealed.",
    "wrong_total": "It is not what the lines come to.",
    "other_key": "It was signed under a secret that is not known here.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong: what, and where."""

    problem: str
    where: str
    id: str | None = None

    @property
    def says(self) -> str:
        """The same in a sentence."""
        return _SAYS[self.problem]


class Wrong(Exception):
    """What is wrong with a statement."""

    def __init__(self, problem: str, where: str, identity: str | None = None) -> None:
        super().__init__(problem)
        self.finding = Finding(problem, where, identity)


@dataclass(frozen=True, slots=True)
class StatementVerdict:
    """What was found in a file: whose statement it is, how much stands in it, and what is wrong, if anything."""

    statement: Statement | None
    lines: int
    blocks: int
    unfunded_left_out: int
    """Events that nothing paid for and that the house no longer keeps one by one."""
    bad: Finding | None

    @property
    def ok(self) -> bool:
        """Whether all of it is as it was sealed."""
        return self.bad is None


class Follower:
    """Follows the lines of a statement through the blocks of their chain, and adds them up."""

    def __init__(self, statement: Statement, blocks: Sequence[Edged]) -> None:
        self._statement = statement
        self._chain = Chain(statement.agency_id, statement.account_id)
        self._blocks = list(blocks)
        self._next = statement.from_version
        self._number = 0
        self._digests: list[bytes] = list(blocks[0].before or ()) if blocks else []
        self._balance: int | None = None
        self.totals = Totals()
        _in_a_row(statement, blocks)

    def take(self, told: Told) -> None:
        """The next line; it must be just what comes next."""
        line, where = told.line, f"entry {told.line.account_version}"
        sealed = digest_of(entry_text(self._statement.agency_id, line))
        if told.digest != sealed:
            raise Wrong("tampered", where, line.id)
        if self._next is None or line.account_version < self._next:
            raise Wrong("misplaced", where, line.id)
        if line.account_version > self._next:
            raise Wrong("missing", f"entry {self._next}", None)
        if self._balance is not None and line.balance_after != self._balance + line.amount:
            raise Wrong("tampered", where, line.id)
        if not self._statement.starts_at - LATE <= line.at < self._statement.ends_at:
            raise Wrong("misplaced", where, line.id)
        self._add(line)
        self._digests.append(sealed)
        self._next += 1
        self._close_block()

    def end(self) -> Totals:
        """What the lines came to; there must be no more of them."""
        if self._next is not None and self._next != (self._statement.to_version or 0) + 1:
            raise Wrong("missing", f"entry {self._next}")
        if self._number != len(self._blocks):
            raise Wrong("missing", f"block {_name(self._blocks[self._number])}")
        return self.totals

    def _add(self, line: Line) -> None:
        totals, amount = self.totals, line.amount
        if self._balance is None:
            totals = replace(totals, opening=MilliCredits(line.balance_after - amount))
        charged, refunded = MilliCredits(max(amount, 0)), MilliCredits(max(-amount, 0))
        self.totals = replace(
            totals,
            charged=MilliCredits(totals.charged + charged),
            refunded=MilliCredits(totals.refunded + refunded),
        )
        self._balance = line.balance_after

    def _close_block(self) -> None:
        edged = self._blocks[self._number]
        end = min(edged.block.to_version, self._statement.to_version or 0)
        if self._next is None or self._next <= end:
            return
        block = edged.block
        digests = [*self._digests, *(edged.after or ())]
        made = self._chain.hash_of(block.from_version, block.previous_hash, digests)
        if made != block.hash or len(digests) != block.to_version - block.from_version + 1:
            raise Wrong("tampered", f"block {_name(edged)}")
        self._number, self._digests = self._number + 1, []


def _name(edged: Edged) -> str:
    return f"of entries {edged.block.from_version} to {edged.block.to_version}"


def _in_a_row(statement: Statement, blocks: Sequence[Edged]) -> None:
    """The blocks follow one another without a gap, from the statement's first entry to its last."""
    first, last = statement.from_version, statement.to_version
    if first is None or last is None:
        if blocks or last != first or statement.head_hash is not None or statement.previous_hash is not None:
            raise Wrong("misplaced", "the blocks of a statement without lines")
        return
    previous, version = statement.previous_hash, 0
    for edged in blocks:
        block = edged.block
        if block.previous_hash != previous or (version and block.from_version != version + 1):
            raise Wrong("misplaced", f"block {_name(edged)}")
        if block.from_version > block.to_version or not (block.to_version >= first and block.from_version <= last):
            raise Wrong("misplaced", f"block {_name(edged)}")
        edges = len(edged.before or ()), len(edged.after or ())
        if edges != (max(first - block.from_version, 0), max(block.to_version - last, 0)):
            raise Wrong("misplaced", f"block {_name(edged)}")
        previous, version = block.hash, block.to_version
    if not blocks or version < last or blocks[0].block.from_version > first:
        raise Wrong("missing", "a block")
    if previous != statement.head_hash:
        raise Wrong("misplaced", "the end of the chain")


def check_signatures(
    pepper: Pepper, statement: Statement, blocks: Sequence[Edged], *, known_only: bool = False
) -> None:
    """Whether the statement and its blocks were signed by this house; `known_only` passes over keys that are gone."""
    problem = wrong_mac(pepper, statement_text(statement), statement.mac, statement.key_id)
    if problem is not None:
        raise Wrong(problem, "the statement's head", statement.id)
    for edged in blocks:
        block = edged.block
        problem = wrong_mac(pepper, block_text(block.hash), block.mac, block.key_id)
        if problem is not None and not (known_only and problem == "other_key"):
            raise Wrong(problem, f"block {_name(edged)}")


Record = tuple[str, Values]


class _Reader:
    """Takes the records of a file in their order."""

    def __init__(self, pepper: Pepper | None) -> None:
        self._pepper = pepper
        self.statement: Statement | None = None
        self.closing: int | None = None
        self.blocks: list[Edged] = []
        self.records = 0
        self.lines = 0
        self.events = 0
        self._cost = 0
        self._digest: bytes | None = None
        self._follower: Follower | None = None
        self._seen = ""

    def take(self, record: Record) -> None:
        """The next record."""
        name, values = record
        self.records += 1
        if list(RECORDS).index(name) < list(RECORDS).index(self._seen or "statement"):
            raise Wrong("misplaced", f"a {name} behind a {self._seen}")
        if (name == "statement") != (self.statement is None):
            raise Wrong("unreadable", "the statement's head")
        self._seen = name
        if name == "statement":
            self.statement, self.closing = files.head_of(values)
        elif name == "block":
            self.blocks.append(files.block_of(values))
        elif name == "line":
            self.lines += 1
            self._followed().take(files.line_of(self._of(), values))
        else:
            self._count(files.unfunded_of(values))

    def end(self) -> int:
        """Compare with the head what was found; how many unpaid events are told of in sum alone."""
        statement = self._of()
        found = self._followed().end()
        told = statement.totals
        if statement.from_version is None:
            found = replace(found, opening=told.opening)
        for name in ("opening", "charged", "refunded"):
            if getattr(found, name) != getattr(told, name):
                raise Wrong("wrong_total", f"`{name}`")
        if self.closing != told.closing:
            raise Wrong("wrong_total", "`closing`")
        self._compare_events(told, statement.unfunded_digest)
        if self._pepper is not None:
            check_signatures(self._pepper, statement, self.blocks)
        return told.unfunded_events - self.events

    def _compare_events(self, told: Totals, digest: bytes | None) -> None:
        if self.events == 0:
            return  # those are kept for as long as usage is; the head, which is signed, goes on telling of them
        if self.events != told.unfunded_events:
            raise Wrong("missing", "the unfunded events")
        if self._digest != digest:
            raise Wrong("tampered", "the unfunded events")
        if self._cost != told.unfunded_cost:
            raise Wrong("wrong_total", "`unfundedCost`")

    def _of(self) -> Statement:
        if self.statement is None:
            raise Wrong("unreadable", "the statement's head")
        return self.statement

    def _followed(self) -> Follower:
        if self._follower is None:
            self._follower = Follower(self._of(), self.blocks)
        return self._follower

    def _count(self, event: Unfunded) -> None:
        self.events += 1
        self._cost += event.would_cost
        self._digest = unfunded_digest(self._digest, self._of().workspace_id, event)


def check_statement(file: TextIO, pepper: Pepper | None = None) -> StatementVerdict:
    """Check a statement in JSON or CSV; what is wrong first is named. With the installation's keys the signatures, too.

    A table is read row by row; JSON is taken in whole.
    """
    reader = _Reader(pepper)
    left_out, bad = 0, None
    try:
        for record in _records(file):
            reader.take(record)
        left_out = reader.end()
    except Wrong as wrong:
        bad = wrong.finding
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError, RecursionError, csv.Error, Unreadable):
        bad = Finding("unreadable", f"record {reader.records + 1}")
    return StatementVerdict(reader.statement, reader.lines, len(reader.blocks), left_out, bad)


def _records(file: TextIO) -> Iterator[Record]:
    start = file.read(1)
    file.seek(0)
    return _of_json(file) if start == "{" else _of_table(file)


_PARTS: Final = {"blocks": "block", "lines": "line", "unfunded": "unfunded"}


def _of_json(file: TextIO) -> Iterator[Record]:
    found = json.load(file, object_pairs_hook=_once, parse_float=_plain)
    if set(found) != {"statement", *_PARTS}:
        raise Unreadable
    yield "statement", files.read_json("statement", found["statement"])
    for part, name in _PARTS.items():
        for one in found[part]:
            yield name, files.read_json(name, one)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable  # a name that stands twice is read differently by different readers
    return found


def _plain(text: str) -> str:
    return text


def _of_table(rows: Iterable[str]) -> Iterator[Record]:
    table = csv.reader(rows, strict=True)
    if tuple(next(table, ())) != COLUMNS:
        raise Unreadable
    for row in table:
        yield files.read_cells(row)
