"""Credits: whole milli-credits inside, decimal numbers with at most three places at the edge."""

from decimal import Decimal, InvalidOperation
from typing import Final, NewType

MilliCredits = NewType("MilliCredits", int)
"""A thousandth of a credit; the only unit in which the house counts."""

ZERO: Final = MilliCredits(0)
MOST: Final = MilliCredits(10**15)
"""No single amount passes a trillion credits: sums of a thousand such stay inside a bigint."""


def from_decimal(value: Decimal | int | float | str) -> MilliCredits:
    """Read an amount from the edge; more than three places, no number or too large a number is a ValueError."""
    try:
        milli = Decimal(str(value)) * 1000
    except InvalidOperation as error:
        raise ValueError("is not a number") from error
    if not milli.is_finite():
        raise ValueError("is not a finite number")
    if abs(milli) > MOST:
        raise ValueError("is larger than a trillion credits")
    if milli != milli.to_integral_value():
        raise ValueError("has more than three decimal places")
    return MilliCredits(int(milli))


def to_number(amount: int) -> int | float:
    """The amount as a JSON number: `12`, `0.5`, `0.125`."""
    whole, rest = divmod(amount, 1000)
    return whole if rest == 0 else amount / 1000


PLACES: Final = tuple(f".{rest:03d}".rstrip("0") if rest else "" for rest in range(1000))
"""What stands behind the whole credits of an amount, by its milli-credits."""


def to_text(amount: int) -> str:
    """The amount as plain decimal text, for sentences and CSV cells."""
    whole, rest = divmod(abs(amount), 1000)
    return f"{'-' if amount < 0 else ''}{whole}{PLACES[rest]}"
