"""The words of the command line, each with its options; what they do stands in the files beside."""

import os
import socket
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer

from colonnade.cli import founding, serving, upping
from colonnade.cli.console import answer_json, out
from colonnade.cli.runtime import read_settings, with_database
from colonnade.ground.core.amounts import ZERO, from_decimal
from colonnade.ground.db.database import Database

main = typer.Typer(
    name="colonnade",
    help="Run and look after an installation of Colonnade.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
agency = typer.Typer(help="Agencies of this installation.", no_args_is_help=True)
main.add_typer(agency, name="agency")

Data = Annotated[Path | None, typer.Option("--data", help="The data folder; else COLONNADE_DATA_DIR, else ./data.")]
Parent = Annotated[int | None, typer.Option(hidden=True, help="The process without which this one must not live.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


@main.command()
def up(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="The address to serve on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to serve on.")] = None,
    servers: Annotated[int | None, typer.Option(help="How many HTTP processes.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many background processes.")] = None,
    demo: Annotated[bool, typer.Option(help="Make a demo agency in an empty installation.")] = True,
) -> None:
    """Run everything: database, servers, workers. Ctrl-C stops all of it."""
    settings = read_settings(data_dir=data, host=host, port=port, servers=servers, workers=workers)
    upping.up(settings, demo=demo)


@main.command()
def serve(
    data: Data = None,
    fd: Annotated[int | None, typer.Option(help="A listening socket that a parent process hands on.")] = None,
    parent: Parent = None,
) -> None:
    """Answer requests in this process; the database must be running."""
    serving.belong_to(parent)
    settings = read_settings(data_dir=data)
    listener = serving.listen(settings.host, settings.port) if fd is None else socket.socket(fileno=fd)
    serving.serve(settings, listener)


@main.command()
def work(data: Data = None, parent: Parent = None) -> None:
    """Carry out runs in this process; the database must be running."""
    serving.belong_to(parent)
    serving.work(read_settings(data_dir=data))


@main.command()
def version() -> None:
    """Tell which version this is."""
    out.print(f"Colonnade {version_of('colonnade')} on Python {sys.version.split()[0]}, process {os.getpid()}")


@agency.command("create")
def create_agency(
    name: Annotated[str, typer.Option(help="What the agency is called.")],
    owner_email: Annotated[str, typer.Option(help="The e-mail address of its owner.")],
    credits: Annotated[str, typer.Option(help="Credits to begin with.")] = "0",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an agency with its owner and a master key, which is shown this once."""
    try:
        milli = from_decimal(credits)
    except ValueError as error:
        raise typer.BadParameter(f"{credits!r} {error}", param_hint="--credits") from error
    if milli < ZERO:
        raise typer.BadParameter("credits cannot be negative", param_hint="--credits")

    async def make(database: Database) -> founding.Made:
        return await founding.make_agency(database, name=name, owner_email=owner_email, milli=milli)

    made = with_database(read_settings(data_dir=data), make)
    if as_json:
        answer_json({"agencyId": made.agency_id, "ownerId": made.owner_id, "apiKey": made.key.reveal()})
        return
    out.print(f"Made the agency [bold]{name}[/] ({made.agency_id}). Its key, shown this once:\n")
    out.print(f"  {made.key.reveal()}\n", style="bold")
