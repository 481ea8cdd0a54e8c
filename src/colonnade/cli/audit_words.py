"""The words `audit` and `secret`: verifying logs, exported ones too, and changing the installation's secret."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from colonnade.cli.console import FAILED, answer_json, err, fail, out
from colonnade.cli.entering import chosen
from colonnade.cli.options import Agency, Data, Json
from colonnade.cli.runtime import agencies_here, explained, pepper_for_signatures, read_settings, with_database
from colonnade.ground.core.instants import format_optional
from colonnade.ground.db.database import Database
from colonnade.settings import rotate_secret
from colonnade.tenancy import agencies, audit

audit_log = typer.Typer(help="Audit logs of the agencies.", no_args_is_help=True)
secret = typer.Typer(help="The installation's secret.", no_args_is_help=True)


@audit_log.command("verify")
def verify(
    agency_id: Agency = None,
    every: Annotated[bool, typer.Option("--all", help="The logs of all agencies, one after the other.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check every entry of an audit log and its seal; names the first that is wrong. Exit code 1 when one is."""
    settings = read_settings(data_dir=data)

    async def walk(database: Database) -> dict[str, audit.Verdict]:
        here = await agencies_here(settings)
        wanted = [str(row["agency_id"]) for row in here] if every else [chosen(here, agency_id)]
        with Progress(console=err, transient=True, disable=as_json or not err.is_terminal) as progress:
            return {one: await _verdict(database, one, progress) for one in wanted}

    found = with_database(settings, walk)
    ok = all(verdict.ok for verdict in found.values())
    if as_json:
        answer_json({"ok": ok, "agencies": [{"agencyId": one, **_told(found[one])} for one in found]})
    else:
        for one, verdict in found.items():
            out.print(f"{'[green]✓[/]' if verdict.ok else '[bold red]✗[/]'} {one}: {_sentence(verdict)}")
    raise typer.Exit(0 if ok else FAILED)


async def _verdict(database: Database, agency_id: str, progress: Progress) -> audit.Verdict:
    operator = agencies.entering(agency_id)
    task = progress.add_task(f"Verifying {agency_id} …", total=None)
    async with database.transaction(operator.reach, read_only=True, snapshot=True) as tx:
        return await audit.verify(
            tx, operator, progress=lambda done, of: progress.update(task, completed=done, total=of)
        )


def _told(verdict: audit.Verdict) -> dict[str, Any]:
    place, bad = verdict.sealed_to, verdict.bad
    return {
        "ok": verdict.ok,
        "sealedTo": place and {"position": place.position, "hash": place.hash.hex(), "at": format_optional(place.at)},
        "checked": verdict.checked,
        "unsealed": verdict.unsealed,
        "erased": verdict.erased,
        "bad": bad and {"id": bad.entry_id, "position": bad.position, "problem": bad.problem, "says": bad.says},
    }


def _sentence(verdict: audit.Verdict) -> str:
    if verdict.bad is not None:
        where = verdict.bad.entry_id or (f"position {verdict.bad.position}" if verdict.bad.position else "the end")
        return f"{verdict.bad.problem} at {where}. {verdict.bad.says}"
    end = (
        "" if verdict.sealed_to is None else f", sealed to {verdict.sealed_to.position} {verdict.sealed_to.hash.hex()}"
    )
    return f"{verdict.checked} entries are as they were written, {verdict.unsealed} not sealed yet{end}."


@audit_log.command("verify-file")
def verify_file(
    file: Annotated[Path, typer.Argument(help="An export of the audit log with format=ndjson.")],
    signatures: Annotated[
        bool, typer.Option("--signatures", help="Check the signatures as well, with this installation's secret.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check an exported audit log without a database: each line, and how the lines follow one another."""
    settings = read_settings(data_dir=data)
    pepper = pepper_for_signatures(settings) if signatures else None
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            found = audit.check_lines(lines, pepper)
    except OSError as error:
        fail(f"{file}: {error.strerror}.")
    if as_json:
        answer_json(_told_file(found))
    elif found.bad is not None:
        out.print(f"[bold red]✗[/] Line {found.bad.line}: {found.bad.problem}. {found.bad.says}")
    else:
        out.print(f"[green]✓[/] {_sentence_of_file(found)}")
    raise typer.Exit(0 if found.ok else FAILED)


def _told_file(found: audit.FileVerdict) -> dict[str, Any]:
    bad = found.bad
    return {
        "ok": found.ok,
        "agencyId": found.agency_id,
        "lines": found.lines,
        "sealed": found.sealed,
        "erased": found.erased,
        "first": found.first and {"position": found.first.position, "hash": found.first.hash.hex()},
        "last": found.last and {"position": found.last.position, "hash": found.last.hash.hex()},
        "gaps": found.gaps,
        "bad": bad and {"line": bad.line, "id": bad.entry_id, "problem": bad.problem, "says": bad.says},
    }


def _sentence_of_file(found: audit.FileVerdict) -> str:
    if found.first is None or found.last is None:
        return f"{found.lines} lines, none of them sealed yet."
    span = f"positions {found.first.position} to {found.last.position} ({found.last.hash.hex()})"
    left_out = "" if not found.gaps else f", with entries left out at {found.gaps} places"
    return f"{found.lines} lines are as they were sealed: {span}{left_out}."


@secret.command("rotate")
def rotate(data: Data = None, as_json: Json = False) -> None:
    """Put a new secret into the data folder and keep the old one beside it; restart everything afterwards."""
    settings = read_settings(data_dir=data)
    with explained():
        if settings.secret_key is not None:
            fail(
                "The secret is given by COLONNADE_SECRET_KEY: put what it is now first into COLONNADE_SECRET_KEYS_OLD, "
                "give COLONNADE_SECRET_KEY a new value of at least 32 characters, and restart everything."
            )
        if not settings.secret_file.exists():
            fail(f"There is no secret in {settings.data} yet; the first start makes it.")
        rotate_secret(settings)
    if as_json:
        answer_json({"secret": str(settings.secret_file), "former": str(settings.former_secrets_file)})
        return
    out.print(f"{settings.secret_file} is new; the old secret stays in {settings.former_secrets_file}.")
    out.print("Restart servers and workers now. Both files are part of every backup from now on.")
