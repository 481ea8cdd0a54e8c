"""The word `statement`: checking the monthly statement of a workspace without the house that made it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from colonnade import credits
from colonnade.cli.console import FAILED, answer_json, fail, out
from colonnade.cli.options import Data, Json
from colonnade.cli.runtime import pepper_for_signatures, read_settings
from colonnade.ground.core.amounts import to_number, to_text

statement = typer.Typer(help="Monthly statements of workspaces.", no_args_is_help=True)


@statement.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A statement in JSON or CSV, as the API answered it.")],
    signatures: Annotated[
        bool, typer.Option("--signatures", help="Check the signatures as well, with this installation's secret.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check a statement without a database: each line, the chain that it lies in, all totals. Exit code 1 when one is
    wrong; names the first that is."""
    settings = read_settings(data_dir=data)
    pepper = pepper_for_signatures(settings) if signatures else None
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as text:
            found = credits.check_statement(text, pepper)
    except OSError as error:
        fail(f"{file}: {error.strerror}.")
    if as_json:
        answer_json(_told(found))
    elif found.bad is not None:
        out.print(f"✗ {found.bad.where}: {found.bad.problem}. {found.bad.says}", markup=False)
    else:
        out.print(f"✓ {_sentence(found)}", markup=False)
    raise typer.Exit(0 if found.ok else FAILED)


def _told(found: credits.StatementVerdict) -> dict[str, Any]:
    one, bad = found.statement, found.bad
    return {
        "ok": found.ok,
        "agencyId": one and one.agency_id,
        "workspaceId": one and one.workspace_id,
        "month": one and one.month.isoformat()[:7],
        "lines": found.lines,
        "blocks": found.blocks,
        "charged": one and to_number(one.totals.charged),
        "refunded": one and to_number(one.totals.refunded),
        "unfundedLeftOut": found.unfunded_left_out,
        "headHash": one and one.head_hash and one.head_hash.hex(),
        "bad": bad and {"problem": bad.problem, "where": bad.where, "id": bad.id, "says": bad.says},
    }


def _sentence(found: credits.StatementVerdict) -> str:
    one = found.statement
    assert one is not None, "a file without a statement is never right"
    sums = f"{to_text(one.totals.charged)} credits charged, {to_text(one.totals.refunded)} refunded"
    left_out = (
        "" if not found.unfunded_left_out else f" {found.unfunded_left_out} unfunded events are told in sum alone."
    )
    end = "" if one.head_hash is None else f" The chain ends in {one.head_hash.hex()}."
    return f"{one.month.isoformat()[:7]} of {one.workspace_id}: {found.lines} lines, {sums}.{end}{left_out}"
