"""Exports: answers of any length as CSV or as lines of JSON, in constant memory.

Rows are read some hundreds at a time, each time in a short transaction of its own: a slow reader holds no connection
and no transaction, and one that leaves ends the reading.
"""

import abc
import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import structlog
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.csv_text import Cell, csv_text
from colonnade.ground.db.database import Database, Tx
from colonnade.ground.web.calls import Call, to_json

Row = TypeVar("Row")

Format = Literal["csv", "ndjson"]

MEDIA: Final = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
BATCH: Final = 500
TOLD: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {media.partition(";")[0]: {"schema": {"type": "string"}} for media in MEDIA.values()}}
}
"""What the document says of the formats besides JSON."""

_log = structlog.get_logger("colonnade.exports")


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """What an export is made of: the rows behind a given one, and how a row looks in each format."""

    name: str
    """What the file is called, without its ending."""
    rows: Callable[[Tx, Row | None, int], Awaitable[Sequence[Row]]]
    """At most so many rows behind the given one, or from the first on."""
    columns: Sequence[str]
    cells: Callable[[Row], Sequence[Cell]]
    shown: Callable[[Row], BaseModel]


class StreamedAnswer(Response, abc.ABC):
    """A file that is sent while it is made; it begins to be made when it is sent."""

    send_seconds = 30.0
    """A reader who takes nothing for so long is left."""

    def __init__(self, name: str, wanted: Format | Literal["json"]) -> None:
        super().__init__(media_type="application/json" if wanted == "json" else MEDIA[wanted])
        self._name = name
        self._format = wanted
        del self.headers["content-length"]
        self.headers["content-disposition"] = f'attachment; filename="{name}.{wanted}"'

    @abc.abstractmethod
    def parts(self) -> AsyncGenerator[bytes, None]:
        """The file, part by part. What it raises cuts the answer off, so that it does not look whole."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, unless the reader leaves."""
        leaving = asyncio.create_task(_left(receive), name="wait for the reader to leave")
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_parts(send, leaving)
        except TimeoutError:
            _log.warning("exports.reader_stalled", table=self._name)
        finally:
            leaving.cancel()

    async def _send_parts(self, send: Send, leaving: "asyncio.Task[None]") -> None:
        async with contextlib.aclosing(self.parts()) as parts:
            async for part in parts:
                if leaving.done():
                    return
                async with asyncio.timeout(self.send_seconds):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class ExportAnswer(StreamedAnswer, Generic[Row]):
    """Sends a table, read some rows at a time."""

    def __init__(self, database: Database, reach: Reach, table: Table[Row], wanted: Format) -> None:
        super().__init__(table.name, wanted)
        self._database = database
        self._reach = reach
        self._table = table

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The head of a table, then its rows."""
        if self._format == "csv":
            yield csv_text([self._table.columns]).encode()
        last: Row | None = None
        while True:
            async with self._database.transaction(self._reach, read_only=True) as tx:
                rows = await self._table.rows(tx, last, BATCH)
            if rows:
                yield self._written(rows)
            if len(rows) < BATCH:
                return
            last = rows[-1]

    def _written(self, rows: Sequence[Row]) -> bytes:
        if self._format == "csv":
            return csv_text([self._table.cells(row) for row in rows]).encode()
        return b"".join(to_json(self._table.shown(row)) + b"\n" for row in rows)


def exported(call: Call, table: Table[Row], wanted: Format) -> Response:
    """The answer that sends this table within the reach of who calls."""
    return ExportAnswer(call.database, call.caller.reach, table, wanted)


async def _left(receive: Receive) -> None:
    """Return when the reader is gone."""
    while (await receive())["type"] != "http.disconnect":
        continue
