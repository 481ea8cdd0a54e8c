"""Decisions keep their form, and the checks that they name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PARTS = ("**Context.**", "**Decision.**", "**Consequences.**", "**The check.**")
TESTS = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))


def test_decisions_are_numbered_without_a_second_use() -> None:
    numbers = [path.name[:4] for path in DECISIONS]

    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name) for path in DECISIONS)


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_tells_context_decision_consequences_and_check(path: Path) -> None:
    text = path.read_text("utf-8")
    places = [text.find(part) for part in PARTS]

    assert text.startswith(f"# {path.name[:4]}: ")
    assert -1 not in places
    assert places == sorted(places)
    assert len(text.splitlines()) <= 60, "a decision fits on one page"


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_the_check_of_a_decision_is_there(path: Path) -> None:
    check = path.read_text("utf-8").partition("**The check.**")[2]
    named = re.findall(r"`([^`\s]+)`", check)

    for name in named:
        if name.startswith("tests/"):
            assert (ROOT / name).exists(), name
        elif name.startswith("test_"):
            assert re.search(rf"def {name}\(", TESTS), name
