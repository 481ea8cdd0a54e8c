"""How invitations are kept; their links are nowhere, only the digests of them."""

from typing import Final

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Database, Record, Tx
from colonnade.tenancy.people.model import INVITATION_LASTS, Draft, FoundInvitation, Invitation

_NAMES: Final = (
    *("id", "email", "name", "role", "workspaces", "invited_by", "invited_by_name", "expires_at", "accepted_at"),
    *("withdrawn_at", "created_at", "updated_at"),
)
_COLUMNS: Final = ", ".join(_NAMES)
_OPEN: Final = "accepted_at is null and withdrawn_at is null"

ADD: Final = f"""
insert into invitation (agency_id, id, email, name, role, workspaces, invited_by, invited_by_name, expires_at,
                        created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz + $10::interval, $9, $9)
on conflict (agency_id, email) where {_OPEN} do nothing returning {_COLUMNS}
"""
FIND: Final = f"select {_COLUMNS} from invitation where agency_id = $1 and id = $2"
LOCK: Final = f"{FIND} and {_OPEN} for no key update"
FIND_OPEN: Final = f"select {_COLUMNS} from invitation where agency_id = $1 and email = $2 and {_OPEN}"
COUNT_OPEN: Final = (
    f"select count(*) from (select from invitation where agency_id = $1 and {_OPEN} limit $2) as counted"
)
MAILS_TO: Final = """
select coalesce(sum(mails), 0) from invitation
where agency_id = $1 and email = $2 and updated_at > $3::timestamptz - interval '1 day'
"""
RENEW: Final = f"""
update invitation set expires_at = $3::timestamptz + $4::interval, digest = null, mails = mails + 1, updated_at = $3
where agency_id = $1 and id = $2 and {_OPEN} returning {_COLUMNS}
"""
WITHDRAW: Final = f"""
update invitation set withdrawn_at = $3, digest = null, updated_at = $3
where agency_id = $1 and id = $2 and {_OPEN} returning {_COLUMNS}
"""
WITHDRAW_BY: Final = f"""
update invitation set withdrawn_at = $3, digest = null, updated_at = $3
where agency_id = $1 and invited_by = $2 and {_OPEN}
"""
MINT: Final = f"""
update invitation set digest = $3, updated_at = $4
where agency_id = $1 and id = $2 and {_OPEN} and expires_at > $4 returning {_COLUMNS}
"""
ACCEPT: Final = f"""
update invitation set accepted_at = $3, digest = null, updated_at = $3
where agency_id = $1 and id = $2 and {_OPEN} and expires_at > $3 returning {_COLUMNS}
"""
LOOK_UP: Final = "select * from door_invitation($1)"


def _invitation(row: Record | None) -> Invitation | None:
    return None if row is None else Invitation(**{name: row[name] for name in _NAMES})


async def add(tx: Tx, draft: Draft, by: tuple[str, str]) -> Invitation | None:
    """The new invitation, by this actor's id and name; none when one to this address is open."""
    assigned = None
    if not isinstance(draft.workspaces, str):
        assigned = [{"workspaceId": one.workspace_id, "role": one.role} for one in draft.workspaces]
    row = await tx.fetchrow(
        ADD,
        *(tx.agency_id, new_id("invite"), draft.email, draft.name, draft.role, assigned, *by),
        *(await tx.now(), INVITATION_LASTS),
    )
    return _invitation(row)


async def find(tx: Tx, invitation_id: str) -> Invitation | None:
    """The invitation with this id, open or not."""
    return _invitation(await tx.fetchrow(FIND, tx.agency_id, invitation_id))


async def lock(tx: Tx, invitation_id: str) -> Invitation | None:
    """The open invitation with this id; nobody else changes it until this transaction ends."""
    return _invitation(await tx.fetchrow(LOCK, tx.agency_id, invitation_id))


async def find_open(tx: Tx, email: str) -> Invitation | None:
    """The open invitation to this address."""
    return _invitation(await tx.fetchrow(FIND_OPEN, tx.agency_id, email))


async def count_open(tx: Tx, *, most: int) -> int:
    """How many are open; stops counting at `most`."""
    counted: int = await tx.fetchval(COUNT_OPEN, tx.agency_id, most)
    return counted


async def mails_to(tx: Tx, email: str) -> int:
    """How many mails invitations to this address were worth that somebody touched within a day."""
    counted: int = await tx.fetchval(MAILS_TO, tx.agency_id, email, await tx.now())
    return counted


async def renew(tx: Tx, invitation_id: str) -> Invitation | None:
    """It lasts as long as a new one, and the link that was sent is dead."""
    return _invitation(await tx.fetchrow(RENEW, tx.agency_id, invitation_id, await tx.now(), INVITATION_LASTS))


async def withdraw(tx: Tx, invitation_id: str) -> Invitation | None:
    """It opens nothing any more; none when it was not open."""
    return _invitation(await tx.fetchrow(WITHDRAW, tx.agency_id, invitation_id, await tx.now()))


async def withdraw_by(tx: Tx, inviter_id: str) -> int:
    """None of the inviter's open invitations opens anything any more; how many there were."""
    return await tx.execute(WITHDRAW_BY, tx.agency_id, inviter_id, await tx.now())


async def mint(tx: Tx, invitation_id: str, digest: bytes) -> Invitation | None:
    """The link with this digest opens it, and no other; none when it is no longer good."""
    return _invitation(await tx.fetchrow(MINT, tx.agency_id, invitation_id, digest, await tx.now()))


async def accept(tx: Tx, invitation_id: str) -> Invitation | None:
    """It is used; none when it was used, withdrawn or too old. Only one of two at once gets it."""
    return _invitation(await tx.fetchrow(ACCEPT, tx.agency_id, invitation_id, await tx.now()))


async def look_up(database: Database, digests: list[bytes]) -> FoundInvitation | None:
    """What stands behind a digest, before anybody is known."""
    rows = await database.lookup(LOOK_UP, digests)
    return FoundInvitation(**dict(rows[0])) if rows else None
