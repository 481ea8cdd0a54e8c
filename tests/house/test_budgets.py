"""Budgets of size. What breaks one is usually two things."""

import statistics
from collections.abc import Callable
from typing import Final

from tests.house.sources import PACKAGE, ROOT, arguments, depth, length, sources

FUNCTION_LINES, FILE_LINES, NESTING, ARGUMENTS, MEDIAN_LINES = 50, 400, 3, 6, 12

COMMAND_OPTIONS: Final = {"cli/agency_words.py create_key", "cli/isolation_words.py verify_isolation"}
"""Commands: what they take are the words of the command line, each with a name of its own there."""

EVERYWHERE: Final = [PACKAGE, ROOT / "tools", ROOT / "bench", ROOT / "tests"]
OURS: Final = EVERYWHERE[:3]


def _too_much(found: dict[str, int], most: int) -> dict[str, int]:
    return {name: value for name, value in found.items() if value > most}


def test_a_file_has_four_hundred_lines_at_most() -> None:
    lines = {str(s.path.relative_to(ROOT)): s.text.count("\n") for folder in EVERYWHERE for s in sources(folder)}
    assert _too_much(lines, FILE_LINES) == {}


def test_a_function_has_fifty_lines_at_most_besides_its_docstring() -> None:
    lines = {
        f"{s.name} {name}": length(one) for folder in EVERYWHERE for s in sources(folder) for name, one in s.functions()
    }
    assert _too_much(lines, FUNCTION_LINES) == {}


def test_the_median_function_is_short(record_property: Callable[[str, object], None]) -> None:
    median = statistics.median(length(one) for source in sources() for _, one in source.functions())
    record_property("median_function_lines", median)
    assert median < MEDIAN_LINES, f"the median is {median} lines"


def test_blocks_stand_three_deep_at_most() -> None:
    found = {f"{s.name} {name}": depth(one) for folder in OURS for s in sources(folder) for name, one in s.functions()}
    assert _too_much(found, NESTING) == {}


def test_a_function_takes_six_arguments_at_most_besides_who_acts_and_in_which_transaction() -> None:
    found = {
        f"{s.name} {name}": len(arguments(one))
        for folder in OURS
        for s in sources(folder)
        for name, one in s.functions()
    }
    assert set(_too_much(found, ARGUMENTS)) <= COMMAND_OPTIONS


def test_a_module_says_in_five_lines_what_lives_there() -> None:
    for source in sources():
        first = source.tree.body[0] if source.tree.body else None
        assert first is not None, source.name
        assert source.text.startswith('"""'), f"{source.name} says nothing of itself"
        assert (first.end_lineno or 0) <= 5 or source.name == "ground/web/__init__.py", source.name


def test_nothing_is_left_for_later_in_a_comment() -> None:
    words = ["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]
    found = [
        (source.name, word)
        for folder in EVERYWHERE
        for source in sources(folder)
        for word in words
        if word in source.text
    ]
    assert found == []
