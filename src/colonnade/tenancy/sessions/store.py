"""How sessions are kept; what people prove themselves with is global and reached through its functions alone."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from colonnade.ground.db.database import Database, Record, Tx
from colonnade.tenancy.keys import MOMENTS
from colonnade.tenancy.sessions.model import RESET_LASTS, Membership, Person, Session

CHANNEL: Final = "colonnade_sessions"
"""Where every process hears the id of a session that ended, or of a member, person or agency that changed."""

LOOK_UP: Final = "select * from door_session($1)"
NOTE_USES: Final = f"select note_session_uses($1, {MOMENTS}, $3)"

_FIELDS: Final = (
    *("agency_id", "id", "member_id", "person_id", "second_factor", "user_agent"),
    *("created_at", "last_seen_at", "expires_at"),
)
_COLUMNS: Final = f"{', '.join(_FIELDS)}, host(address) as address"


def _session(row: Record) -> Session:
    values: dict[str, Any] = {name: row[name] for name in (*_FIELDS, "address")}
    return Session(**values)


ADD: Final = f"""
insert into session (agency_id, id, member_id, person_id, digest, second_factor, address, user_agent,
                     created_at, last_seen_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
returning {_COLUMNS}
"""


async def add(tx: Tx, session: Session, digest: bytes) -> Session:
    """Write a new session; the door learns of it by the same statement."""
    row = await tx.fetchone(
        ADD,
        *(tx.agency_id, session.id, session.member_id, session.person_id, digest, session.second_factor),
        *(session.address, session.user_agent, session.created_at, session.expires_at),
    )
    return _session(row)


FIND: Final = f"select {_COLUMNS} from session where agency_id = $1 and member_id = $2 and id = $3"


async def find(tx: Tx, member_id: str, session_id: str) -> Session | None:
    """This session of the member."""
    row = await tx.fetchrow(FIND, tx.agency_id, member_id, session_id)
    return None if row is None else _session(row)


PAGE: Final = f"""
select {_COLUMNS} from session
where agency_id = $1 and member_id = $2 and ($3::text is null or id < $3)
  and expires_at > now() and last_seen_at > now() - $4::interval
order by id desc limit $5
"""


async def page(tx: Tx, member_id: str, *, idle: timedelta, limit: int, after_id: str | None) -> list[Session]:
    """The member's sessions that are not over, the newest first, behind the given one."""
    return [_session(row) for row in await tx.fetch(PAGE, tx.agency_id, member_id, after_id, idle, limit)]


END: Final = f"delete from session where agency_id = $1 and member_id = $2 and id = $3 returning {_COLUMNS}"


async def end(tx: Tx, member_id: str, session_id: str) -> Session | None:
    """End this session of the member; every process hears of it at the commit."""
    row = await tx.fetchrow(END, tx.agency_id, member_id, session_id)
    return None if row is None else _session(row)


END_OTHERS: Final = "delete from session where agency_id = $1 and member_id = $2 and id <> $3"


async def end_others(tx: Tx, member_id: str, but_for: str) -> int:
    """End the member's other sessions in this agency; how many."""
    return await tx.execute(END_OTHERS, tx.agency_id, member_id, but_for)


END_OF_PERSON: Final = "select end_sessions_of_person($1, null)"


async def end_of_person(tx: Tx, person_id: str) -> int:
    """End the person's sessions in every agency; how many."""
    ended: int = await tx.fetchval(END_OF_PERSON, person_id)
    return ended


TO_PROVE: Final = "select * from person_to_prove($1, $2)"


async def person_by_email(database: Database, email: str) -> Person | None:
    """The person with this address, and what they prove themselves with."""
    rows = await database.lookup(TO_PROVE, email, None)
    return Person(**dict(rows[0])) if rows else None


async def person_by_id(database: Database, person_id: str) -> Person | None:
    """The same by the person's id."""
    rows = await database.lookup(TO_PROVE, None, person_id)
    return Person(**dict(rows[0])) if rows else None


async def person(tx: Tx, person_id: str) -> Person:
    """The same within a command, of a person who is there."""
    return Person(**dict(await tx.fetchone(TO_PROVE, None, person_id)))


MEMBERSHIPS: Final = "select * from memberships_of_person($1)"


async def memberships(database: Database, person_id: str) -> list[Membership]:
    """Where the person is a member, first where they were last."""
    return [Membership(**dict(row)) for row in await database.lookup(MEMBERSHIPS, person_id)]


HOLD: Final = "select * from hold_person_secret($1)"
RENAME: Final = "select rename_person($1, $2)"
KEEP_PASSWORD: Final = "select keep_password($1, $2)"  # noqa: S105 (a statement)
KEEP_TOTP: Final = "select keep_totp($1, $2)"
USE_STEP: Final = "select use_totp_step($1, $2)"
KEEP_CODES: Final = "select keep_recovery_codes($1, $2)"
USE_CODE: Final = "select use_recovery_code($1, $2)"
KEEP_RESET: Final = "select keep_reset($1, $2, $3)"
LOOK_UP_RESET: Final = "select person_id from door_reset($1)"
USE_RESET: Final = "select use_reset($1, $2)"


async def hold(tx: Tx, person_id: str) -> tuple[str | None, bool]:
    """What is kept of the password, and whether there is a second factor; stays so until the end of the transaction."""
    row = await tx.fetchrow(HOLD, person_id)
    return (None, False) if row is None else (row["password"], row["is_enrolled"])


async def rename(tx: Tx, person_id: str, name: str) -> None:
    """Give the person another name, in every agency."""
    await tx.execute(RENAME, person_id, name)


async def keep_password(tx: Tx, person_id: str, encoded: str) -> None:
    """Replace what is kept of the password."""
    await tx.execute(KEEP_PASSWORD, person_id, encoded)


async def keep_totp(tx: Tx, person_id: str, sealed: bytes | None) -> bool:
    """Begin with another secret, or (none) end the second factor; false when a confirmed one stands in the way."""
    kept: bool = await tx.fetchval(KEEP_TOTP, person_id, sealed)
    return kept


async def use_step(tx: Tx, person_id: str, step: int) -> bool:
    """Use up the code of this step; false when it was used before."""
    used: bool = await tx.fetchval(USE_STEP, person_id, step)
    return used


async def keep_recovery_codes(tx: Tx, person_id: str, digests: Sequence[bytes]) -> None:
    """Let these codes count and no others."""
    await tx.execute(KEEP_CODES, person_id, list(digests))


async def use_recovery_code(tx: Tx, person_id: str, digests: Sequence[bytes]) -> bool:
    """Use up a recovery code; false when there is none such."""
    used: bool = await tx.fetchval(USE_CODE, person_id, list(digests))
    return used


async def keep_reset(tx: Tx, person_id: str, digest: bytes) -> None:
    """Let this link alone open the person's password, for an hour."""
    await tx.execute(KEEP_RESET, person_id, digest, RESET_LASTS)


async def find_reset(database: Database, digests: Sequence[bytes]) -> str | None:
    """Whose link this is, if it is good."""
    rows = await database.lookup(LOOK_UP_RESET, list(digests))
    return rows[0]["person_id"] if rows else None


async def use_reset(tx: Tx, person_id: str, digests: Sequence[bytes]) -> bool:
    """Use up the link; false when somebody else was quicker."""
    used: bool = await tx.fetchval(USE_RESET, person_id, list(digests))
    return used
