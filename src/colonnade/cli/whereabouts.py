"""Where the installation of a data folder answers, for commands that are typed beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from colonnade.settings import Settings


def _note(settings: Settings) -> Path:
    return settings.data / "address"


@contextmanager
def answering_at(settings: Settings, url: str) -> Iterator[None]:
    """Let other commands know the address while this one serves it."""
    note = _note(settings)
    note.parent.mkdir(0o700, parents=True, exist_ok=True)  # beside an external database there may be none yet
    note.write_text(url, "utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def address(settings: Settings, told: str | None = None) -> str:
    """As told, else the public address, else where `up` serves this folder now, else host and port of the settings."""
    return (told or settings.public_url or _noted(settings) or settings.address).rstrip("/")


def _noted(settings: Settings) -> str | None:
    try:
        return _note(settings).read_text("utf-8") or None
    except OSError:
        return None
