"""The word `person` of the command line."""

import pytest

from colonnade.cli.person_words import mint_link
from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Database
from tests.factories import an_agency
from tests.sessions.signing import OTHER, Human, a_human, at_the_door, log_in


async def test_the_operators_link_lets_a_person_choose_a_password(database: Database) -> None:
    home = await an_agency(database)
    human = await a_human(database, home)
    token = await mint_link(database, human.email.upper())
    async with at_the_door(database) as client:
        body = {"token": token.reveal(), "password": OTHER}
        assert (await client.post("/v1/auth/password-reset/confirm", json=body)).status_code == 204
        assert (await log_in(client, Human("", "", human.email, OTHER))).status_code == 200
    async with database.transaction(home.reach) as tx:
        made = await tx.fetchval(
            "select actor_kind from audit_entry where agency_id = $1 and event = 'people.reset_link_made'", tx.agency_id
        )
    assert made == "operator"


async def test_nobody_gets_a_link_who_is_no_member(database: Database) -> None:
    with pytest.raises(Refused, match=r"No member of any agency"):
        await mint_link(database, "nobody@people.example")
