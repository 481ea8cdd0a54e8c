"""One call of an operation: who, the transaction of its command, the answer, and the answer's replay."""

import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import BeforeCommit, Database, Tx
from colonnade.ground.web import answers
from colonnade.ground.web.answers import Answer, Keeping
from colonnade.ground.web.cursors import decode_cursor, encode_cursor
from colonnade.ground.web.visits import Visit, visit_of

_CALL: Final = "colonnade.call"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ENTITY_TAG = re.compile(r'\s*(?:W/)?"v(\d{1,18})"\s*')


@dataclass(slots=True)
class Call:
    """What an endpoint works with. It opens the command's transaction and makes the answer inside of it."""

    request: Request
    visit: Visit
    database: Database
    known: Caller | None
    body: bytes = b""
    _answer: Response | None = field(default=None)
    _kept: bytes | None = field(default=None)

    @property
    def caller(self) -> Caller:
        """Who calls; only routes that are open to anyone may find nobody."""
        assert self.known is not None, "a route for anyone asked for its caller"
        return self.known

    @property
    def pepper(self) -> Pepper:
        """The installation's keyed digests."""
        return self.database.pepper

    @contextlib.asynccontextmanager
    async def reading(self, *, snapshot: bool = False) -> AsyncIterator[Tx]:
        """A transaction that reads within the caller's reach; with `snapshot` all of it sees one instant."""
        async with self.database.transaction(self.caller.reach, read_only=True, snapshot=snapshot) as tx:
            yield tx

    @contextlib.asynccontextmanager
    async def writing(self, *, money: bool = False) -> AsyncIterator[Tx]:
        """The transaction of this command. With an `Idempotency-Key` its answer is stored just before the commit.

        A refusal rolls back and is not stored; the same key with the same request replays the stored answer, for a day,
        and for ever where it moved `money`.
        """
        keeping = self.queued(money=money)
        keep = None if keeping is None else self._keeper(keeping)
        async with self.database.transaction(self.caller.reach, before_commit=keep) as tx:
            if keeping is not None:
                (ended,) = await answers.find(tx, [keeping])
                if ended is not None:
                    raise ended
            yield tx

    def queued(self, *, money: bool = True) -> Keeping | None:
        """The request's `Idempotency-Key`, if it has one, for a command that another transaction carries out."""
        key = self._idempotency_key()
        if key is None:
            return None
        reach = self.caller.reach
        within = (reach.workspace_ids or ("",))[0]
        visit = self.visit
        return Keeping(within, self.caller.actor_id, key, visit.method, visit.path, self._digest(), money)

    def answer(
        self,
        status: int,
        shape: BaseModel | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        kept: BaseModel | None = None,
    ) -> Response:
        """The answer in the shape's JSON. `kept` is what a replay shows instead, where the shape holds a secret."""
        self._answer = json_answer(status, shape, headers)
        self._kept = None if kept is None else to_json(kept)
        return self._answer

    def expected_version(self) -> int | None:
        """The version that `If-Match` names; none when there is no such header or it is `*`."""
        header = self.request.headers.get("if-match")
        if header is None or header.strip() == "*":
            return None
        match = _ENTITY_TAG.fullmatch(header)
        return int(match[1]) if match else -1  # a tag that we never gave out matches no version

    def cursor(self, what: str, text: str | None) -> list[Any] | None:
        """The position behind a list's `cursor`."""
        return decode_cursor(self.pepper, f"{self.caller.agency_id} {what}", text)

    def next_cursor(self, what: str, position: list[Any] | None) -> str | None:
        """The cursor after this position; none on the last page."""
        return None if position is None else encode_cursor(self.pepper, f"{self.caller.agency_id} {what}", position)

    def _idempotency_key(self) -> str | None:
        key = self.request.headers.get("idempotency-key")
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise BadField("Idempotency-Key", "must be 1 to 255 printable ASCII characters without spaces")
        return key

    def _digest(self) -> bytes:
        return hashlib.sha256(self.request.url.query.encode() + b"\0" + self.body).digest()

    def _keeper(self, keeping: Keeping) -> BeforeCommit:
        async def keep(tx: Tx) -> None:
            if self._answer is not None:
                await answers.keep(tx, [Answer(keeping, self._answer, self._kept)])

        return keep


def to_json(shape: BaseModel) -> bytes:
    """The shape's JSON, under its wire names."""
    return shape.__pydantic_serializer__.to_json(shape, by_alias=True)


def json_answer(status: int, shape: BaseModel | bytes | None, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with the shape's JSON as its body (or JSON that is written already), or with none."""
    if shape is None:
        return Response(status_code=status, headers=dict(headers or {}))
    body = shape if isinstance(shape, bytes) else to_json(shape)
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")


def entity_tag(version: int) -> dict[str, str]:
    """The `ETag` header of a resource's version."""
    return {"ETag": f'"v{version}"'}


def put_call(request: Request, call: Call) -> None:
    """Leave the call where the endpoint finds it."""
    request.scope[_CALL] = call


def call_of(request: Request) -> Call:
    """The call that this endpoint serves: the first line of every endpoint."""
    call: Call = request.scope[_CALL]
    return call


def visit_for(request: Request) -> Visit:
    """The visit of a page that is not an operation."""
    return visit_of(request.scope)
