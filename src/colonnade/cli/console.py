"""How commands speak: to people in sentences with colour where a terminal is, to programs in JSON."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from rich.console import Console

out: Final = Console(highlight=False, soft_wrap=True)
"""What a command answers."""

err: Final = Console(stderr=True, highlight=False, soft_wrap=True)
"""What a command says besides: progress, warnings, refusals."""

FAILED: Final = 1
"""The exit code of a command that could not do its work; 2 is for wrong words and bad settings."""


def fail(sentence: str, code: int = FAILED) -> NoReturn:
    """Say why, and end."""
    err.print(f"[bold red]✗[/] {sentence}", markup=True)
    sys.exit(code)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns of plain text, never cut: ids are there to be copied."""
    lines = [header, *rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(header))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        out.print(text, style="bold" if number == 0 else None, markup=False)


def answer_json(value: Any) -> None:
    """One JSON document, alone on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
