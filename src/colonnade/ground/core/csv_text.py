"""Tables as CSV text (RFC 4180) that no spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

Cell = str | int | Decimal | None

_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")


def harmless(cell: Cell) -> str:
    """The cell as text; an apostrophe goes before what a spreadsheet might run as a formula. Numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_DANGEROUS) else cell
    return format(cell, "f") if isinstance(cell, Decimal) else str(cell)


def csv_text(rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as CSV: commas, quotes where they are needed, CR LF at the end of each."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()
