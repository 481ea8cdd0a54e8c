"""How a statement stands in a file, as JSON or as CSV, and how it is read from one: every field once, both ways. Pure.

Reading takes nothing for granted: what was written otherwise than here is unreadable, whatever it may mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from colonnade.credits.ledger_seals import (
    STATEMENT_VERSION,
    Block,
    Line,
    Statement,
    Totals,
    Unfunded,
    digest_of,
    entry_text,
    exact,
)
from colonnade.ground.core.amounts import MilliCredits, to_number, to_text
from colonnade.ground.core.csv_text import Cell


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: as JSON, as a cell of a table, and read from either of them."""

    json: Callable[[Any], Any]
    cell: Callable[[Any], Cell]
    read: Callable[[Any], Any]


class Unreadable(Exception):
    """What stands there was not written by this house."""


def _text_cell(text: str) -> str:
    """An empty text, and one that begins with an apostrophe, are told apart from a cell without any and from what a
    table puts before a formula."""
    return f"'{text}" if not text or text.startswith("'") else text


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable
    return value


def _read_whole(value: Any) -> int:
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and str(int(value)) == value:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable
    return value


def _read_number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Unreadable
    number = Decimal(str(value))
    if not number.is_finite() or number * 1000 != (number * 1000).to_integral_value():
        raise Unreadable
    if isinstance(value, str) and format(number, "f") != value:
        raise Unreadable
    return number


def _read_amount(value: Any) -> MilliCredits:
    amount = MilliCredits(int(_read_number(value) * 1000))
    if isinstance(value, str) and to_text(amount) != value:
        raise Unreadable
    return amount


def _read_instant(value: Any) -> datetime:
    at = datetime.fromisoformat(_read_text(value))
    if at.tzinfo is None or exact(at) != value:
        raise Unreadable
    return at.astimezone(UTC)


def _read_month(value: Any) -> date:
    if len(_read_text(value)) != 7:
        raise Unreadable
    return date.fromisoformat(f"{value}-01")


def _read_hex(value: Any) -> bytes:
    found = bytes.fromhex(_read_text(value))
    if len(found) != 32 or found.hex() != value:
        raise Unreadable
    return found


def _read_hashes(value: Any) -> tuple[bytes, ...]:
    return tuple(_read_hex(one) for one in (value.split(" ") if isinstance(value, str) else value))


def month_text(month: date) -> str:
    """A month as paths and files name it."""
    return month.isoformat()[:7]


def _number_json(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def _same(value: Any) -> Any:
    return value


TEXT: Final = Kind(_same, _text_cell, _read_text)
WHOLE: Final = Kind(_same, _same, _read_whole)
AMOUNT: Final = Kind(to_number, to_text, _read_amount)
QUANTITY: Final = Kind(_number_json, lambda number: format(number, "f"), _read_number)
INSTANT: Final = Kind(exact, exact, _read_instant)
MONTH: Final = Kind(month_text, month_text, _read_month)
HASH: Final = Kind(bytes.hex, bytes.hex, _read_hex)
HASHES: Final = Kind(
    lambda hashes: [one.hex() for one in hashes], lambda hashes: " ".join(one.hex() for one in hashes), _read_hashes
)


@dataclass(frozen=True, slots=True)
class Edged:
    """A block as a statement shows it: what lies in it before the first line or behind the last is digests alone."""

    block: Block
    before: tuple[bytes, ...] | None = None
    after: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A line with the digest of what it is sealed as."""

    line: Line
    digest: bytes

    @classmethod
    def of(cls, agency_id: str, line: Line) -> "Told":
        """The line of an entry of this agency."""
        return cls(line, digest_of(entry_text(agency_id, line)))


@dataclass(frozen=True, slots=True)
class Field:
    """Where a noun has the value of a field, and what kind of value that is."""

    place: str
    kind: Kind
    optional: bool = False


Fields = Mapping[str, Field]

LINE: Final[Fields] = {
    "version": Field("line.account_version", WHOLE),
    "at": Field("line.at", INSTANT),
    "kind": Field("line.kind", TEXT),
    "amount": Field("line.amount", AMOUNT),
    "feature": Field("line.feature", TEXT, optional=True),
    "quantity": Field("line.quantity", QUANTITY, optional=True),
    "unitPrice": Field("line.unit_price", AMOUNT, optional=True),
    "priceVersion": Field("line.price_version", WHOLE, optional=True),
    "rule": Field("line.rule", TEXT),
    "invocationId": Field("line.run_id", TEXT, optional=True),
    "keyId": Field("line.key_id", TEXT, optional=True),
    "source": Field("line.source", TEXT),
    "reference": Field("line.reference", TEXT, optional=True),
    "model": Field("line.model", TEXT, optional=True),
    "actorId": Field("line.actor_id", TEXT),
    "actorName": Field("line.actor_name", TEXT, optional=True),
    "balanceAfter": Field("line.balance_after", AMOUNT),
    "id": Field("line.id", TEXT),
    "transferId": Field("line.transfer_id", TEXT),
    "holdId": Field("line.hold_id", TEXT, optional=True),
    "chargeId": Field("line.charge_id", TEXT, optional=True),
    "grantId": Field("line.grant_id", TEXT, optional=True),
    "requestId": Field("line.request_id", TEXT),
    "digest": Field("digest", HASH),
}
UNFUNDED: Final[Fields] = {
    "id": Field("id", TEXT),
    "at": Field("at", INSTANT),
    "feature": Field("feature", TEXT),
    "quantity": Field("quantity", QUANTITY),
    "wouldCost": Field("would_cost", AMOUNT),
    "keyId": Field("key_id", TEXT, optional=True),
    "model": Field("model", TEXT, optional=True),
    "source": Field("source", TEXT, optional=True),
    "externalId": Field("external_id", TEXT, optional=True),
}
BLOCK: Final[Fields] = {
    "fromVersion": Field("block.from_version", WHOLE),
    "toVersion": Field("block.to_version", WHOLE),
    "previousHash": Field("block.previous_hash", HASH, optional=True),
    "hash": Field("block.hash", HASH),
    "signature": Field("block.mac", HASH),
    "signatureKeyId": Field("block.key_id", WHOLE),
    "before": Field("before", HASHES, optional=True),
    "after": Field("after", HASHES, optional=True),
}
HEAD: Final[Fields] = {
    "format": Field("format", TEXT),
    "id": Field("id", TEXT),
    "agencyId": Field("agency_id", TEXT),
    "workspaceId": Field("workspace_id", TEXT),
    "month": Field("month", MONTH),
    "timezone": Field("zone", TEXT),
    "startsAt": Field("starts_at", INSTANT),
    "endsAt": Field("ends_at", INSTANT),
    "opening": Field("totals.opening", AMOUNT),
    "charged": Field("totals.charged", AMOUNT),
    "refunded": Field("totals.refunded", AMOUNT),
    "closing": Field("totals.closing", AMOUNT),
    "unfundedEvents": Field("totals.unfunded_events", WHOLE),
    "unfundedCost": Field("totals.unfunded_cost", AMOUNT),
    "unfundedDigest": Field("unfunded_digest", HASH, optional=True),
    "fromVersion": Field("from_version", WHOLE, optional=True),
    "toVersion": Field("to_version", WHOLE, optional=True),
    "previousHash": Field("previous_hash", HASH, optional=True),
    "headHash": Field("head_hash", HASH, optional=True),
    "createdAt": Field("made_at", INSTANT),
    "signature": Field("mac", HASH),
    "signatureKeyId": Field("key_id", WHOLE),
}
RECORDS: Final[Mapping[str, Fields]] = {"statement": HEAD, "block": BLOCK, "line": LINE, "unfunded": UNFUNDED}
"""What a file holds, in this order; the name stands in the first column of a table."""

COLUMNS: Final = ("record", *dict.fromkeys(name for fields in (LINE, UNFUNDED, HEAD, BLOCK) for name in fields))

Values = dict[str, Any]
"""The fields of one record by where a noun has them; a field that is none has no value."""

Noun = Statement | Edged | Told | Unfunded


def as_json(record: str, noun: Noun) -> dict[str, Any]:
    """The record as JSON values."""
    found = ((name, field.kind, attrgetter(field.place)(noun)) for name, field in RECORDS[record].items())
    return {name: None if value is None else kind.json(value) for name, kind, value in found}


def as_cells(record: str, noun: Noun) -> list[Cell]:
    """The record as a row of the table."""
    found = ((name, field.kind, attrgetter(field.place)(noun)) for name, field in RECORDS[record].items())
    cells = {name: kind.cell(value) for name, kind, value in found if value is not None}
    return [record, *(cells.get(name) for name in COLUMNS[1:])]


def read_json(record: str, found: Any) -> Values:
    """The record of its JSON values."""
    fields = RECORDS[record]
    if not isinstance(found, dict) or set(found) != set(fields):
        raise Unreadable
    return {field.place: _read(field, found[name]) for name, field in fields.items()}


def read_cells(row: Sequence[str]) -> tuple[str, Values]:
    """The name and the record of a row; the apostrophe that made its cells harmless is taken off."""
    if len(row) != len(COLUMNS) or row[0] not in RECORDS:
        raise Unreadable
    cells = dict(zip(COLUMNS, row, strict=True))
    fields = RECORDS[cells.pop("record")]
    if any(cell and name not in fields for name, cell in cells.items()):
        raise Unreadable
    return row[0], {field.place: _read(field, _uncovered(cells[name])) for name, field in fields.items()}


def _uncovered(cell: str) -> str | None:
    return cell.removeprefix("'") if cell else None


def _read(field: Field, value: Any) -> Any:
    if value is not None:
        return field.kind.read(value)
    if not field.optional:
        raise Unreadable
    return None


def _inside(values: Values, noun: str) -> Values:
    return {place.removeprefix(noun): value for place, value in values.items() if place.startswith(noun)}


def head_of(values: Values) -> tuple[Statement, int]:
    """The statement whose head this is, and what it says of its end; that is the sum of the other totals."""
    plain = {place: value for place, value in values.items() if "." not in place}
    if plain.pop("format") != STATEMENT_VERSION:
        raise Unreadable
    totals = _inside(values, "totals.")
    closing: int = totals.pop("closing")
    return Statement(**plain, totals=Totals(**totals)), closing


def block_of(values: Values) -> Edged:
    """The block of these fields."""
    return Edged(Block(**_inside(values, "block.")), values["before"], values["after"])


def line_of(statement: Statement, values: Values) -> Told:
    """The line of these fields, as an entry of the statement's account."""
    found = _inside(values, "line.")
    line = Line(account_id=statement.account_id, workspace_id=statement.workspace_id, **found)
    return Told(line, values["digest"])


def unfunded_of(values: Values) -> Unfunded:
    """The event of these fields."""
    return Unfunded(**values)
