"""Keys and sessions that live as long as one command: made by the operator, ended with it whatever happens."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final

from colonnade.cli.console import err
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_request_id
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import UNREACHABLE, Database
from colonnade.tenancy import agencies, keys, people, sessions
from colonnade.tenancy.keys import Draft
from colonnade.tenancy.people import Member

LONGEST: Final = timedelta(hours=2)
"""After this they are of no use even where nobody could end them."""

Ending = Callable[[], Coroutine[Any, Any, None]]


class Temporary:
    """Makes them, and ends all of them when the command does."""

    def __init__(self, database: Database, cookie: str) -> None:
        self._database = database
        self._cookie = cookie
        self._endings: list[Ending] = []
        self.made = 0

    async def __aenter__(self) -> "Temporary":
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        left = 0
        while self._endings:
            try:
                await self._endings.pop()()
            except NotFound:  # somebody else has ended it
                continue
            except UNREACHABLE:
                left += 1
        if left:
            err.print(f"{left} keys and sessions could not be ended; they are over after two hours at the latest.")

    async def key(self, operator: Caller, draft: Draft, workspace_id: str | None = None) -> dict[str, str]:
        """The headers of a key without a limit."""
        ends_at = draft.expires_at or datetime.now(UTC) + LONGEST
        wanted = replace(draft, rate_limit=None, expires_at=ends_at)
        async with self._database.transaction(operator.reach) as tx:
            minted = await keys.mint(tx, operator, wanted, workspace_id=workspace_id)

        async def revoke() -> None:
            async with self._database.transaction(operator.reach) as tx:
                await keys.revoke(tx, operator, minted.key.id, workspace_id=workspace_id)

        self._endings.append(revoke)
        self.made += 1
        return {"Authorization": f"Bearer {minted.secret.reveal()}"}

    async def revoked_key(self, operator: Caller, draft: Draft) -> dict[str, str]:
        """The headers of a key that is over already."""
        headers = await self.key(operator, draft)
        await self._endings.pop()()
        return headers

    async def test_mode(self, operator: Caller) -> Caller:
        """The operator in the agency's test twin."""
        return agencies.entering(await agencies.ensure_test_twin(self._database, operator), mode="test")

    async def session(self, agency_id: str, member: Member) -> dict[str, str]:
        """The headers of a session of this member: its cookie, and the token that its writes bring along."""
        operator = agencies.entering(agency_id)
        async with self._database.transaction(operator.reach) as tx:
            person = await sessions.person(tx, member.person_id)
            place = sessions.Membership(agency_id, "", member.id, member.role)
            caller = sessions.Visitor(new_request_id(), None).member(person, place)
            started = await sessions.start(
                *(tx, caller, person),
                user_agent="verify-isolation",
                second_factor=False,
                expires_at=datetime.now(UTC) + LONGEST,
            )

        async def end() -> None:
            async with self._database.transaction(operator.reach) as tx:
                await sessions.end(tx, caller, started.session.id)

        self._endings.append(end)
        self.made += 1
        token = sessions.csrf_token(self._database.pepper, started.session.id)
        return {"Cookie": f"{self._cookie}={started.secret.reveal()}", "X-CSRF-Token": token}

    async def member(self, operator: Caller, role: str, email: str) -> Member:
        """A member of a probe agency with this role; one that is there already is taken again."""
        async with self._database.transaction(operator.reach) as tx:
            person_id = await people.ensure_person(tx, email=email)
            return await people.add_member(tx, operator, person_id=person_id, role=role)
