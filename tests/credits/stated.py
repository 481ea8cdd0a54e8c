"""Statements made by hand, as the house would make them: for what is to be found in them without a database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from colonnade.credits.ledger_seals import (
    Block,
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
)
from colonnade.credits.statement_files import COLUMNS, Edged, Told, as_cells, as_json
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.csv_text import csv_text
from colonnade.ground.core.secrets import Pepper
from tests.conftest import PEPPER

AGENCY = "agency_01k3n5q7s9v1x3z5b7d9f1h3ja"
WORKSPACE = "ws_01k3n5q7s9v1x3z5b7d9f1h3j7"
STARTS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "'",
    "'=1+1",
    "''",
    "",
    'a "b", c\r\nd',
    "é\u202e\U0001f600",
    "<b>",
)


@dataclass(frozen=True)
class Made:
    """A statement in all its parts."""

    head: Statement
    blocks: Sequence[Edged]
    lines: Sequence[Told]
    unfunded: Sequence[Unfunded]

    def as_json(self) -> str:
        return json.dumps(
            {
                "statement": as_json("statement", self.head),
                "blocks": [as_json("block", one) for one in self.blocks],
                "lines": [as_json("line", one) for one in self.lines],
                "unfunded": [as_json("unfunded", one) for one in self.unfunded],
            }
        )

    def as_csv(self) -> str:
        rows = [as_cells("statement", self.head), *(as_cells("block", one) for one in self.blocks)]
        rows += [as_cells("line", one) for one in self.lines]
        return csv_text([COLUMNS, *rows, *(as_cells("unfunded", one) for one in self.unfunded)])


def a_line(version: int, amount: int, balance: int, workspace_id: str = WORKSPACE) -> Line:
    """A charge, or a refund where the amount is negative; every other one with something hostile in its names."""
    name = HOSTILE[version % len(HOSTILE)] if version % 2 else f"order {version}"
    return Line(
        id=f"led_{version:026}",
        transfer_id=f"chg_{version:026}",
        account_id=f"used:{workspace_id}",
        account_version=version,
        workspace_id=workspace_id,
        amount=MilliCredits(amount),
        balance_after=MilliCredits(balance),
        at=STARTS + timedelta(minutes=5 * version, microseconds=version),
        kind="charge" if amount > 0 else "refund",
        rule="agency pool",
        price_version=version % 3 or None,
        unit_price=MilliCredits(125) if version % 3 else None,
        quantity=Decimal("1.5") if version % 3 else None,
        source=name or "crm",
        reference=name,
        feature="generation",
        model=HOSTILE[-version % len(HOSTILE)],
        run_id=None,
        grant_id="grant_1",
        hold_id=None,
        charge_id=None if amount > 0 else f"chg_{version - 1:026}",
        key_id="key_1",
        actor_id="key_1",
        actor_name=name,
        request_id=f"req_{version}",
    )


def blocks_of(lines: Sequence[Line], sizes: Sequence[int], pepper: Pepper = PEPPER) -> list[Block]:
    """The chain of all the lines of an account, in blocks of these sizes."""
    chain = Chain(AGENCY, lines[0].account_id)
    digests = [digest_of(entry_text(AGENCY, line)) for line in lines]
    blocks: list[Block] = []
    for end in accumulate(sizes):
        start, previous = (blocks[-1].to_version, blocks[-1].hash) if blocks else (0, None)
        made = chain.hash_of(start + 1, previous, digests[start:end])
        blocks.append(Block(start + 1, end, previous, made, pepper.digest(block_text(made)), pepper.current))
    return blocks


def all_lines(amounts: Sequence[int], workspace_id: str = WORKSPACE) -> list[Line]:
    """The whole account."""
    balances = list(accumulate(amounts))
    return [
        a_line(n, amount, balance, workspace_id)
        for n, (amount, balance) in enumerate(zip(amounts, balances, strict=True), 1)
    ]


def events(count: int) -> list[Unfunded]:
    """So many that nothing paid for."""
    return [
        Unfunded(
            f"evt_{n:026}",
            "crm",
            HOSTILE[n % len(HOSTILE)],
            "analytics",
            None,
            "key_1",
            Decimal(n),
            MilliCredits(10),
            STARTS,
        )
        for n in range(count)
    ]


def _digest_over(unpaid: Sequence[Unfunded]) -> bytes | None:
    digest: bytes | None = None
    for event in unpaid:
        digest = unfunded_digest(digest, WORKSPACE, event)
    return digest


def a_statement(
    amounts: Sequence[int] = (1500, 200, 300, -200, 700, 1, 5),
    sizes: Sequence[int] = (1, 3, 3),
    span: tuple[int, int] = (3, 6),
    unfunded: int = 2,
    pepper: Pepper = PEPPER,
) -> Made:
    """The statement of the entries of this span of an account with these amounts, sealed in blocks of these sizes."""
    first, last = span
    lines = all_lines(amounts)
    blocks = [
        block for block in blocks_of(lines, sizes, pepper) if block.to_version >= first and block.from_version <= last
    ]
    digests = [digest_of(entry_text(AGENCY, line)) for line in lines]
    edged = [
        Edged(
            block,
            tuple(digests[block.from_version - 1 : first - 1]) or None,
            tuple(digests[last : block.to_version]) or None,
        )
        for block in blocks
    ]
    told, unpaid = lines[first - 1 : last], events(unfunded)
    head = Statement(
        agency_id=AGENCY,
        workspace_id=WORKSPACE,
        id="stmt_1",
        month=date(2026, 1, 1),
        zone="UTC",
        starts_at=STARTS,
        ends_at=ENDS,
        from_version=first,
        to_version=last,
        totals=Totals(
            MilliCredits(sum(amounts[: first - 1])),
            MilliCredits(sum(line.amount for line in told if line.amount > 0)),
            MilliCredits(-sum(line.amount for line in told if line.amount < 0)),
            unfunded,
            MilliCredits(10 * unfunded),
        ),
        unfunded_digest=_digest_over(unpaid),
        previous_hash=blocks[0].previous_hash,
        head_hash=blocks[-1].hash,
        made_at=ENDS + timedelta(minutes=10),
        mac=b"",
        key_id=pepper.current,
    )
    signed = replace(head, mac=pepper.digest(statement_text(head)))
    return Made(signed, edged, [Told.of(AGENCY, line) for line in told], unpaid)
