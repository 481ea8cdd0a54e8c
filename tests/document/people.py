"""Somebody for whom the examples about signing in are true: with that password, a link, a second factor."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyotp

from colonnade.ground.web import Who
from colonnade.tenancy import people, sessions
from tests.factories import a_signed_in, an_agency
from tests.house.installed import Installed
from tests.house.operations import Described
from tests.house.world import World

SHOWN = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Ready:
    """What is sent for an example: the headers, and the example with what is true of this person."""

    headers: Mapping[str, str]
    body: Any


def is_for_people(operation: Described) -> bool:
    """Whether an operation is the way in, or for those who are in."""
    return operation.access.who is Who.MEMBER or operation.path.startswith("/v1/auth/")


async def a_person_ready(installed: Installed, world: World, operation: Described, body: Any) -> Ready:
    """The owner of the world, as the example wants them."""
    database = installed.database
    async with database.transaction(world.home.reach) as tx:
        owner = await people.owner(tx)
        assert owner is not None
        person = await sessions.person(tx, owner.person_id)
        reset = await sessions.mint_reset(tx, person.id)
    if operation.access.who is Who.ANYONE:
        headers: Mapping[str, str] = {}
    else:
        role = "admin" if operation.name == "DELETE /v1/members/me" else "owner"  # the last owner stays
        headers = await a_signed_in(database, world.home, role)
    if body is None:
        return Ready(headers, None)
    if "password" in body or "current" in body:
        await _choose(installed, person.id)
    known = {"email": person.email, "token": reset.reveal()} if "invit" not in operation.path else {}
    if "agencyId" in body:
        other = await an_agency(database, name="Another")
        async with database.transaction(other.reach) as tx:
            await people.add_member(tx, other.caller, person_id=person.id, role="viewer")
        known = {"agencyId": other.agency_id}
    if "toMemberId" in body:
        known = {"toMemberId": world.ids["member_id"]}
    if operation.path == "/v1/auth/accept-invitation":
        async with database.transaction(world.home.reach) as tx:
            mailed = await people.mint_invitation(tx, world.ids["invitation_id"])
        assert mailed is not None
        known = {"token": mailed.token.reveal()}
    if "/totp" in operation.path:
        headers, codes = await _with_factor(installed, headers, confirm=not operation.path.endswith("/confirm"))
        known = codes
    return Ready(headers, {name: known.get(name, value) for name, value in body.items()})


async def _choose(installed: Installed, person_id: str) -> None:
    hasher = sessions.Hasher()
    encoded = await hasher.hash(SHOWN)
    hasher.close()
    await installed.database.lookup("select keep_password($1, $2)", person_id, encoded)


async def _with_factor(
    installed: Installed, headers: Mapping[str, str], *, confirm: bool
) -> tuple[Mapping[str, str], dict[str, str]]:
    """The headers and codes of somebody who has begun to set up a second factor, or has one."""
    made = (await installed.call(None, "POST", "/v1/me/totp", headers=headers)).json()
    totp, now = pyotp.TOTP(made["secret"]), int(time.time())
    if not confirm:
        return headers, {"code": totp.at(now)}
    answer = await installed.call(
        None, "POST", "/v1/me/totp/confirm", json={"code": totp.at(now - 30)}, headers=headers
    )
    told = answer.json()
    cookie = re.match(r"[^;]+", answer.headers["set-cookie"])
    assert cookie is not None
    fresh = {"cookie": cookie[0], "x-csrf-token": told["csrfToken"]}
    return fresh, {"code": totp.at(now), "recoveryCode": told["recoveryCodes"][0]}
