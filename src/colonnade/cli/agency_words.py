"""The words `agency`, `key` and `credits`: what an operator does for the agencies of the installation."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from colonnade import credits
from colonnade.cli import founding
from colonnade.cli.console import answer_json, out, print_table
from colonnade.cli.entering import in_transaction
from colonnade.cli.options import Agency, Data, Json, Workspace
from colonnade.cli.runtime import agencies_here, read_settings, with_database
from colonnade.ground.core.amounts import ZERO, MilliCredits, from_decimal, to_number, to_text
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.instants import format_instant, format_optional
from colonnade.ground.core.refusals import BadField
from colonnade.ground.core.scopes import PRESETS
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import keys, people

agency = typer.Typer(help="Agencies of this installation.", no_args_is_help=True)
key = typer.Typer(help="API keys of an agency and its workspaces.", no_args_is_help=True)
credit = typer.Typer(help="Credits of an agency.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id, as `key list` shows it.")]


def amount(text: str, option: str) -> MilliCredits:
    """An amount of credits as it is typed; a bad one ends the command with exit code 2."""
    try:
        milli = from_decimal(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}", param_hint=option) from error
    if milli < ZERO:
        raise typer.BadParameter("credits cannot be negative", param_hint=option)
    return milli


@agency.command("create")
def create_agency(
    name: Annotated[str, typer.Option(help="What the agency is called.")],
    owner_email: Annotated[str, typer.Option(help="The e-mail address of its owner.")],
    credits: Annotated[str, typer.Option(help="Credits to begin with.")] = "0",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an agency with its owner and a master key, which is shown this once."""
    milli = amount(credits, "--credits")

    async def make(database: Database) -> founding.Made:
        return await founding.make_agency(database, name=name, owner_email=owner_email, milli=milli)

    made = with_database(read_settings(data_dir=data), make)
    if as_json:
        answer_json({"agencyId": made.agency_id, "ownerId": made.owner_id, "apiKey": made.key.reveal()})
        return
    out.print(f"Made the agency [bold]{name}[/] ({made.agency_id}). Its key, shown this once:\n")
    out.print(f"  {made.key.reveal()}\n", style="bold")


@agency.command("list")
def list_agencies(data: Data = None, as_json: Json = False) -> None:
    """List the agencies of this installation, the oldest first."""
    settings = read_settings(data_dir=data)

    async def look(_database: Database) -> list[dict[str, Any]]:
        return [{"agencyId": row["agency_id"], "name": row["name"]} for row in await agencies_here(settings)]

    here = with_database(settings, look)
    if as_json:
        answer_json({"agencies": here})
        return
    print_table(("Agency", "Name"), [(one["agencyId"], one["name"]) for one in here])


@agency.command("transfer")
def transfer_agency(
    to: Annotated[str, typer.Option(help="The e-mail address of the member who gets the agency.")],
    agency_id: Agency = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a member the only owner of an agency; every other owner becomes an admin."""

    async def transfer(tx: Tx, operator: Caller) -> people.Member:
        heir = await people.find_member_by_email(tx, to)
        if heir is None:
            raise BadField("--to", "is no member of this agency")
        return await people.hand_over(tx, operator, heir.id, people.without_estate())

    owner = in_transaction(read_settings(data_dir=data), agency_id, transfer)
    if as_json:
        answer_json({"ownerId": owner.id})
        return
    out.print(f"The agency belongs to {to} ({owner.id}) now.")


@key.command("create")
def create_key(
    agency_id: Agency = None,
    workspace_id: Workspace = None,
    name: Annotated[str, typer.Option(help="What the key is called.")] = "Made by the operator",
    preset: Annotated[str | None, typer.Option(help=f"What it may do: {', '.join(PRESETS)}.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Or single scopes; give the option once for each.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a key of the agency (preset `master`) or of one workspace (preset `workspace`); it is shown this once."""
    usual = "master" if workspace_id is None else "workspace"
    draft = keys.Draft(name, scopes=scope or None, preset=preset if scope or preset else usual)

    async def mint(tx: Tx, operator: Caller) -> keys.Minted:
        return await keys.mint(tx, operator, draft, workspace_id=workspace_id)

    _show_text(in_transaction(read_settings(data_dir=data), agency_id, mint), as_json=as_json)


@key.command("list")
def list_keys(
    agency_id: Agency = None, workspace_id: Workspace = None, data: Data = None, as_json: Json = False
) -> None:
    """List the keys of the agency, or those of one workspace, the newest first; never their texts."""

    async def look(tx: Tx, operator: Caller) -> list[keys.Key]:
        found, more = await keys.page(tx, operator, workspace_id=workspace_id, limit=100)
        while more:
            rest, more = await keys.page(tx, operator, workspace_id=workspace_id, limit=100, after_id=found[-1].id)
            found += rest
        return found

    found = in_transaction(read_settings(data_dir=data), agency_id, look)
    if as_json:
        answer_json({"keys": [_told(one) for one in found]})
        return
    told = [_told(one) for one in found]
    print_table(
        ("Key", "Name", "Ends with", "State", "Made", "Last used"),
        [
            (one["id"], one["name"], one["hint"], one["status"], one["createdAt"], one["lastUsedAt"] or "never")
            for one in told
        ],
    )


@key.command("revoke")
def revoke_key(
    key_id: KeyId, agency_id: Agency = None, workspace_id: Workspace = None, data: Data = None, as_json: Json = False
) -> None:
    """End a key at once, everywhere; revoking twice changes nothing."""

    async def revoke(tx: Tx, operator: Caller) -> keys.Key:
        return await keys.revoke(tx, operator, key_id, workspace_id=workspace_id)

    ended = in_transaction(read_settings(data_dir=data), agency_id, revoke)
    if as_json:
        answer_json(_told(ended))
        return
    out.print(f"The key [bold]{ended.name}[/] (…{ended.hint}) is revoked.")


@key.command("roll")
def roll_key(
    key_id: KeyId,
    agency_id: Agency = None,
    workspace_id: Workspace = None,
    overlap_seconds: Annotated[int, typer.Option(help="How long the old text stays good.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give a key a new text, which is shown this once; its id, scopes and limits stay."""

    async def roll(tx: Tx, operator: Caller) -> keys.Minted:
        return await keys.roll(tx, operator, key_id, workspace_id=workspace_id, overlap_seconds=overlap_seconds)

    _show_text(in_transaction(read_settings(data_dir=data), agency_id, roll), as_json=as_json)


@credit.command("grant")
def grant_credits(
    amount_text: Annotated[str, typer.Option("--amount", help="How many credits, with at most three decimals.")],
    agency_id: Agency = None,
    workspace_id: Workspace = None,
    note: Annotated[str | None, typer.Option(help="A remark for the ledger.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Put credits into the agency's pool, or into that of one workspace."""
    milli = amount(amount_text, "--amount")

    async def grant(tx: Tx, operator: Caller) -> credits.Grant:
        return await credits.grant(tx, operator, amount=milli, workspace_id=workspace_id, note=note)

    granted = in_transaction(read_settings(data_dir=data), agency_id, grant)
    if as_json:
        answer_json({"grantId": granted.id, "amount": to_number(milli), "workspaceId": workspace_id})
        return
    out.print(f"Granted {to_text(milli)} credits to {workspace_id or 'the agency'} ({granted.id}).")


def _show_text(minted: keys.Minted, *, as_json: bool) -> None:
    if as_json:
        answer_json({**_told(minted.key), "key": minted.secret.reveal()})
        return
    out.print(f"The key [bold]{minted.key.name}[/] ({minted.key.id}), shown this once:\n")
    out.print(f"  {minted.secret.reveal()}\n", style="bold")


def _told(one: keys.Key) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "scope": one.scope,
        "workspaceId": one.workspace_id,
        "hint": one.hint,
        "status": one.status(datetime.now(UTC)),
        "createdAt": format_instant(one.created_at),
        "lastUsedAt": format_optional(one.last_used_at),
    }
