"""Tables of workspaces as people have them: CSV of any spreadsheet, read line by line so that one bad line is one."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

from colonnade.cli.console import fail

COLUMNS: Final = ("name", "primaryDomain", "industry", "timezone", "tags", "externalId", "slug")
"""The columns that a table may have; only `name` must be there. Tags are parted by semicolons."""

_BY_FOLDED_NAME: Final = {name.lower(): name for name in COLUMNS}
_DELIMITERS: Final = ",;\t"
_NOT_UTF_8: Final = "is not UTF-8; save the table as CSV in UTF-8"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the line of the file on which it begins, and its cells."""

    line: int
    cells: dict[str, str]
    odd: str | None = None
    """What is wrong with its shape."""

    @property
    def name(self) -> str:
        """What the row is called in sentences about it: on one line, and with nothing that a terminal would obey."""
        return shown(self.cells.get("name", ""))

    @property
    def fields(self) -> dict[str, Any]:
        """As a workspace is sent; empty cells are left out."""
        sent: dict[str, Any] = {name: text for name, text in self.cells.items() if text}
        if "tags" in sent:
            sent["tags"] = [tag for part in sent["tags"].split(";") if (tag := part.strip())]
        return sent


def shown(text: str) -> str:
    """A text of strangers for the terminal: one short line, what is not printable written out."""
    line = " ".join(text.split())
    plain = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in line)
    return plain if len(plain) <= 80 else f"{plain[:79]}…"


def read_rows(path: Path) -> list[Row]:
    """All rows of a CSV file; a file that is no table of workspaces ends the command."""
    try:
        content = path.read_bytes()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}.")
    lines = Lines(_decoded(content))
    header = lines.header()
    return list(lines.rows(header))


def _decoded(content: bytes) -> str:
    """The text, with what is not UTF-8 marked for the line on which it stands."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="surrogateescape")


class Lines:
    """Reads a table, and goes on behind a line that cannot be read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._delimiter = ","

    def header(self) -> Sequence[str]:
        """The columns that the first line names."""
        first = next(iter(StringIO(self._text, newline="")), "")
        self._delimiter = max(_DELIMITERS, key=lambda one: (first.count(one), one == ","))
        found = [name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])]
        known = [_BY_FOLDED_NAME.get(re.sub(r"[\s_-]", "", name).lower()) for name in found]
        names = [name for name in known if name is not None]
        if "name" not in names or len(names) < len(found) or len(set(names)) < len(names):
            told = ", ".join(shown(name) for name in found) or "nothing"
            fail(f"The first line must name the columns: `name` and any of {', '.join(COLUMNS[1:])}; it has {told}.")
        return names

    def rows(self, header: Sequence[str]) -> Iterator[Row]:
        """Every row behind the first line that is not empty; what cannot be read is an odd one."""
        reader = csv.reader(StringIO(self._text, newline=""), delimiter=self._delimiter, strict=True)
        next(reader)
        while True:
            line = reader.line_num + 1
            try:
                cells = [cell.strip() for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line, {}, f"cannot be read as CSV ({error}); is a quote left open?")
                continue
            if any(cells):
                yield _row(line, header, cells)


def _row(line: int, header: Sequence[str], cells: list[str]) -> Row:
    found = dict(zip(header, cells, strict=False))
    if any("\udc80" <= one <= "\udcff" for cell in cells for one in cell):
        return Row(line, found, _NOT_UTF_8)
    if len(cells) != len(header):
        return Row(line, found, f"has {len(cells)} cells instead of {len(header)}")
    return Row(line, found)
