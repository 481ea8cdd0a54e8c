"""The word `person`: how the operator lets somebody in who cannot come in by themselves."""

from typing import Annotated

import typer

from colonnade.cli.console import answer_json, out
from colonnade.cli.options import Data, Json
from colonnade.cli.runtime import read_settings, with_database
from colonnade.cli.whereabouts import address
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Database
from colonnade.tenancy import agencies, audit, sessions

person = typer.Typer(help="People who sign in.", no_args_is_help=True)


@person.command("invite-link")
def invite_link(
    email: Annotated[str, typer.Option(help="The e-mail address of a member of an agency.")],
    url: Annotated[
        str | None, typer.Option(help="The address that the link begins with; else where the installation answers.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a link by which a person chooses a password: for one hour, once. Signing in comes after.

    For the owner of a fresh agency, and for whoever no mail reaches. It is shown this once; a link of before is dead.
    """
    settings = read_settings(data_dir=data)
    token = with_database(settings, lambda database: mint_link(database, email))
    base = address(settings, url)
    link = f"{base}/reset-password#token={token.reveal()}"
    if as_json:
        answer_json({"email": email, "token": token.reveal(), "link": link})
        return
    out.print(f"For {email}, within the next hour, once:\n", markup=False)
    out.print(f"  {link}\n", style="bold", markup=False, soft_wrap=True)
    out.print("Or without a browser:\n")
    body = f'{{"token": "{token.reveal()}", "password": "…"}}'
    out.print(f"  curl {base}/v1/auth/password-reset/confirm -d '{body}'\n", markup=False, soft_wrap=True)


async def mint_link(database: Database, email: str) -> Secret:
    """The token of a fresh link for the person with this address, written down in the agency where they were last."""
    person = await sessions.person_by_email(database, email.strip().lower())
    places = await sessions.memberships(database, person.id) if person else []
    if person is None or not places:
        raise Refused("resource.not_found", f"No member of any agency has the address {email}.")
    operator = agencies.entering(places[0].agency_id)
    async with database.transaction(operator.reach) as tx:
        token = await sessions.mint_reset(tx, person.id)
        await audit.record(tx, operator, "people.reset_link_made", person.id)
    return token
