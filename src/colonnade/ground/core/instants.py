"""Instants: always with a zone, written as RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime


def format_instant(at: datetime) -> str:
    """`2026-02-01T00:00:00.000Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def format_optional(at: datetime | None) -> str | None:
    """The same, where an instant may be missing."""
    return None if at is None else format_instant(at)
