"""The seal of the ledger: how entries of an account become blocks of a chain, and how a statement is signed. Pure.

Each account has a chain of its own. It is a plain SHA-256, so that anybody can follow it; what signs it is a key that
the database does not have.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from colonnade.ground.core.amounts import ZERO, MilliCredits
from colonnade.ground.core.secrets import Pepper

ENTRY_VERSION: Final = "colonnade.ledger.1"
BLOCK_VERSION: Final = "colonnade.ledger_block.1"
STATEMENT_VERSION: Final = "colonnade.statement.1"
UNFUNDED_VERSION: Final = "colonnade.unfunded.1"
"""Each names the way in which a text is made; another way gets another name."""

MOST_IN_BLOCK: Final = 1000

_PLACES: Final = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a movement: the account it changed, how that stood afterwards, and why it was allowed."""

    id: str
    transfer_id: str
    account_id: str
    account_version: int
    workspace_id: str | None
    amount: MilliCredits
    balance_after: MilliCredits
    at: datetime
    kind: str
    rule: str
    price_version: int | None
    unit_price: MilliCredits | None
    quantity: Decimal | None
    source: str
    reference: str | None
    feature: str | None
    model: str | None
    run_id: str | None
    grant_id: str | None
    hold_id: str | None
    charge_id: str | None
    key_id: str | None
    actor_id: str
    actor_name: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some entries of an account in a row, without a gap, linked to the block before them and signed."""

    from_version: int
    to_version: int
    previous_hash: bytes | None
    hash: bytes
    mac: bytes
    key_id: int


@dataclass(frozen=True, slots=True)
class Unfunded:
    """Work that was done elsewhere and that nothing could pay for: told, and charged nothing."""

    id: str
    source: str | None
    external_id: str | None
    feature: str
    model: str | None
    key_id: str | None
    quantity: Decimal
    would_cost: MilliCredits
    at: datetime


@dataclass(frozen=True, slots=True)
class Totals:
    """What the lines of a statement add up to."""

    opening: MilliCredits = ZERO
    charged: MilliCredits = ZERO
    refunded: MilliCredits = ZERO
    unfunded_events: int = 0
    unfunded_cost: MilliCredits = ZERO

    @property
    def closing(self) -> int:
        """What the workspace had used since its first day, at the end of the month."""
        return self.opening + self.charged - self.refunded


@dataclass(frozen=True, slots=True)
class Statement:
    """What one month of a workspace came to, and between which places of its chain that lies; none without charges."""

    agency_id: str
    workspace_id: str
    id: str
    month: date
    zone: str
    starts_at: datetime
    ends_at: datetime
    from_version: int | None
    to_version: int | None
    totals: Totals
    unfunded_digest: bytes | None
    previous_hash: bytes | None
    """Where the chain stood before the first block of the statement."""
    head_hash: bytes | None
    """Where it stood behind the last one."""
    made_at: datetime
    mac: bytes
    key_id: int

    @property
    def account_id(self) -> str:
        """Whose entries its lines are."""
        return f"used:{self.workspace_id}"

    @property
    def format(self) -> str:
        """How it is made."""
        return STATEMENT_VERSION


def flat_json(values: Sequence[str | int | None]) -> str:
    """The one text for a list of plain values."""
    return json.dumps(list(values), separators=(",", ":"))


def exact(at: datetime) -> str:
    """An instant as it is sealed: in UTC, with all its microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def exact_number(number: Decimal | int | None) -> str | None:
    """A quantity as it is sealed: with three places, whoever wrote it how."""
    return None if number is None else format(Decimal(number).quantize(_PLACES), "f")


def entry_text(agency_id: str, line: Line) -> str:
    """What an entry is sealed as: all of it and of its transfer that tells what was moved, why, and by whom."""
    place = (ENTRY_VERSION, agency_id, line.workspace_id, line.account_id, line.account_version, line.id)
    moved = (line.amount, line.balance_after, exact(line.at), line.transfer_id, line.kind, line.rule)
    priced = [line.price_version, line.unit_price, exact_number(line.quantity)]
    about = [line.source, line.reference, line.feature, line.model, line.run_id, line.grant_id]
    by = [line.hold_id, line.charge_id, line.key_id, line.actor_id, line.actor_name, line.request_id]
    return flat_json([*place, *moved, *priced, *about, *by])


def digest_of(text: str) -> bytes:
    """The digest that stands for a sealed text."""
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Chain:
    """The account whose chain it is."""

    agency_id: str
    account_id: str

    def hash_of(self, first_version: int, previous: bytes | None, digests: Sequence[bytes]) -> bytes:
        """The hash of the block of these entries, the first of which has this version."""
        last_version = first_version + len(digests) - 1
        place = (BLOCK_VERSION, self.agency_id, self.account_id, first_version, last_version)
        linked = flat_json([*place, None if previous is None else previous.hex(), *(one.hex() for one in digests)])
        return digest_of(linked)


def block_text(block_hash: bytes) -> str:
    """What the signature of a block is made of; its hash says already whose it is and where it stands."""
    return flat_json(["colonnade.ledger_link.1", block_hash.hex()])


def blocks_of(pepper: Pepper, chain: Chain, after: Block | None, digests: Sequence[bytes]) -> list[Block]:
    """The next entries of an account in blocks behind the last one, each signed with the current key."""
    version, previous = (0, None) if after is None else (after.to_version, after.hash)
    made: list[Block] = []
    for start in range(0, len(digests), MOST_IN_BLOCK):
        part = digests[start : start + MOST_IN_BLOCK]
        block_hash = chain.hash_of(version + 1, previous, part)
        mac = pepper.digest(block_text(block_hash))
        made.append(Block(version + 1, version + len(part), previous, block_hash, mac, pepper.current))
        version, previous = version + len(part), block_hash
    return made


def unfunded_text(workspace_id: str, event: Unfunded) -> str:
    """What work that nothing paid for is told as."""
    who = [event.id, event.source, event.external_id, event.key_id, exact(event.at)]
    what = [event.feature, event.model, exact_number(event.quantity), event.would_cost]
    return flat_json([UNFUNDED_VERSION, workspace_id, *who, *what])


def unfunded_digest(previous: bytes | None, workspace_id: str, event: Unfunded) -> bytes:
    """One digest over all such events up to this one, in their order."""
    before = None if previous is None else previous.hex()
    return digest_of(flat_json([before, unfunded_text(workspace_id, event)]))


def statement_text(statement: Statement) -> str:
    """What the signature of a statement is made of: all that stands in its head."""
    one, totals = statement, statement.totals
    hashes = [None if each is None else each.hex() for each in (one.unfunded_digest, one.previous_hash, one.head_hash)]
    whose = [STATEMENT_VERSION, one.agency_id, one.workspace_id, one.id, one.month.isoformat(), one.zone]
    span = [exact(one.starts_at), exact(one.ends_at), one.from_version, one.to_version, exact(one.made_at)]
    sums = [totals.opening, totals.charged, totals.refunded, totals.unfunded_events, totals.unfunded_cost]
    return flat_json([*whose, *span, *sums, *hashes])


def wrong_mac(pepper: Pepper, text: str, mac: bytes, key_id: int) -> str | None:
    """`other_key` where the key is not known here, `tampered` where it is and the signature is another one."""
    if key_id not in pepper.keys:
        return "other_key"
    return None if hmac.compare_digest(pepper.digest(text, key_id), mac) else "tampered"
