"""Stored answers: what a request with an `Idempotency-Key` was answered is answered to the same request again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from colonnade.ground.core.refusals import Refused
from colonnade.ground.db.database import Tx

_NEVER_KEPT: Final = {"content-length", "set-cookie"}
"""Headers that a replay does not repeat: a cookie is a secret, and for one browser alone."""

_TRY_LOCKS: Final = """
select pg_try_advisory_xact_lock(hashtextextended(name, 7)) from unnest($1::text[]) with ordinality as n (name, place)
order by place
"""

# Behind the locks, and a statement of its own: it sees what whoever held them before has committed.
_FIND: Final = """
select asked.place, i.method, i.path, i.body_digest, i.status, i.headers, i.body
from unnest($2::text[], $3::text[], $4::text[]) with ordinality as asked (workspace_id, caller_id, key, place)
join idempotency i on i.agency_id = $1 and i.workspace_id = asked.workspace_id and i.caller_id = asked.caller_id
     and i.key = asked.key and (i.is_money or i.created_at > now() - interval '24 hours')
"""

_KEEP: Final = """
insert into idempotency (agency_id, workspace_id, caller_id, key, method, path, body_digest, is_money, status, headers,
                         body)
select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::boolean[],
                         $9::smallint[], $10::jsonb[], $11::bytea[])
on conflict (agency_id, workspace_id, caller_id, key) do update
set method = excluded.method, path = excluded.path, body_digest = excluded.body_digest, is_money = excluded.is_money,
    status = excluded.status, headers = excluded.headers, body = excluded.body, created_at = excluded.created_at
"""


class Replay(Exception):
    """The same request came before: its stored answer is the answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("replay")
        self.response = response


@dataclass(frozen=True, slots=True)
class Keeping:
    """The `Idempotency-Key` of one request: whose it is, and which request it stands for. Money's stand for ever."""

    workspace_id: str
    """Empty where the caller has the whole agency in reach."""
    caller_id: str
    key: str
    method: str
    path: str
    digest: bytes
    is_money: bool = False

    def lock(self, agency_id: str) -> str:
        """The name of the lock under which this key is answered."""
        return f"{agency_id} {self.workspace_id} {self.caller_id} {self.key}"


async def find(tx: Tx, asked: Sequence[Keeping]) -> list[Replay | Refused | None]:
    """For each key what ends its request here: its stored answer, or a refusal; none where it is to be carried out.

    From here to the end of the transaction nobody else carries out a request with one of these keys.
    """
    locks = await tx.fetch(_TRY_LOCKS, [one.lock(tx.agency_id) for one in asked])
    owners = [[one.workspace_id for one in asked], [one.caller_id for one in asked], [one.key for one in asked]]
    rows = {row["place"] - 1: row for row in await tx.fetch(_FIND, tx.agency_id, *owners)}
    found: list[Replay | Refused | None] = []
    for place, one in enumerate(asked):
        if not locks[place][0]:
            found.append(still_running())
        elif place not in rows:
            found.append(None)
        elif tuple(rows[place])[1:4] != (one.method, one.path, one.digest):
            sentence = "This `Idempotency-Key` was used for another request before."
            found.append(Refused("request.idempotency_reused", sentence))
        else:
            row = rows[place]
            headers = {**row["headers"], "Idempotent-Replayed": "true"}
            found.append(Replay(Response(row["body"], row["status"], headers=headers)))
    return found


def still_running() -> Refused:
    """The refusal of a request whose key another one is being answered under."""
    return Refused("request.idempotency_running", "The first request with this key has not ended yet.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is stored under a key."""

    keeping: Keeping
    response: Response
    body: bytes | None = None
    """What a replay shows instead, where the answer holds a secret."""


async def keep(tx: Tx, answers: Sequence[Answer]) -> None:
    """Store the answers, just before the commit of what they tell."""
    rows = []
    for one in answers:
        owner = (one.keeping.workspace_id, one.keeping.caller_id, one.keeping.key)
        asked = (one.keeping.method, one.keeping.path, one.keeping.digest, one.keeping.is_money)
        headers = {name: value for name, value in one.response.headers.items() if name not in _NEVER_KEPT}
        body = bytes(one.response.body) if one.body is None else one.body
        rows.append((*owner, *asked, one.response.status_code, headers, body))
    if rows:
        await tx.execute(_KEEP, tx.agency_id, *(list(column) for column in zip(*rows, strict=True)))
