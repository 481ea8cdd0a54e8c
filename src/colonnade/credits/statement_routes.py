"""How HTTP says statements: the list of a workspace, and each as a file that can be checked without the house."""

import json
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field, WithJsonSchema, create_model
from starlette.requests import Request
from starlette.responses import Response

from colonnade.credits import statement_files as files
from colonnade.credits import statements
from colonnade.credits.ledger_seals import Statement, Unfunded
from colonnade.credits.naming import workspace_named
from colonnade.credits.statement_files import COLUMNS, Edged, Fields, Kind, Told, as_cells, as_json, month_text
from colonnade.ground.core.callers import Reach
from colonnade.ground.core.csv_text import csv_text
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Database
from colonnade.ground.web import Body, PageOf, Place, Shown, Who, access, call_of, json_answer, router
from colonnade.ground.web.exports import StreamedAnswer

routes = router("Usage")

_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")

_TYPES: Final[Mapping[Kind, Any]] = {
    files.TEXT: str,
    files.WHOLE: int,
    files.AMOUNT: Annotated[Any, WithJsonSchema({"type": "number"})],
    files.QUANTITY: Annotated[Any, WithJsonSchema({"type": "number"})],
    files.INSTANT: Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})],
    files.MONTH: Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"})],
    files.HASH: str,
    files.HASHES: list[str],
}


def _shape(name: str, says: str, fields: Fields) -> type[Shown]:
    """What the document says of a record of a statement."""
    types: dict[str, Any] = {
        wire: (_TYPES[field.kind] | None if field.optional else _TYPES[field.kind], ...)
        for wire, field in fields.items()
    }
    return create_model(name, __base__=Shown, __doc__=says, **types)


StatementShown = _shape(
    "StatementShown",
    "What a month of a workspace came to. Instants are told as they are sealed, with all their microseconds.",
    files.HEAD,
)
BlockShown = _shape(
    "StatementBlockShown", "A block of the ledger's chain that holds lines of the statement.", files.BLOCK
)
LineShown = _shape("StatementLineShown", "One charge or refund, as the ledger has it.", files.LINE)
UnfundedShown = _shape("UnfundedShown", "Reported work that nothing could pay for.", files.UNFUNDED)


class StatementFileShown(Shown):
    """A statement with all that it is made of: `colonnade statement verify` checks it without the house."""

    statement: StatementShown  # type: ignore[valid-type]
    blocks: Sequence[BlockShown]  # type: ignore[valid-type]
    lines: Sequence[LineShown]  # type: ignore[valid-type]
    unfunded: Sequence[UnfundedShown]  # type: ignore[valid-type]


class ListStatements(Body):
    """Which part of the list."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None


class ReadStatement(Body):
    """In which form."""

    format: Literal["json", "csv"] = Field("json", description="`csv` holds the same and is checked in the same way.")


class StatementAnswer(StreamedAnswer):
    """Sends a statement while its lines are read, some at a time."""

    def __init__(self, database: Database, reach: Reach, statement: Statement, wanted: Literal["json", "csv"]) -> None:
        super().__init__(f"statement-{month_text(statement.month)}", wanted)
        self._database = database
        self._reach = reach
        self._statement = statement

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Head, blocks, lines, and what was not paid for."""
        async with self._database.transaction(self._reach, read_only=True) as tx:
            blocks = await statements.edged_blocks(tx, self._statement)
        if self._format == "csv":
            yield csv_text([COLUMNS, as_cells("statement", self._statement)]).encode()
            yield csv_text(as_cells("block", one) for one in blocks).encode()
            async for lines in self._lines():
                yield csv_text(as_cells("line", one) for one in lines).encode()
            async for events in self._unfunded():
                yield csv_text(as_cells("unfunded", one) for one in events).encode()
            return
        yield b'{"statement":' + _json("statement", [self._statement]) + b',\n"blocks":[' + _json("block", blocks)
        yield b'],\n"lines":['
        start = b"\n"
        async for lines in self._lines():
            yield start + _json("line", lines)
            start = b",\n"
        yield b'],\n"unfunded":['
        start = b"\n"
        async for events in self._unfunded():
            yield start + _json("unfunded", events)
            start = b",\n"
        yield b"]}\n"

    async def _lines(self) -> AsyncGenerator[Sequence[Told], None]:
        version = (self._statement.from_version or 1) - 1
        while True:
            async with self._database.transaction(self._reach, read_only=True) as tx:
                lines = await statements.lines_behind(tx, self._statement, version)
            if not lines:
                return
            yield lines
            version = lines[-1].line.account_version

    async def _unfunded(self) -> AsyncGenerator[Sequence[Unfunded], None]:
        async with self._database.transaction(self._reach, read_only=True) as tx:
            is_whole = await statements.has_unfunded(tx, self._statement)
        last_id: str | None = None
        while is_whole:
            async with self._database.transaction(self._reach, read_only=True) as tx:
                events = await statements.unfunded_behind(tx, self._statement, last_id)
            if not events:
                return
            yield events
            last_id = events[-1].id


def _json(record: str, nouns: Iterable[Statement | Edged | Told | Unfunded]) -> bytes:
    texts = (json.dumps(as_json(record, one), ensure_ascii=False, separators=(",", ":")) for one in nouns)
    return ",\n".join(texts).encode()


@routes.get("/v1/workspaces/{workspace_id}/statements", response_model=PageOf[StatementShown])  # type: ignore[valid-type]
@access(Who.ANY_KEY, "usage:read", place=Place.WORKSPACES)
async def list_statements(request: Request, workspace_id: str, query: Annotated[ListStatements, Query()]) -> Response:
    """List a workspace's statements.

    One for each month in which it used anything, from the newest on. They are made a few minutes after the month has
    ended in the agency's time zone.
    """
    call = call_of(request)
    known = await workspace_named(call, workspace_id)
    what = f"statements {known}"
    position = call.cursor(what, query.cursor)
    before = None if position is None else date.fromisoformat(position[0])
    async with call.reading() as tx:
        found, more = await statements.statements_of(tx, call.caller, known, before=before, limit=query.limit)
    following = call.next_cursor(what, [found[-1].month.isoformat()] if more else None)
    shown = {"data": [as_json("statement", one) for one in found], "nextCursor": following, "total": None}
    return json_answer(200, json.dumps(shown, ensure_ascii=False).encode())


_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@routes.get("/v1/workspaces/{workspace_id}/statements/{month}", response_model=StatementFileShown, responses=_CSV)
@access(Who.ANY_KEY, "usage:read", place=Place.WORKSPACES)
async def read_statement(
    request: Request, workspace_id: str, month: str, query: Annotated[ReadStatement, Query()]
) -> Response:
    """Read a statement.

    Every charge and refund of the month, with its run, key, rule and price version, in the order of the ledger, and
    the blocks of the ledger's chain around them: `colonnade statement verify FILE` checks it without the house.
    """
    call = call_of(request)
    known = await workspace_named(call, workspace_id)
    if not _MONTH.fullmatch(month) or month.startswith("0000"):
        raise NotFound("statement")
    async with call.reading() as tx:
        found = await statements.statement_of(tx, call.caller, known, date.fromisoformat(f"{month}-01"))
    return StatementAnswer(call.database, call.caller.reach, found, query.format)
