"""Double entry: movements between locked accounts, gathered in memory and written as one batch. Decides nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from colonnade.credits.lots import Draw
from colonnade.credits.model import HOUSE, AccountKind, Quantity, TransferKind
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.ids import new_id
from colonnade.tenancy import audit

_CHARGES: Final = (TransferKind.CAPTURE, TransferKind.CHARGE)
_KEYS: Final = (CallerKind.AGENCY_KEY, CallerKind.WORKSPACE_KEY)


@dataclass(slots=True)
class Account:
    """An account whose row this transaction has locked."""

    id: str
    workspace_id: str | None
    balance: int
    version: int
    updated_at: datetime | None = None


@dataclass(slots=True)  # many of them in a moment: frozen ones take longer to make
class Movement:
    """A positive amount from one account to another, and all that the ledger remembers about why."""

    kind: TransferKind
    amount: MilliCredits
    from_account: str
    to_account: str
    rule: str
    workspace_id: str | None = None
    reference: str | None = None
    feature: str | None = None
    run_id: str | None = None
    grant_id: str | None = None
    hold_id: str | None = None
    price_version: int | None = None
    source: str = HOUSE
    model: str | None = None
    quantity: Quantity | None = None
    unit_price: MilliCredits | None = None
    charge_id: str | None = None
    cycle: date | None = None
    draws: Sequence[Draw] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """Who moves credits, and in which request."""

    actor_id: str
    actor_name: str
    key_id: str | None
    request_id: str
    address: str | None = None

    @classmethod
    def of(cls, caller: Caller) -> "Signature":
        """The caller's own."""
        address = audit.known_address(caller.address)
        return cls(caller.actor_id, caller.actor_name, key_of(caller), caller.request_id, address)


@dataclass(slots=True)  # many of them in a moment: frozen ones take longer to make
class Transfer:
    """A movement that was entered, under its id, and by whom."""

    id: str
    movement: Movement
    by: Signature


@dataclass(slots=True)  # many of them in a moment: frozen ones take longer to make
class Entry:
    """One side of a transfer: the account's change and how it stands after it. It gets its id when it is written."""

    transfer_id: str
    account_id: str
    workspace_id: str | None
    amount: int
    balance_after: int
    account_version: int


class Books:
    """The open books of one command: accounts that are locked, and what was entered on them so far."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.transfers: list[Transfer] = []
        self.entries: list[Entry] = []

    def enter(self, movement: Movement, by: Signature, name: str | None = None) -> str:
        """Enter the movement on both accounts; the id of the transfer. What costs nothing moves nothing."""
        transfer = Transfer(name or new_id("chg" if movement.kind in _CHARGES else "xfer"), movement, by)
        self.transfers.append(transfer)
        if not movement.amount:
            return transfer.id
        self._post(transfer, movement.from_account, -movement.amount)
        self._post(transfer, movement.to_account, movement.amount)
        return transfer.id

    def changed(self) -> list[Account]:
        """The accounts that were entered upon, in the order in which rows are always taken."""
        names = {entry.account_id for entry in self.entries}
        return [self.accounts[name] for name in sorted(names)]

    def _post(self, transfer: Transfer, account_id: str, amount: int) -> None:
        account = self.accounts[account_id]
        account.balance += amount
        account.version += 1
        is_issued = account_id == AccountKind.ISSUED.value
        assert (account.balance <= 0) if is_issued else (account.balance >= 0), f"{account_id} would change its sign"
        self.entries.append(
            Entry(
                transfer_id=transfer.id,
                account_id=account_id,
                workspace_id=account.workspace_id,
                amount=amount,
                balance_after=account.balance,
                account_version=account.version,
            )
        )


def key_of(caller: Caller) -> str | None:
    """The id of the key that calls, if it is one."""
    return caller.actor_id if caller.kind in _KEYS else None
