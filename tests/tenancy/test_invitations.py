"""Invitations: who may send them, what their link opens, and that it opens once."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.ids import new_request_id
from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.ground.core.scopes import PRESETS
from colonnade.ground.core.secrets import is_token, new_token
from colonnade.ground.db.database import Database
from colonnade.tenancy import people
from colonnade.tenancy.people import Arrival, Assignment, Change, Draft, Filters, Paging
from tests.factories import a_workspace, agency_caller, an_agency
from tests.tenancy.membership import (
    a_member,
    accepted,
    an_email,
    an_invitation,
    estate,
    mailed,
    signed_in,
    the_owner,
)


async def test_whoever_is_invited_becomes_a_member_with_the_role_and_the_workspaces(database: Database) -> None:
    home = await an_agency(database)
    first, second = await a_workspace(database, home), await a_workspace(database, home, name="Second")
    wanted = [Assignment(second.id, "viewer"), Assignment(first.id, "manager")]
    invitation = await an_invitation(database, home, email="Ana@North.Example", role="viewer", workspaces=wanted)

    token = await mailed(database, home, invitation.id)
    found = await people.find_invitation(database, token.reveal())
    member = await accepted(database, home, invitation)

    assert found is not None
    assert (found.agency_id, found.agency_name, found.id) == (home.agency_id, "Northlight", invitation.id)
    assert (found.email, found.role, found.expires_at) == ("ana@north.example", "viewer", invitation.expires_at)
    assert (member.role, member.workspaces) == ("viewer", "assigned")
    async with database.transaction(home.reach) as tx:
        assigned, more = await people.assignments(tx, home.caller, member.id, limit=10)
    assert {(one.workspace_id, one.role) for one in assigned} == {(first.id, "manager"), (second.id, "viewer")}
    assert not more
    assert await people.find_invitation(database, token.reveal()) is None


async def test_one_person_may_be_a_member_of_several_agencies(database: Database) -> None:
    home, other = await an_agency(database), await an_agency(database)
    email = an_email()

    members = [await accepted(database, one, await an_invitation(database, one, email=email)) for one in (home, other)]

    assert members[0].person_id == members[1].person_id
    assert members[0].id != members[1].id


async def test_a_token_is_kept_as_its_digest_alone(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home)
    token = await mailed(database, home, invitation.id)

    assert is_token("invite", token.reveal())
    assert not is_token("invite", token.reveal()[:-1] + ("a" if token.reveal()[-1] != "a" else "b"))
    async with database.transaction(home.reach) as tx:
        rows = await tx.fetch("select i::text as text from invitation i where agency_id = $1", home.agency_id)
        audits = await tx.fetch("select a::text as text from audit_entry a where agency_id = $1", home.agency_id)
    assert not any(token.reveal() in row["text"] for row in [*rows, *audits])


async def test_of_many_who_accept_at_once_exactly_one_does(database: Database) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home)

    outcomes = await asyncio.gather(*(accepted(database, home, invitation) for _ in range(8)), return_exceptions=True)

    refused = [one for one in outcomes if isinstance(one, Refused)]
    assert len(refused) == 7
    assert {one.reason for one in refused} == {"invitations.ended"}


async def test_the_newest_link_is_the_only_one_that_opens(database: Database) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home)
    first = await mailed(database, home, invitation.id)
    second = await mailed(database, home, invitation.id)

    assert await people.find_invitation(database, first.reveal()) is None
    assert await people.find_invitation(database, second.reveal()) is not None
    async with database.transaction(home.reach) as tx:
        await people.resend(tx, the_owner(home), invitation.id)
    assert await people.find_invitation(database, second.reveal()) is None


async def test_a_withdrawn_invitation_opens_nothing_and_is_mailed_no_more(database: Database) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home)
    token = await mailed(database, home, invitation.id)

    async with database.transaction(home.reach) as tx:
        await people.withdraw(tx, the_owner(home), invitation.id)

    assert await people.find_invitation(database, token.reveal()) is None
    async with database.transaction(home.reach) as tx:
        assert await people.mint_invitation(tx, invitation.id) is None
    with pytest.raises(Refused) as refused:
        await accepted(database, home, invitation)
    assert refused.value.reason == "invitations.ended"
    for verb in (people.withdraw, people.resend):
        with pytest.raises(Refused) as refused:
            async with database.transaction(home.reach) as tx:
                await verb(tx, the_owner(home), invitation.id)
        assert refused.value.reason == "resource.not_found"


async def test_an_expired_invitation_opens_nothing_until_it_is_sent_anew(database: Database) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home)
    token = await mailed(database, home, invitation.id)
    async with database.transaction(home.reach) as tx:
        await tx.execute(
            "update invitation set expires_at = now() - interval '1 second' where agency_id = $1", home.agency_id
        )

    assert await people.find_invitation(database, token.reveal()) is None
    with pytest.raises(Refused):
        await accepted(database, home, invitation)
    async with database.transaction(home.reach) as tx:
        renewed = await people.resend(tx, the_owner(home), invitation.id)
    assert renewed.expires_at > invitation.expires_at
    await mailed(database, home, invitation.id)
    assert (await accepted(database, home, invitation)).role == "manager"


async def test_nobody_else_accepts_an_invitation(database: Database) -> None:
    home = await an_agency(database)
    stranger = await a_member(database, await an_agency(database))
    invitation = await an_invitation(database, home)

    with pytest.raises(Refused) as refused:
        async with database.transaction(home.reach) as tx:
            await people.accept_invitation(tx, invitation.id, Arrival(stranger.person_id, new_request_id()))

    assert refused.value.reason == "invitations.other_person"
    assert (await accepted(database, home, invitation)).role == "manager"


async def test_an_invitation_dies_with_what_its_sender_may(database: Database) -> None:
    home = await an_agency(database)
    admin = await a_member(database, home, "admin")
    lowered = await an_invitation(database, home, signed_in(home, admin.id, "admin"), role="admin")
    async with database.transaction(home.reach) as tx:
        await people.change(tx, the_owner(home), admin.id, Change(role="viewer"), estate())

    with pytest.raises(Refused) as refused:
        await accepted(database, home, lowered)

    assert refused.value.reason == "invitations.ended"


async def test_the_invitations_of_a_member_who_is_removed_are_withdrawn(database: Database) -> None:
    home = await an_agency(database)
    admin = await a_member(database, home, "admin")
    invitation = await an_invitation(database, home, signed_in(home, admin.id, "admin"))
    token = await mailed(database, home, invitation.id)

    async with database.transaction(home.reach) as tx:
        await people.remove(tx, the_owner(home), admin.id, estate())

    assert await people.find_invitation(database, token.reveal()) is None


async def test_an_address_is_invited_once_and_a_member_is_not_invited(database: Database) -> None:
    home = await an_agency(database)
    member = await a_member(database, home, email="known@north-invited.example")
    invitation = await an_invitation(database, home)

    for email, reason, details in (
        ("KNOWN@north-invited.example", "members.already", {"memberId": member.id}),
        (invitation.email.upper(), "members.invited", {"invitationId": invitation.id}),
    ):
        with pytest.raises(Refused) as refused:
            await an_invitation(database, home, email=email)
        assert (refused.value.reason, refused.value.details) == (reason, details)


async def test_nobody_invites_to_more_than_they_hold(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    admin = await a_member(database, home, "admin")
    management = agency_caller(home.agency_id, scopes=PRESETS["management"])
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (signed_in(home, admin.id, "admin"), {"role": "owner"}, "members.owners_only"),
        (home.caller, {"role": "owner"}, "members.owners_only"),
        (management, {"role": "manager"}, "keys.scope_not_held"),
        (agency_caller(home.agency_id, scopes=PRESETS["read_only"]), {}, "keys.scope_missing"),
        (
            agency_caller(home.agency_id, scopes=PRESETS["read_only"] | {"members:write"}),
            {"role": "viewer", "workspaces": [Assignment(workspace.id, "manager")]},
            "keys.scope_not_held",
        ),
    ]

    for caller, draft, reason in cases:
        with pytest.raises(Refused) as refused:
            await an_invitation(database, home, caller, **draft)
        assert refused.value.reason == reason
    assert (await an_invitation(database, home, role="owner")).role == "owner"


async def test_bad_workspaces_of_an_invitation_are_all_named(database: Database) -> None:
    home = await an_agency(database)
    own = await a_workspace(database, home)
    foreign = await a_workspace(database, await an_agency(database))
    wanted = [Assignment(one, "viewer") for one in (own.id, foreign.id, "ws_nothing", own.id)]

    with pytest.raises(BadFields) as bad:
        await an_invitation(database, home, workspaces=wanted)

    pointers = [error.pointer for error in bad.value.errors]
    assert pointers == [f"/workspaces/{number}/workspaceId" for number in (1, 2, 3)]
    with pytest.raises(BadFields) as bad:
        await an_invitation(database, home, role="admin", workspaces=wanted[:1])
    assert [error.pointer for error in bad.value.errors] == ["/workspaces"]


async def test_invitations_stand_in_the_list_of_members_until_they_are_used(database: Database) -> None:
    home = await an_agency(database)
    invitation = await an_invitation(database, home, name="Ana")

    async def listed(**only: str) -> list[tuple[str, str]]:
        async with database.transaction(home.reach) as tx:
            found = await people.page(tx, home.caller, Filters(**only), Paging())
        assert found.total == len(found.items)
        return [(one.id, one.status) for one in found.items]

    assert await listed() == [(invitation.id, "invited"), (home.owner_id, "active")]
    assert await listed(status="active") == [(home.owner_id, "active")]
    assert await listed(q="ANA", role="manager", status="invited") == [(invitation.id, "invited")]
    member = await accepted(database, home, invitation)
    assert await listed() == [(member.id, "active"), (home.owner_id, "active")]


async def test_nobodys_mailbox_is_filled_by_way_of_invitations(database: Database) -> None:
    home = await an_agency(database)
    email, owner = an_email(), the_owner(home)

    async def invite_resend_and_withdraw() -> None:
        invitation = await an_invitation(database, home, email=email)
        async with database.transaction(home.reach) as tx:
            await people.resend(tx, owner, invitation.id)
        async with database.transaction(home.reach) as tx:
            await people.withdraw(tx, owner, invitation.id)

    for _ in range(5):
        await invite_resend_and_withdraw()
    with pytest.raises(Refused) as refused:
        await invite_resend_and_withdraw()

    assert refused.value.reason == "invitations.too_many_mails"
    assert (await an_invitation(database, await an_agency(database), email=email)).email == email


async def test_a_key_of_some_workspaces_invites_nobody(database: Database) -> None:
    home = await an_agency(database)
    workspace = await a_workspace(database, home)
    limited = replace(home.caller, reach=Reach(home.agency_id, (workspace.id,)))

    with pytest.raises(Refused) as refused:
        async with database.transaction(limited.reach) as tx:
            await people.invite(tx, limited, Draft(an_email(), "viewer"))

    assert refused.value.reason == "keys.wrong_kind"
    async with database.transaction(limited.reach) as tx:
        assert (await people.page(tx, limited, Filters(), Paging())).items == []


async def test_a_token_that_was_never_given_opens_nothing(database: Database) -> None:
    for token in ("", "col_invite_", new_token("invite").reveal(), new_token("reset").reveal(), "\0", "a" * 10_000):
        assert await people.find_invitation(database, token) is None
