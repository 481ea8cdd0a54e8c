"""What no kept file may say: where packages came from, where it was written, and secrets."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.house.sources import ROOT, tracked

REGISTRIES: Final = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js",
    "crates" + ".io",
    "proxy.golang" + ".org",
    "ghcr" + ".io",
    "docker" + ".io",
    "ruby" + "gems.org",
    "un" + "pkg.com",
    "js" + "delivr",
    "huggingface" + ".co",
]
"""Registries and what serves their files: whoever installs chooses a source of their own."""

PLACES: Final = re.compile(
    r"(?<![\w.])/" + r"work/|/tmp/" + r"plan|\bissue #?\d|\bhelper \d|\b(this|the next) " + r"session of the project",
    re.IGNORECASE,
)
"""Where and by whom it was written says nothing to a reader."""

SECRETS: Final = re.compile(
    r"col_(agency|ws)_(live|test)_[A-Za-z0-9]{30,}|sk-ant-[A-Za-z0-9-]{20,}|AKIA[0-9A-Z]{16}"
    r"|-----BEGIN (RSA |EC |OPENSSH )?" + r"PRIVATE KEY-----"
)


def _texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path.relative_to(ROOT).as_posix(), path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_file_names_a_registry(host: str) -> None:
    assert [name for name, text in _texts() if host in text.lower()] == []


def test_no_file_tells_where_it_was_written() -> None:
    found = {name: match[0] for name, text in _texts() if (match := PLACES.search(text))}
    assert found == {}


def test_no_file_holds_a_key() -> None:
    assert [name for name, text in _texts() if SECRETS.search(text)] == []


def test_what_is_kept_is_small() -> None:
    most = 1_000_000
    assert [(path.name, size) for path in tracked() if (size := Path(path).stat().st_size) > most] == []
