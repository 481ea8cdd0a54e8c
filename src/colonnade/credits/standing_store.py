"""How an agency's credits are opened, locked or only looked at, by one call."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from colonnade.credits.books import Account
from colonnade.credits.hold_store import to_hold
from colonnade.credits.lots import Draw, Lot, Pool
from colonnade.credits.model import Cycle, Hold
from colonnade.credits.rules import Alert, Cap, Tally
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Tx

OPEN: Final = """
select credits_open($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                    $9::bigint[], $10)
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be opened, in the arrays that the database takes."""

    workspaces: Sequence[str]
    keys: Sequence[str]
    subjects: Sequence[str]
    references: Sequence[tuple[str, str]]
    holds: Sequence[str]
    grants: Sequence[str]
    known: Mapping[str, int]


async def open_credits(tx: Tx, asked: Asked, *, locking: bool) -> Mapping[str, Any]:
    """All that decides about the agency's credits, as JSON; locked until the transaction ends, if that is wanted."""
    found: Mapping[str, Any] = await tx.fetchval(
        OPEN,
        asked.workspaces,
        asked.keys,
        asked.subjects,
        [source for source, _ in asked.references],
        [reference for _, reference in asked.references],
        asked.holds,
        asked.grants,
        list(asked.known),
        list(asked.known.values()),
        locking,
    )
    return found


def instant(text: str) -> datetime:
    """An instant out of JSON."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _optional(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def cycle(told: Sequence[str]) -> Cycle:
    """A cycle out of JSON."""
    starts_on, starts_at, ends_at = told
    return Cycle(date.fromisoformat(starts_on), instant(starts_at), instant(ends_at))


def accounts(told: Collection[Sequence[Any]] | None) -> dict[str, Account]:
    """Accounts out of JSON, by name."""
    return {
        name: Account(name, workspace_id, balance, version, instant(at))
        for name, workspace_id, balance, version, at in told or ()
    }


def pools(told: Collection[Sequence[Any]] | None) -> dict[str, Pool]:
    """Pools with their lots, in the order of spending, out of JSON."""
    found: dict[str, Pool] = {}
    for name, grant_id, remaining, expires_at, priority in told or ():
        lot = Lot(grant_id, MilliCredits(remaining), _optional(expires_at), priority)
        found.setdefault(name, Pool(name)).lots.append(lot)
    return found


def caps(told: Collection[Sequence[Any]] | None) -> list[Cap]:
    """Caps out of JSON."""
    return [
        Cap(name, level, workspace_id, key_id, feature, MilliCredits(credits))
        for name, level, workspace_id, key_id, feature, credits in told or ()
    ]


def tallies(told: Collection[Sequence[Any]] | None) -> dict[str, Tally]:
    """Tallies out of JSON, by subject."""
    return {subject: Tally(MilliCredits(taken), MilliCredits(used)) for subject, taken, used in told or ()}


def alerts(told: Collection[Sequence[Any]] | None) -> list[Alert]:
    """Alerts out of JSON."""
    return [Alert(name, workspace_id, percent, tuple(channels)) for name, workspace_id, percent, channels in told or ()]


def draws(told: Collection[Sequence[Any]] | None) -> dict[str, Sequence[Draw]]:
    """What holds drew on, out of JSON, by hold."""
    found: dict[str, list[Draw]] = {}
    for hold_id, grant_id, amount in told or ():
        found.setdefault(hold_id, []).append(Draw(grant_id, MilliCredits(amount)))
    return dict(found)


def hold(told: Mapping[str, Any]) -> Hold:
    """A hold out of JSON, which knows neither dates nor exact numbers."""
    values = {
        "cycle": date.fromisoformat(told["cycle"]),
        "expires_at": _optional(told["expires_at"]),
        "settled_at": _optional(told["settled_at"]),
        "created_at": instant(told["created_at"]),
        "quantity": None if told["quantity"] is None else Decimal(told["quantity"]),
    }
    return to_hold({**told, **values})
