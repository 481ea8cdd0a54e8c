"""Tables as spreadsheets and people write them: what fits is read, what does not is one bad line."""

from pathlib import Path

import pytest

from colonnade.cli.tables import Row, read_rows, shown

HEADER = "name,primaryDomain,industry,timezone,tags\n"


def rows_of(tmp_path: Path, content: str | bytes) -> list[Row]:
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path)


@pytest.mark.parametrize(
    "content",
    [
        "name,tags\nAcme,tier:one; kind:shop\n",
        "\ufeffname,tags\r\nAcme,tier:one; kind:shop\r\n",
        "name,tags\rAcme,tier:one; kind:shop\r",
        'name;tags\nAcme;"tier:one; kind:shop"\n',
        "name\ttags\nAcme\ttier:one;kind:shop\n",
        "name,tags\nAcme,tier:one;kind:shop\n".encode("utf-16"),
        " Name , TAGS \n  Acme  , tier:one ;; kind:shop",
    ],
    ids=["plain", "bom and crlf", "cr", "semicolons", "tabs", "utf-16", "spaces and capitals"],
)
def test_a_table_is_read_however_a_spreadsheet_writes_it(tmp_path: Path, content: str | bytes) -> None:
    (row,) = rows_of(tmp_path, content)
    assert (row.line, row.fields, row.odd) == (2, {"name": "Acme", "tags": ["tier:one", "kind:shop"]}, None)


def test_columns_may_be_named_as_people_name_them(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, "Name,Primary Domain,external_id,Time-Zone\nAcme,acme.com,a-1,UTC\n")
    assert row.fields == {"name": "Acme", "primaryDomain": "acme.com", "externalId": "a-1", "timezone": "UTC"}


def test_empty_lines_are_passed_over_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 'name,industry\n\nFirst,\n , \n"Two\nlines",x\n\n\nLast,y\n')
    assert [(row.line, row.name) for row in rows] == [(3, "First"), (5, "Two lines"), (9, "Last")]


@pytest.mark.parametrize(
    ("line", "odd"),
    [
        (b"Caf\xe9,cafe.example,,,", "is not UTF-8"),
        (b"Short,short.example", "has 2 cells instead of 5"),
        (b"Long,long.example,,,,,more", "has 7 cells instead of 5"),
        (b'"Acme" Inc,acme.example,,,', "cannot be read as CSV"),
        (b'Acme "The Best",acme.example,,,,', "has 6 cells instead of 5"),
        (b"x" * 140_000 + b",,,,", "cannot be read as CSV"),
    ],
    ids=["latin-1", "too few", "too many", "text behind a quote", "quote inside", "endless cell"],
)
def test_a_line_that_cannot_be_read_is_one_bad_line(tmp_path: Path, line: bytes, odd: str) -> None:
    rows = rows_of(tmp_path, HEADER.encode() + b"First,,,,\n" + line + b"\nLast,,,,\n")
    assert [row.name for row in rows if row.odd is None] == ["First", "Last"]
    (bad,) = [row for row in rows if row.odd is not None]
    assert bad.line == 3
    assert odd in str(bad.odd)


def test_a_quote_that_is_never_closed_is_told_at_the_line_where_it_opens(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, HEADER + 'First,,,,\n"Open,,,,\nLost,,,,\n')
    assert [(row.line, row.odd is None) for row in rows] == [(2, True), (3, False)]
    assert "is a quote left open?" in str(rows[1].odd)


@pytest.mark.parametrize(
    "content",
    ["", "\n", "name,colour\nA,red\n", "primaryDomain\na.com\n", "name,name\nA,B\n", "name,\nA,\n", b"\x89PNG\r\n"],
    ids=["nothing", "empty line", "unknown", "no name", "twice", "nameless", "a picture"],
)  # fmt: skip
def test_a_file_that_is_no_table_of_workspaces_ends_the_command_with_what_it_found(
    tmp_path: Path, content: str | bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        rows_of(tmp_path, content)
    assert ended.value.code == 1
    assert "The first line must name the columns: `name`" in capsys.readouterr().err


def test_a_file_that_is_not_there_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        read_rows(tmp_path / "none.csv")
    assert ended.value.code == 1


def test_what_is_shown_of_strangers_texts_is_one_short_line_that_no_terminal_obeys() -> None:
    assert shown("\x1b[31mred\n\ttext\u202e") == "\\u001b[31mred text\\u202e"
    assert shown("شركة") == "شركة"
    assert len(shown("x" * 500)) == 80
