"""The keeper of sessions: warm ones cost no trip, ended ones are heard of by every process, idle ones are over."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database, Record
from colonnade.ground.web.doorway import Admission
from colonnade.tenancy import keys, people, sessions
from colonnade.tenancy.keys import MEMBER_RATE
from tests.conftest import PEPPER
from tests.factories import Home, a_signed_in, a_workspace, an_agency
from tests.sessions.signing import at_the_door


class Counting(Database):
    """The real door, which also counts the look-ups of sessions that pass through it."""

    asked = 0

    async def lookup(self, sql: str, *arguments: Any) -> list[Record]:
        self.asked += "door_session" in sql
        return await super().lookup(sql, *arguments)


@contextlib.asynccontextmanager
async def a_process(address: Address) -> AsyncIterator[tuple[sessions.SessionKeeper, Counting]]:
    """What one server holds of sessions, with a pool and an ear of its own."""
    database = Counting(address, "colonnade_app", PEPPER, most_connections=4)
    await database.open()
    limiter = keys.Limiter(database)
    keeper = sessions.SessionKeeper(database, limiter, sessions.Cookie())
    await keeper.start()
    try:
        yield keeper, database
    finally:
        await keeper.close()
        await limiter.close()
        await database.close()


def cookie_of(headers: dict[str, str]) -> str:
    return headers["cookie"].partition("=")[2]


async def admitted(keeper: sessions.SessionKeeper, headers: dict[str, str], address: str = "192.0.2.1") -> Admission:
    admission = await keeper.admit(cookie_of(headers), address)
    assert isinstance(admission, Admission), admission
    return admission


async def refused(keeper: sessions.SessionKeeper, headers: dict[str, str], address: str = "192.0.2.1") -> str:
    refusal = await keeper.admit(cookie_of(headers), address)
    assert isinstance(refusal, Refused)
    return refusal.reason


async def end(database: Database, home: Home, session_id: str | None) -> None:
    async with database.transaction(home.reach) as tx:
        await tx.execute("delete from session where agency_id = $1 and id = $2", tx.agency_id, session_id)


async def test_a_warm_session_costs_no_look_up(database: Database, address: Address) -> None:
    home = await an_agency(database)
    headers = await a_signed_in(database, home)
    async with a_process(address) as (keeper, counting):
        for _ in range(5):
            caller = (await admitted(keeper, headers)).caller
        assert (caller.actor_id, caller.agency_id, counting.asked) == (home.owner_id, home.agency_id, 1)


async def test_a_session_that_ends_is_heard_of_by_every_process_within_a_second(
    database: Database, address: Address, record_property: Any
) -> None:
    home = await an_agency(database)
    async with a_process(address) as (one, _), a_process(address) as (other, _):
        slowest = 0.0
        for _ in range(10):
            headers = await a_signed_in(database, home)
            for keeper in (one, other):
                caller = (await admitted(keeper, headers)).caller
            await end(database, home, caller.session_id)
            began = time.monotonic()
            async with asyncio.timeout(1):
                for keeper in (one, other):
                    while isinstance(await keeper.admit(cookie_of(headers), None), Admission):
                        await asyncio.sleep(0.001)
            slowest = max(slowest, time.monotonic() - began)
        record_property("slowest_seconds", slowest)


async def _heard(keeper: sessions.SessionKeeper, headers: dict[str, str], scope: str, *, holds: bool) -> None:
    async with asyncio.timeout(1):
        while (await admitted(keeper, headers)).caller.holds(scope) is not holds:
            await asyncio.sleep(0.001)


async def test_a_changed_role_and_a_member_who_is_removed_are_heard_of(database: Database, address: Address) -> None:
    home = await an_agency(database)
    headers = await a_signed_in(database, home, "viewer")
    async with a_process(address) as (keeper, _):
        member_id = (await admitted(keeper, headers)).caller.actor_id
        for role, holds in (("admin", True), ("viewer", False)):
            async with database.transaction(home.reach) as tx:
                change = people.Change(role=role)  # type: ignore[arg-type]
                await people.change(tx, home.caller, member_id, change, people.without_estate())
            await _heard(keeper, headers, "workspaces:create", holds=holds)
        async with database.transaction(home.reach) as tx:
            await tx.execute("delete from member where agency_id = $1 and id = $2", tx.agency_id, member_id)
        async with asyncio.timeout(1):
            while isinstance(await keeper.admit(cookie_of(headers), None), Admission):
                await asyncio.sleep(0.001)


async def test_an_assignment_is_heard_of(database: Database, address: Address) -> None:
    home = await an_agency(database)
    place = await a_workspace(database, home)
    headers = await a_signed_in(database, home, "viewer", workspaces={})
    async with a_process(address) as (keeper, _):
        caller = (await admitted(keeper, headers)).caller
        assert caller.reach.workspace_ids == ()
        async with database.transaction(home.reach) as tx:
            assigned = people.Change(workspaces=[people.Assignment(place.id, "manager")])
            await people.change(tx, home.caller, caller.actor_id, assigned, people.without_estate())
        async with asyncio.timeout(1):
            while (caller := (await admitted(keeper, headers)).caller).reach.workspace_ids != (place.id,):
                await asyncio.sleep(0.001)
        assert caller.within(place.id).holds("content:write")


async def test_a_process_that_cannot_hear_asks_every_time(database: Database, address: Address) -> None:
    headers = await a_signed_in(database, await an_agency(database))
    deaf = Counting(address, "colonnade_app", PEPPER, most_connections=4)
    await deaf.open()
    limiter = keys.Limiter(deaf)
    keeper = sessions.SessionKeeper(deaf, limiter, sessions.Cookie())
    for _ in range(3):
        await admitted(keeper, headers)
    await keeper.close()
    await limiter.close()
    await deaf.close()
    assert deaf.asked == 3


@pytest.mark.parametrize("column", ["last_seen_at", "expires_at"])
async def test_a_session_is_over_when_it_was_idle_or_its_time_has_come(
    database: Database, address: Address, owner: Any, column: str
) -> None:
    home = await an_agency(database)
    headers = await a_signed_in(database, home)
    async with a_process(address) as (keeper, _):
        session_id = (await admitted(keeper, headers)).caller.session_id
    ago = timedelta(seconds=1) if column == "expires_at" else sessions.IDLE
    async with owner.transaction():
        await owner.execute(f"set local app.agency_id = '{home.agency_id}'; set local app.workspace_ids = '*'")
        await owner.execute(
            f"update session set {column} = now() - $3::interval where agency_id = $1 and id = $2",
            *(home.agency_id, session_id, ago),
        )
    async with a_process(address) as (keeper, _):
        assert await refused(keeper, headers) == "auth.session_ended"


async def test_the_agencys_allowlist_binds_its_members_too(database: Database, address: Address) -> None:
    home = await an_agency(database)
    headers = await a_signed_in(database, home)
    async with a_process(address) as (keeper, _):
        await admitted(keeper, headers)
        async with database.transaction(home.reach) as tx:
            await tx.execute(
                """update agency set settings = '{"ipAllowlist": ["203.0.113.0/24"]}' where agency_id = $1""",
                tx.agency_id,
            )
        async with asyncio.timeout(1):
            while isinstance(await keeper.admit(cookie_of(headers), "192.0.2.1"), Admission):
                await asyncio.sleep(0.001)
        assert await refused(keeper, headers) == "keys.address_refused"
        await admitted(keeper, headers, "203.0.113.7")


async def test_a_session_calls_as_often_as_its_limit_says_and_no_more(database: Database, address: Address) -> None:
    headers = await a_signed_in(database, await an_agency(database))
    async with a_process(address) as (keeper, _):
        rates = [(await admitted(keeper, headers)).rate for _ in range(MEMBER_RATE.requests + 1)]
    assert [rate.granted for rate in rates if rate is not None] == [True] * MEMBER_RATE.requests + [False]


async def test_a_use_is_noted_with_its_address(database: Database, address: Address) -> None:
    home = await an_agency(database)
    headers = await a_signed_in(database, home)
    async with a_process(address) as (keeper, _):
        caller = (await admitted(keeper, headers, "198.51.100.9")).caller
        await keeper.uses.flush()
    async with database.transaction(home.reach) as tx:
        session = await sessions.own(tx, caller)
    assert session.address == "198.51.100.9"
    assert session.last_seen_at > session.created_at


async def test_sessions_are_listed_and_ended_by_their_member_alone(database: Database) -> None:
    home = await an_agency(database)
    mine, also_mine = await a_signed_in(database, home), await a_signed_in(database, home)
    theirs = await a_signed_in(database, home, "admin")
    async with at_the_door(database) as client:
        listed = (await client.get("/v1/me/sessions", headers=mine)).json()
        paged = (await client.get("/v1/me/sessions?limit=1", headers=mine)).json()
        rest = (await client.get("/v1/me/sessions", params={"cursor": paged["nextCursor"]}, headers=mine)).json()
        other = (await client.get("/v1/me", headers=theirs)).json()["sessionId"]
        foreign = await client.delete(f"/v1/me/sessions/{other}", headers=mine)
        ended = await client.delete("/v1/me/sessions", headers=mine)

        assert [one["isCurrent"] for one in listed["data"]] == [False, True]
        assert [one["id"] for one in listed["data"]] == [paged["data"][0]["id"], rest["data"][0]["id"]]
        assert (foreign.status_code, ended.status_code) == (404, 204)
        assert (await client.get("/v1/me", headers=also_mine)).status_code == 401
        assert (await client.get("/v1/me", headers=theirs)).status_code == 200
        assert len((await client.get("/v1/me/sessions", headers=mine)).json()["data"]) == 1


async def test_the_house_forgets_sessions_that_are_over(
    database: Database, worker_database: Database, owner: Any
) -> None:
    home = await an_agency(database)
    await a_signed_in(database, home)
    kept = await a_signed_in(database, home)
    async with owner.transaction():
        await owner.execute(f"set local app.agency_id = '{home.agency_id}'; set local app.workspace_ids = '*'")
        await owner.execute(
            """update session set expires_at = now() - interval '1 second' where agency_id = $1
               and id = (select min(id) from session where agency_id = $1)""",
            home.agency_id,
        )
    await worker_database.lookup("select forget_sessions($1, 1000)", sessions.IDLE)
    async with database.transaction(home.reach) as tx:
        assert await tx.fetchval("select count(*) from session where agency_id = $1", tx.agency_id) == 1
    assert kept
