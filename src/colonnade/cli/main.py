"""The words of the command line that concern the installation as a whole; what they do stands in the files beside."""

import asyncio
import dataclasses
import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from colonnade.cli import (
    agency_words,
    audit_words,
    backing,
    examining,
    importing,
    isolation_words,
    person_words,
    statement_words,
    tables,
    upping,
)
from colonnade.cli.console import FAILED, answer_json, err, out
from colonnade.cli.entering import within_agency
from colonnade.cli.options import Agency, Data, Json
from colonnade.cli.runtime import bring_up_to_date, database_running, explained, read_settings
from colonnade.ground.core.callers import Caller
from colonnade.ground.db import embedded
from colonnade.ground.db.database import Database
from colonnade.settings import Settings

main = typer.Typer(
    name="colonnade",
    help="Run and look after an installation of Colonnade. Exit codes: 0 done, 1 could not be done, 2 wrong words or "
    "settings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
imports = typer.Typer(help="Bring in what you have elsewhere.", no_args_is_help=True)
main.add_typer(agency_words.agency, name="agency")
main.add_typer(agency_words.key, name="key")
main.add_typer(agency_words.credit, name="credits")
main.add_typer(person_words.person, name="person")
main.add_typer(audit_words.audit_log, name="audit")
main.add_typer(audit_words.secret, name="secret")
main.add_typer(statement_words.statement, name="statement")
main.add_typer(imports, name="import")
main.command("verify-isolation")(isolation_words.verify_isolation)

_MARKS = {"ok": "[green]✓[/]", "note": "[yellow]•[/]", "bad": "[bold red]✗[/]"}


@main.command()
def up(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="The address to serve on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to serve on; 0 takes a free one.")] = None,
    servers: Annotated[int | None, typer.Option(help="How many HTTP processes.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many background processes.")] = None,
    demo: Annotated[bool, typer.Option(help="Make a demo agency in an empty installation.")] = True,
) -> None:
    """Run everything: database, servers, workers. Ctrl-C stops all of it."""
    settings = read_settings(data_dir=data, host=host, port=port, servers=servers, workers=workers)
    upping.up(settings, demo=demo)


@main.command()
def serve(data: Data = None) -> None:
    """Answer requests in this process; the database must be running."""
    upping.become("serving", read_settings(data_dir=data))


@main.command()
def work(data: Data = None) -> None:
    """Carry out runs in this process; the database must be running."""
    upping.become("working", read_settings(data_dir=data))


@main.command()
def migrate(
    adopt_roles: Annotated[
        bool, typer.Option("--adopt-roles", help="Give roles of an external database that are there our passwords.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Bring the database to this version; twice does no harm. In an external database this makes the roles, too."""
    settings = read_settings(data_dir=data)
    with explained(), database_running(settings):
        applied = asyncio.run(bring_up_to_date(settings, adopt_roles=adopt_roles))
    if as_json:
        answer_json({"applied": applied})
        return
    for name in applied:
        out.print(f"Applied {name}")
    out.print("The database is up to date.")


@main.command()
def doctor(data: Data = None, as_json: Json = False) -> None:
    """Look at settings, data folder, database and processes, and say what is wrong. Exit code 1 when something is."""
    settings = read_settings(data_dir=data)
    findings = _examined(settings)
    sound = all(finding.state != "bad" for finding in findings)
    if as_json:
        told = [{"what": one.what, "state": one.state, "says": one.says} for one in findings]
        answer_json({"healthy": sound, "findings": told, "settings": dict(examining.told_settings(settings))})
    else:
        for name, value in examining.told_settings(settings).items():
            out.print(f"[dim]{name} = {value}[/]")
        for one in findings:
            out.print(f"{_MARKS[one.state]} {one.what}: {one.says}")
    raise typer.Exit(0 if sound else FAILED)


def _examined(settings: Settings) -> list[examining.Finding]:
    if examining.there_is_none(settings):
        nothing = embedded.CannotStart(f"there is none in {settings.data} yet; start it with: colonnade up")
        return examining.cannot_tell(settings, nothing)
    try:
        with database_running(settings) as cluster:
            return asyncio.run(examining.examine(settings, running=settings.database_url is None and cluster is None))
    except embedded.CannotStart as error:
        return examining.cannot_tell(settings, error)


@main.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write database, secret and published posts to one file; works while everything runs. Keep that file well."""
    manifest = backing.back_up(read_settings(data_dir=data), file)
    if as_json:
        answer_json({"file": str(file), "rows": sum(manifest.rows.values()), "files": len(manifest.files)})
        return
    out.print(f"Wrote {file}: {sum(manifest.rows.values())} rows, {len(manifest.files)} files.")
    if manifest.secret == "setting":  # noqa: S105 (the name of a place)
        out.print("COLONNADE_SECRET_KEY is not in it: keep it as well, for without it no key is valid.")
    else:
        out.print("It holds the secret of this installation: whoever has the file can read everything.")


@main.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.")], data: Data = None, as_json: Json = False
) -> None:
    """Make an installation from a backup in an empty data folder; everything is checked before it takes its place."""
    settings = read_settings(data_dir=data)
    manifest = backing.restore(settings, file)
    if as_json:
        answer_json({"data": str(settings.data), "rows": sum(manifest.rows.values()), "madeAt": manifest.made_at})
        return
    out.print(f"Restored {sum(manifest.rows.values())} rows of {manifest.made_at} into {settings.data}.")
    out.print("Start it with: colonnade up")


@main.command()
def version() -> None:
    """Tell which version this is."""
    out.print(f"Colonnade {version_of('colonnade')} on Python {sys.version.split()[0]}, process {os.getpid()}")


@imports.command("workspaces")
def import_workspaces(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a line of column names.")],
    agency_id: Agency = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find out what would happen, and keep nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave workspaces that are there as they are.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a workspace of every row: name, primaryDomain, industry, timezone, tags (parted by ;), externalId, slug.

    A row is known again by its externalId, else by its domain, else, without either, by its name; what is there gets
    what the row says, empty cells change nothing. Bad rows are named with their line and all others go in, so the
    corrected file can be given again. Exit code 3 when a row was bad.
    """
    settings = read_settings(data_dir=data)
    rows = tables.read_rows(file)
    manner = importing.Manner(dry=dry_run, keep=keep)

    async def bring_in(database: Database, operator: Caller) -> importing.Outcome:
        with Progress(console=err, transient=True, disable=as_json or not err.is_terminal) as progress:
            task = progress.add_task("Bringing in workspaces …", total=len(rows))
            bringing = importing.Import(database, operator, manner, lambda count: progress.advance(task, count))
            return await bringing.all(rows)

    outcome = within_agency(settings, agency_id, bring_in)
    if as_json:
        answer_json({"dryRun": dry_run, **dataclasses.asdict(outcome)})
    else:
        _tell(outcome, dry=dry_run)
    raise typer.Exit(importing.SOME_BAD if outcome.refused else 0)


def _tell(outcome: importing.Outcome, *, dry: bool) -> None:
    for one in outcome.changed:
        what = "would change" if dry else "changed"
        name = tables.shown(one["name"])
        out.print(f"Line {one['line']}: {name}: {', '.join(one['columns'])} {what}.", markup=False)
    for one in outcome.refused:
        for bad in one["errors"]:
            where = ", ".join(word for word in (one["name"], bad["column"]) if word)
            err.print(f"Line {one['line']}: {where or 'the line'}: {bad['detail']}", markup=False)
    made, changed = ("Would make", "change") if dry else ("Made", "changed")
    counts = f"{len(outcome.unchanged)} are as they were, {len(outcome.refused)} lines are bad"
    out.print(f"{made} {len(outcome.created)} workspaces and {changed} {len(outcome.changed)}; {counts}.")
