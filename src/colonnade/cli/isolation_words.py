"""The word `verify-isolation`: what is typed, and what is answered."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from colonnade import isolation
from colonnade.cli.console import FAILED, answer_json, err, fail, out
from colonnade.cli.entering import within_agency
from colonnade.cli.isolating import CannotTry, Isolating, Proven
from colonnade.cli.options import Agency, Data, Json
from colonnade.cli.runtime import read_settings, with_database
from colonnade.cli.whereabouts import address
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database
from colonnade.settings import Settings, report_key_of

Url = Annotated[str | None, typer.Option(help="Where it answers; else where `up` serves it.")]
Between = Annotated[
    tuple[str, str] | None, typer.Option(help="Two workspaces of the agency that are in use: only reading is tried.")
]
Out = Annotated[Path, typer.Option("--out", help="The folder for the report: the facts as JSON, and a page.")]
CheckFile = Annotated[Path | None, typer.Option("--check", help="Try nothing; say whether this report is as signed.")]
KeyText = Annotated[
    str | None, typer.Option("--key", help="The public key that --check goes by; else this installation's own.")
]


def verify_isolation(
    url: Url = None,
    agency_id: Agency = None,
    between: Between = None,
    folder: Out = Path(),
    check: CheckFile = None,
    key: KeyText = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Try every operation with every kind of credential on things of somebody else, and write a signed report.

    Between two agencies that are made for it; with --between, by reading alone, between two workspaces in use. The
    credentials are made for it and ended. Exit code 0 only when nothing leaked.
    """
    settings = read_settings(data_dir=data)
    if check is not None:
        _check(settings, check, key, as_json=as_json)
        return
    proven = _proven(settings, address(settings, url), agency_id, between, quiet=as_json)
    facts, page = proven.write(folder)
    _tell(proven, facts, page, as_json=as_json)
    raise typer.Exit(0 if proven.is_clean else FAILED)


def _proven(
    settings: Settings, url: str, agency_id: str | None, between: tuple[str, str] | None, *, quiet: bool
) -> Proven:
    if between is not None and between[0] == between[1]:
        fail("--between takes two different workspaces.", 2)

    async def probes(database: Database) -> Proven:
        return await Isolating(settings, database, url, quiet=quiet).probes()

    async def two(database: Database, operator: Caller) -> Proven:
        assert between is not None
        return await Isolating(settings, database, url, quiet=quiet).between(operator, between)

    # Who is told to end does so as after Ctrl-C: what was made for the walk is ended first.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return with_database(settings, probes) if between is None else within_agency(settings, agency_id, two)
    except (CannotTry, isolation.CannotFurnish, isolation.Silence) as error:
        fail(str(error))


def _check(settings: Settings, file: Path, key: str | None, *, as_json: bool) -> None:
    try:
        report: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file} cannot be read as a report: {error}.")
    checked = isolation.check(report, key or isolation.public_key(report_key_of(settings)))
    verdict = report.get("verdict") if checked.ok else None
    if as_json:
        answer_json({"file": str(file), "signed": checked.ok, "says": checked.says, "verdict": verdict})
    elif checked.ok:
        out.print(f"[green]✓[/] {file}: {checked.says}. Its verdict: {verdict}.")
    else:
        err.print(f"[bold red]✗[/] {file}: {checked.says}.")
    raise typer.Exit(0 if checked.ok else FAILED)


def _tell(proven: Proven, facts: Path, page: Path, *, as_json: bool) -> None:
    report = proven.report
    if as_json:
        told = {name: report[name] for name in ("verdict", "requests", "failures", "changed", "untried")}
        answer_json({**told, "report": str(facts), "page": str(page)})
        return
    for one in report["failures"]:
        err.print(f"{one['credential']}: {one['request']}: {one['wrong']}", markup=False)
    for line in report["changed"]:
        err.print(f"{line} is answered differently to its owner than before", markup=False)
    for one in report["untried"]:
        out.print(f"Not tried: {one['what']} ({one['why']}).", markup=False, style="dim")
    tried = f"{report['requests']:,} requests over {report['document']['operations']} operations"
    mark = "[green]✓[/] Nothing leaked" if proven.is_clean else "[bold red]✗[/] Something leaked"
    out.print(f"{mark}: {tried}, with {len(report['credentials'])} credentials.")
    out.print(f"The facts, signed: {facts}\nThe page for clients: {page}", markup=False)
    sys.stdout.flush()
