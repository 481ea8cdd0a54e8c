"""The shapes of bodies and answers: camelCase on the wire, unknown fields refused, one way to write an amount."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from colonnade.ground.core.amounts import MilliCredits, from_decimal, to_number
from colonnade.ground.core.instants import format_instant


class Body(BaseModel):
    """What a caller sends. Read fields that were sent with `sent()`, so that null and absent stay apart."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
    )

    def sent(self) -> dict[str, Any]:
        """Exactly the fields that were sent, under their names in Python."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def sent_json(self) -> dict[str, Any]:
        """Exactly what was sent, as JSON values under their wire names: a merge patch."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def examples(*bodies: Mapping[str, Any]) -> ConfigDict:
    """The configuration of a body with requests that work as they stand, for the document."""
    return ConfigDict(json_schema_extra={"examples": [dict(body) for body in bodies]})


class Shown(BaseModel):
    """What a caller gets. Made by field names in Python, written under wire names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        validate_by_alias=False,
        validate_by_name=True,
        serialize_by_alias=True,
    )


def _instant(value: datetime) -> str:
    return format_instant(value)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must say its zone, as in 2026-02-01T00:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies beyond the calendar") from error


_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
"""How a moment begins; the parser behind it would take a bare number for seconds since 1970."""


def _only_text(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.match(value)):
        return value
    raise ValueError("must be a time as text, as in 2026-02-01T00:00:00Z")


Instant = Annotated[
    datetime, BeforeValidator(_only_text), AfterValidator(_utc), PlainSerializer(_instant, return_type=str)
]
"""A moment: RFC 3339 with a zone in, UTC with milliseconds out."""


def _credits_in(value: Any) -> MilliCredits:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("must be a number of credits")  # noqa: TRY004 (pydantic turns only ValueError into a field)
    return from_decimal(value)


Credits = Annotated[
    int,
    BeforeValidator(_credits_in, json_schema_input_type=float),
    PlainSerializer(to_number, return_type=float),
]
"""An amount in a body: a decimal number with at most three places on the wire, milli-credits inside."""

Amount = Annotated[int, PlainSerializer(to_number, return_type=int | float), WithJsonSchema({"type": "number"})]
"""An amount in an answer: made of milli-credits, written as a decimal number."""

Whole = StrictInt
Flag = StrictBool
Name = Annotated[str, Field(min_length=1, max_length=255)]

Item = TypeVar("Item")


class PageOf(Shown, Generic[Item]):
    """One page of a list."""

    data: Sequence[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")
    total: int | None = Field(description="Exact up to 1,000; null beyond unless `count=exact`.")
