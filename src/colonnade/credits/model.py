"""The nouns of credits: accounts, grants, holds, usage, cycles, prices; and the rules that need no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from colonnade.ground.core.amounts import MOST, ZERO, MilliCredits, from_decimal

Quantity = int | Decimal
"""How many units of a feature: posts, calls, keywords."""


class AccountKind(Enum):
    """What an account is for; its balance never has the other sign."""

    ISSUED = "issued"
    POOL = "pool"
    HELD = "held"
    USED = "used"


class Source(Enum):
    """Whose pool pays for a workspace."""

    AGENCY = "agency"
    WORKSPACE = "workspace"


class TransferKind(Enum):
    """Why credits moved."""

    GRANT = "grant"
    TRANSFER = "transfer"
    HOLD = "hold"
    CAPTURE = "capture"
    CHARGE = "charge"
    RELEASE = "release"
    EXPIRE = "expire"
    REFUND = "refund"
    BORROW = "borrow"
    RETURN = "return"
    CORRECT = "correct"


class HoldState(Enum):
    """Open until it is settled for what was used, or released because nothing was."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


def account_id(kind: AccountKind, workspace_id: str | None = None) -> str:
    """The name of an account tells its kind and its workspace; without one it is the agency's own."""
    return kind.value if workspace_id is None else f"{kind.value}:{workspace_id}"


def pool_id(source: Source, workspace_id: str) -> str:
    """The pool that pays for the workspace."""
    return account_id(AccountKind.POOL, workspace_id if source is Source.WORKSPACE else None)


HOUSE: Final = "house"
"""The source of the house's own references; callers name theirs otherwise."""

ISSUED_ID: Final = account_id(AccountKind.ISSUED)
AGENCY_POOL_ID: Final = account_id(AccountKind.POOL)


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits that were put into a pool; what of them is neither held nor used remains."""

    id: str
    workspace_id: str | None
    amount: MilliCredits
    remaining: MilliCredits
    expires_at: datetime | None
    priority: int
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """The wish to set credits aside for work to come; the reference makes a repeat the same hold.

    `parts` tells how much of it is for which feature, where that is not all for the one: caps count it so.
    """

    workspace_id: str
    amount: MilliCredits
    feature: str
    reference: str
    run_id: str | None = None
    expires_at: datetime | None = None
    parts: Mapping[str, MilliCredits] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= MOST:
            raise ValueError("a hold's amount lies between nothing and a trillion credits")
        if self.parts is not None and sum(self.parts.values()) != self.amount:
            raise ValueError("the parts of a hold are its amount")


@dataclass(frozen=True, slots=True)
class Hold:
    """Credits set aside for one piece of work; captured plus released is the amount once it has ended."""

    id: str
    workspace_id: str
    pool_id: str
    amount: MilliCredits
    captured: MilliCredits
    released: MilliCredits
    state: HoldState
    reference: str
    feature: str
    run_id: str | None
    key_id: str | None
    cycle: date
    expires_at: datetime | None
    settled_at: datetime | None
    created_at: datetime
    source: str = HOUSE
    borrowed: MilliCredits = ZERO
    """What of it is the agency's though the workspace's own pool pays first."""
    parts: Mapping[str, MilliCredits] | None = None
    price_version: int | None = None
    unit_price: MilliCredits | None = None
    quantity: Decimal | None = None
    model: str | None = None

    def is_of(self, request: HoldRequest) -> bool:
        """Whether the request asks for this very hold again."""
        mine = (self.workspace_id, self.amount, self.feature, self.run_id)
        return mine == (request.workspace_id, request.amount, request.feature, request.run_id)


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What a piece of work used of one feature; a line without credits is still told in the usage."""

    feature: str
    credits: MilliCredits
    quantity: Quantity = 1
    model: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.credits <= MOST or self.quantity < 0:
            raise ValueError("a usage line has neither negative credits nor a negative quantity")


@dataclass(slots=True)  # many of them in a moment: frozen ones take longer to make
class UsageEvent:
    """One line of usage under its id: what was used, by whom, for what work, and the transfer that charged it.

    What somebody else has told of carries the source and the id that they gave it.
    """

    id: str
    workspace_id: str
    at: datetime
    feature: str
    cycle: date
    credits: int
    quantity: Quantity = 1
    key_id: str | None = None
    model: str | None = None
    run_id: str | None = None
    hold_id: str | None = None
    transfer_id: str | None = None
    is_funded: bool = True
    source: str | None = None
    external_id: str | None = None
    would_cost: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settled:
    """How a hold ended: what was charged and what went back."""

    hold_id: str
    captured: MilliCredits
    released: MilliCredits
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """A transfer from one pool to another."""

    id: str
    amount: MilliCredits
    from_workspace_id: str | None
    to_workspace_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Cycle:
    """The span in which caps and usage count, by the agency's calendar: from `starts_at` up to before `ends_at`."""

    starts_on: date
    starts_at: datetime
    ends_at: datetime


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant at which the day begins in the zone."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class PoolBalance:
    """A pool in its cycle: granted is what could be spent in it, so it is used plus held plus available."""

    workspace_id: str | None
    held: MilliCredits = ZERO
    used: MilliCredits = ZERO
    available: MilliCredits = ZERO
    cap: MilliCredits | None = None

    @property
    def granted(self) -> MilliCredits:
        """All that was there to spend in this cycle."""
        return MilliCredits(self.held + self.used + self.available)


@dataclass(frozen=True, slots=True)
class CreditsOverview:
    """The agency's pool, where the caller may see it, and the pools of the workspaces that have one."""

    agency: PoolBalance | None
    workspaces: tuple[PoolBalance, ...]
    cycle: Cycle


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit of a feature costs, and what the unit is."""

    credits: MilliCredits
    unit: str


def _price(credits: str, unit: str) -> Price:
    return Price(from_decimal(credits), unit)


PRICES: Final[Mapping[str, Price]] = MappingProxyType(
    {
        "analytics": _price("1", "report that is computed"),
        "bootstrap": _price("150", "brand that is set up"),
        "brain_session": _price("5", "turn of an agent session"),
        "generation": _price("10", "post that is written"),
        "keyword_research": _price("3", "seed keyword"),
        "publish": _price("1", "post that is published"),
        "rank_check": _price("0.5", "keyword that is checked"),
        "refine": _price("5", "post that is rewritten"),
        "webhook_delivery": _price("0", "delivery"),
    }
)
"""The closed list of features with the house's own prices; an agency's price list may set others for the same."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices that hold for an agency: the house's own where the agency has set none. Version 0 has none set."""

    version: int = 0
    own: Mapping[str, MilliCredits] = field(default_factory=dict)

    def of(self, feature: str) -> MilliCredits:
        """The price of one unit; a feature that is not on the list is a mistake of the caller's code."""
        return self.own[feature] if feature in self.own else PRICES[feature].credits

    def cost(self, feature: str, quantity: Quantity) -> MilliCredits:
        """The price of so many units, a broken milli-credit counted as a whole one."""
        if quantity < 0:
            raise ValueError("a quantity is not negative")
        return MilliCredits(int((Decimal(self.of(feature)) * quantity).to_integral_value(ROUND_CEILING)))

    def parts(self, features: Mapping[str, Quantity]) -> dict[str, MilliCredits]:
        """The upper bound of a piece of work, feature by feature, from the quantities that it may use of them."""
        return {feature: self.cost(feature, quantity) for feature, quantity in features.items()}

    def estimate(self, features: Mapping[str, Quantity]) -> MilliCredits:
        """The sum of the parts."""
        return MilliCredits(sum(self.parts(features).values()))


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    """What a workspace has used in the current cycle and may still use."""

    used: MilliCredits
    remaining: MilliCredits
    cycle_ends_at: datetime
    by_feature: Mapping[str, MilliCredits]
